"""The options of a vLLM command line, by long name.

Follows argparse as vLLM uses it (vllm/utils/argparse_utils.py FlexibleArgumentParser and
vllm/engine/arg_utils.py, 0.33.0; compared with that parser itself): underscores and hyphens are
the same, a unique beginning of an option stands for it, the last one wins, `-O3`, and dotted keys
(`--speculative-config.method mtp`) that together replace the JSON of their option. An option that
vLLM 0.33.0 does not know (a fork's, SGLang's, Ray's) takes the next word unless that is an option.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import takewhile

from sparkdoctor.fact import Fact
from sparkdoctor.launch.vllm_options import ALIASES, FLAGS, LISTS, MAYBE, SHORT, SWITCHES, VALUES

_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
_OTHER_SERVERS = re.compile(r"sglang(\..*)?|ray|torchrun|trtllm-.*|mpirun")


def vllm_flags(argv: Fact[tuple[str, ...]], places: Sequence[str] = ()) -> Fact[dict[str, Fact[str]]]:
    """Options by long name without dashes; a switch has the value "", several words are joined by a blank.

    The model is `model`, a switch turned off `no-NAME`, a dotted key `NAME.KEY`. `places` are
    those of the words; the value's place is the option's, and `over` has the places of the same
    option earlier in the command.
    """

    def parse(words: tuple[str, ...]) -> dict[str, Fact[str]]:
        where = places if len(places) == len(words) else [argv.where] * len(words)
        return _Parser(words, where).run()

    return argv.map(parse)


class _Parser:
    def __init__(self, words: Sequence[str], places: Sequence[str]) -> None:
        self.words = words
        self.places = places
        self.at = 0
        self.flags: dict[str, Fact[str]] = {}
        command = takewhile(lambda word: not word.startswith("-") or word == "-m", words)
        self.abbreviates = not any(_OTHER_SERVERS.fullmatch(word.rsplit("/", 1)[-1]) for word in command)

    def run(self) -> dict[str, Fact[str]]:
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if word == "serve" and "model" not in self.flags and self._is_value():
                self._take("model", 1)
            elif word == "--":
                break
            elif word.startswith("-O") and (found := self._optimization(word)):
                self._set("optimization-level", found, self.at - 1)
            elif word.startswith("-") and not self._is_value(self.at - 1):
                self._option(word)
            elif "model" not in self.flags and "serve" in self.words[: self.at - 1]:
                self._set("model", word, self.at - 1)
        for name in [name for name in self.flags if "." in name]:
            self.flags.pop(name.partition(".")[0], None)
        return self.flags

    def _optimization(self, word: str) -> str:
        if word != "-O":
            return word[2:].removeprefix("=")
        if self.at < len(self.words) and self.words[self.at] in ("0", "1", "2", "3"):
            self.at += 1
            return self.words[self.at - 1]
        return ""

    def _option(self, word: str) -> None:
        option, equals, value = word.partition("=")
        head, dot, keys = option.partition(".")
        name = self._name(head)
        if not name and option[:2] in SHORT and not equals:  # `-n2`
            self._set(SHORT[option[:2]], option[2:], self.at - 1)
            return
        name = name or head.lstrip("-")
        if equals:
            self._set(name + dot + keys, value, self.at - 1)
        elif dot:
            self._take(name + dot + keys, 1, whatever=True)
        elif name in LISTS:
            self._take(name, len(self.words))
        elif name in SWITCHES or name in FLAGS or name.removeprefix("no-") in SWITCHES:
            self._set(name, "", self.at - 1)
        else:
            self._take(name, 1)

    def _name(self, head: str) -> str:
        """The long name of an option as written; empty for an unknown short one."""
        if not head.startswith("--"):
            return SHORT.get(head, "")
        written = head[2:].replace("_", "-")
        known = _known()
        if written not in known and self.abbreviates:
            fits = {known[name] for name in known if name.startswith(written)}
            if len(fits) == 1:
                return fits.pop()
        return known.get(written, written)

    def _is_value(self, at: int | None = None) -> bool:
        """Whether the word at `at` is a value to argparse and no option."""
        at = self.at if at is None else at
        if at >= len(self.words):
            return False
        word = self.words[at]
        return not word.startswith("-") or word == "-" or " " in word or bool(_NEGATIVE_NUMBER.fullmatch(word))

    def _take(self, name: str, most: int, *, whatever: bool = False) -> None:
        """Set an option to the values that follow, at most `most`."""
        start = self.at
        while self.at < len(self.words) and self.at - start < most and (whatever or self._is_value()):
            self.at += 1
        self._set(
            name, " ".join(self.words[start : self.at]), max(start, self.at - 1) if self.at > start else start - 1
        )

    def _set(self, name: str, value: str, at: int) -> None:
        opposite = name.removeprefix("no-") if name.startswith("no-") else f"no-{name}"
        before = [fact for fact in (self.flags.pop(name, None), self.flags.pop(opposite, None)) if fact is not None]
        over = tuple(place for fact in before for place in (fact.where, *fact.over))
        self.flags[name] = Fact(self.places[at], value, over=over)


@cache
def _known() -> dict[str, str]:
    """Every long option of vLLM as it may be written, and the name it goes by here."""
    known = {name: name for name in (*SWITCHES, *FLAGS, *LISTS, *MAYBE, *VALUES)}
    for name in SWITCHES:
        known[f"no-{name}"] = f"no-{name}"
        for inverse in _inverses(name):
            known[inverse] = f"no-{name}"
    return known | ALIASES


def _inverses(name: str) -> Iterable[str]:
    for one, other in (("enable-", "disable-"), ("disable-", "enable-")):
        if name.startswith(one):
            yield other + name.removeprefix(one)
