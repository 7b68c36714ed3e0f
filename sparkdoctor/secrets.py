"""Remove secrets from what is read, so that no report, snapshot or recording carries one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

REMOVED = "<removed>"

_NAME = re.compile(
    r"(?:^|_)(?:TOKENS?|API_?KEYS?|KEY|SECRETS?|PASSWORDS?|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH|COOKIE|DSN)(?:$|_(?!PATH|FILE|NAME|ID))",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"TOKENS?_?(?:IZER|IZERS|S)|^(?:MAX|NUM|VLLM_MAX|VLLM_NUM)_.*TOKENS?$|TOKENIZERS_", re.IGNORECASE
)
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<who>[^\s/@:'\"]*:[^\s/@'\"]*|[^\s/@:'\"]{8,})@", re.IGNORECASE)
_KNOWN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|nvapi-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16}|xox[abprs]-[A-Za-z0-9-]{10,})"
)
_OPTION = re.compile(r"--?[a-z0-9-]*(?:api-key|token|secret|password|passwd)$", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret (HF_TOKEN, *_API_KEY, *_PASSWORD, ...)."""
    return bool(_NAME.search(name)) and not _HARMLESS.search(name)


def clean_text(text: str) -> str:
    """Text without credentials in URLs and without tokens of known form."""
    return _KNOWN.sub(REMOVED, _URL.sub(rf"\g<scheme>{REMOVED}@", text))


def clean_env(env: Mapping[str, str]) -> dict[str, str]:
    """An environment whose secret values are `<removed>`; an empty value stays empty."""
    return {name: (REMOVED if value and is_secret(name) else clean_text(value)) for name, value in env.items()}


def clean_argv(words: Sequence[str]) -> list[str]:
    """A command line without the values of --api-key, --hf-token and their like."""
    cleaned: list[str] = []
    secret_next = False
    for word in words:
        option, equals, _ = word.partition("=")
        if secret_next and not word.startswith("-"):
            cleaned.append(REMOVED)
        elif equals and (_OPTION.match(option) or (option.isidentifier() and is_secret(option))):
            cleaned.append(f"{option}={REMOVED}")
        else:
            cleaned.append(clean_text(word))
        secret_next = bool(_OPTION.match(word))
    return cleaned
