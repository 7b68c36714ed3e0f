"""Remove secrets from what is read, so that no report, snapshot or recording carries one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sparkdoctor.late import late

REMOVED = "<removed>"

_NAME = late(
    r"(?:^|[_.-])(?:TOKENS?|API_?KEYS?|ACCESS_?KEYS?|SECRET_?KEYS?|KEYS?|SECRETS?|PASSWORDS?|PASSWD|PASS|PASSPHRASE"
    r"|CREDENTIALS?|AUTH|AUTHORIZATION|COOKIE|DSN|JWT|BEARER|WEBHOOK|WEBHOOK_URL)(?:$|[_.-](?!PATH|FILE|DIR|NAME|ID\b))"
    r"|(?:TOKEN|PASSWORD|PASSWD|SECRET|APIKEY)$|(?:^|_)(?!OLD)[A-Z0-9]+_PWD$",
    re.IGNORECASE,
)
_COUNT = late(r"TOKENS?(?:$|[_.-])", re.IGNORECASE)
_NUMBER = late(r"[0-9.,]{1,12}|true|false|none|auto", re.IGNORECASE)
"""MTP_NUM_TOKENS=3 and LONG_PREFILL_TOKEN_THRESHOLD=4096 count tokens of another kind."""

_URL = late(
    r"(?<![a-z0-9+.-])(?P<scheme>[a-z][a-z0-9+.-]*://)(?:[^\s/@:'\"]*:[^\s/'\"]*|[^\s/@:'\"]{8,})@", re.IGNORECASE
)
_QUERY = late(r"(?P<name>[?&][a-z0-9_-]*(?:token|key|secret|password|signature|sig)=)[^&\s'\"#]+", re.IGNORECASE)
_KNOWN = late(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{16,}|nvapi-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]*)"
)
_BEARER = late(r"(?P<how>\b(?:bearer|basic) +)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_PRIVATE_KEY = late(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_SERIAL = late(r"^(?P<name>(?=\w*SERIAL)\w+=).+$", re.MULTILINE)
"""/etc/dgx-release has the serial number of the machine."""

_OPTION_NAME = r"--?[a-z0-9-]*(?:api-key|api-keys|token|secret|password|passwd)"
_OPTION = late(_OPTION_NAME, re.IGNORECASE)
_VALUE = r"(?P<value>'[^']*'|\"[^\"]*\"|[^\s;&|]+)"
_SCRIPT_OPTION = late(rf"(?P<what>(?<!\S){_OPTION_NAME}[ =]+)(?!\$|-){_VALUE}", re.IGNORECASE)
_ASSIGNED = late(r"\b(?P<name>[A-Za-z_]\w*)=")
_JSON = late(r'(?P<before>"(?P<name>[\w.-]{1,64})" *: *")(?P<value>[^"]+)')


def is_secret(name: str, value: str = "") -> bool:
    """Whether a variable holds a secret (HF_TOKEN, *_API_KEY, *_PASSWORD, ...).

    A number under a name with TOKENS in it is a count, if the value is given.
    """
    return bool(_NAME.search(name)) and not (_COUNT.search(name) and _NUMBER.fullmatch(value))


def clean_text(text: str) -> str:
    """Text without credentials in URLs, tokens of known form, private keys and serial numbers."""
    if "://" in text:
        text = _QUERY.sub(rf"\g<name>{REMOVED}", _URL.sub(rf"\g<scheme>{REMOVED}@", text))
    text = _BEARER.sub(rf"\g<how>{REMOVED}", _KNOWN.sub(REMOVED, text))
    return _SERIAL.sub(rf"\g<name>{REMOVED}", _PRIVATE_KEY.sub(rf"\1{REMOVED}\2", text))


def clean_env(env: Mapping[str, str]) -> dict[str, str]:
    """An environment whose secret values are `<removed>`; an empty value stays empty."""
    return {name: REMOVED if value and is_secret(name, value) else clean_text(value) for name, value in env.items()}


def clean_argv(words: Sequence[str]) -> list[str]:
    """A command line without the values of --api-key, --hf-token and their like.

    Also inside a word that is a script (`bash -c "..."`), and in `-e NAME=VALUE`. A value that
    is written as `$NAME` or `${NAME}` stays: it says where the secret is, not what.
    """
    cleaned: list[str] = []
    option = ""
    for word in words:
        if option and not word.startswith(("-", "$")):
            cleaned.append(REMOVED if word else word)
            if "api-key" not in option:  # vLLM's --api-key takes several
                option = ""
            continue
        option = word.lower() if _OPTION.fullmatch(word) else ""
        cleaned.append(_clean_script(word))
    return cleaned


def _clean_script(text: str) -> str:
    for name in {match["name"] for match in _ASSIGNED.finditer(text)}:
        text = re.sub(rf"\b(?P<before>(?P<name>{name})=)(?!\$){_VALUE}", _hidden, text)
    return clean_text(_JSON.sub(_hidden, _SCRIPT_OPTION.sub(rf"\g<what>{REMOVED}", text)))


def _hidden(match: re.Match[str]) -> str:
    return f"{match['before']}{REMOVED}" if is_secret(match["name"], match["value"]) else match[0]
