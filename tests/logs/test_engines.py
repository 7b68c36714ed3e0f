"""Both engines give the same answer, and the native one bears what befalls its files."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.errors import BadInput
from sparkdoctor.logs import native
from sparkdoctor.logs.engine import VARIABLE, make_scanner
from sparkdoctor.logs.match import Hit, Matcher
from sparkdoctor.logs.native import SHARED, NativeScanner, Unusable, choose_windows
from sparkdoctor.logs.read import READ, has_controls, read_log
from sparkdoctor.logs.scanner import Candidate, Texts
from sparkdoctor.logs.template import TemplateScanner
from sparkdoctor.patterns import refusal
from sparkdoctor.registry import load_registry
from sparkdoctor.signatures import Signature
from tests.entries import signature

pytest.importorskip("hyperscan")

LOGS = Path(__file__).parent
EXAMPLE = LOGS.parents[1] / "examples/logs/memlock.log"

WORDS = ["Cannot allocate", "NCCL WARN", "error 12", "größer als", "0x1f2e3d", "peer 7 is gone", "aaaaaaaa", "abababab"]
GAPS = ["", ".{0,9}", r" \d{1,4} ", "[^x]{0,5}", "(?:, )?"]
FILLERS = ["\n", "\r", " ", "7", "x", ", ", "\x1b[31m", "\x07", "\x85", "é", "aaaa", "ab", "plain words "]

patterns = st.builds(
    lambda first, gap, more: f"{first}{gap}{more}",
    st.one_of(
        st.sampled_from(WORDS),
        st.builds("(?:{}|{})".format, st.sampled_from(WORDS), st.sampled_from(WORDS)),
    ),
    st.sampled_from(GAPS),
    st.one_of(st.just(""), st.sampled_from(WORDS), st.just("$")),
).filter(lambda pattern: not refusal(pattern))
signature_sets = st.lists(
    st.tuples(patterns, st.lists(st.sampled_from(WORDS), max_size=2)), max_size=8, unique_by=lambda pair: pair[0]
).map(
    lambda pairs: [
        signature(f"number-{number}", pattern, ignores=tuple(lines)) for number, (pattern, lines) in enumerate(pairs)
    ]
)
logs = st.lists(st.one_of(st.sampled_from(WORDS + FILLERS), st.text(max_size=5)), max_size=60).map(
    lambda parts: "".join(parts).replace("\0", "").encode(errors="replace")
)


def hits(engine: Any, signatures: Iterable[Signature], data: bytes) -> list[Hit]:
    matcher = Matcher(signatures, engine)
    return list(matcher.scan(read_log("-", io.BytesIO(b"x" + data), has_controls=matcher.has_controls), "x.log"))


@given(signature_sets, logs)
def test_the_same_hits(signatures: list[Signature], data: bytes) -> None:
    assert hits(NativeScanner, signatures, data) == hits(TemplateScanner, signatures, data)


@given(signature_sets, logs)
def test_the_same_candidates(signatures: list[Signature], data: bytes) -> None:
    texts = Texts(signatures)
    assert list(NativeScanner(texts).scan(data)) == list(TemplateScanner(texts).scan(data))


def test_the_same_hits_in_a_long_log_of_many_signatures() -> None:
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnop ", k=8)) for _ in range(300)]
    signatures = [
        signature(f"number-{number}", f"{word}.{{0,80}}{chance.choice(words)}", ignores=(chance.choice(words),))
        for number, word in enumerate(words)
    ]
    data = "".join(chance.choice([*words, "\n", "\n", "é", "\x08"]) for _ in range(40_000)).encode()
    assert len(data) > READ
    found = hits(NativeScanner, signatures, data)
    assert len(found) > 1000
    assert found == hits(TemplateScanner, signatures, data)


def test_the_same_hits_in_every_log_that_is_here() -> None:
    patterns = load_registry().knowledge.patterns()
    native, plain = Matcher(patterns, NativeScanner), Matcher(patterns, TemplateScanner)
    paths = [
        path for path in (*LOGS.rglob("*"), EXAMPLE) if path.is_file() and path.suffix not in (".toml", ".md", ".py")
    ]
    total = 0
    for path in paths:
        found = [
            list(matcher.scan(read_log(str(path), has_controls=matcher.has_controls), str(path)))
            for matcher in (native, plain)
        ]
        assert found[0] == found[1], path
        total += len(found[0])
    assert total > 200


@given(st.binary(max_size=200))
def test_no_control_character_is_overlooked(data: bytes) -> None:
    scanner = NativeScanner(Texts([]))
    assert scanner.has_controls(data) == has_controls(data)


def test_every_single_byte() -> None:
    scanner = NativeScanner(Texts([]))
    for code in range(256):
        for data in (bytes([code]), b"x" * 100 + bytes([code]) + b"y" * 100):
            assert scanner.has_controls(data) == has_controls(data)


def test_a_text_shorter_than_a_window_and_one_with_a_newline() -> None:
    signatures = [signature("short-text", "sixsix"), signature("never-there", r"sixsix\nseven")]
    assert list(NativeScanner(Texts(signatures)).scan(b"a\nsixsix\nsixsix\nseven\n")) == [
        Candidate(2, b"sixsix", (0,)),
        Candidate(9, b"sixsix", (0,)),
    ]


def test_windows_are_taken_where_ordinary_lines_differ() -> None:
    ordinary = [b"host:1:2 [0] NCCL INFO Channel 00/02", b"NCCL WARN something else"]
    texts = [b"NCCL WARN Channel is qxq", b"NCCL WARN", b"six"]
    chosen = choose_windows(texts, ordinary)
    assert all(window in text for window, text in zip(chosen, texts, strict=True))
    assert not any(chosen[0] in line for line in ordinary)
    assert chosen[2] == b"six"


def test_a_window_is_not_shared_by_all() -> None:
    chance = random.Random(1)
    texts = [b"aaaaaaaaaa" + "".join(chance.choices("ab", k=20)).encode() for _ in range(5000)]
    users = Counter(choose_windows(texts, [b"nothing of the kind"]))
    assert max(users.values()) <= SHARED
    users = Counter(choose_windows([b"aaaaaaaaaa", b"bbbbbbbbb"] * 100, []))
    assert users == {b"aaaaaaaa": 100, b"bbbbbbbb": 100}


def test_the_choice_is_the_same_each_time() -> None:
    texts = [b"one and the same text for all", b"another text altogether"]
    assert choose_windows(texts, [b"a text"]) == choose_windows(list(texts), [b"a text"])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sparkdoctor"


KNOWN = [signature("known-line", "a known line"), signature("other-line", "another text")]
LOG = b"x\nit is a known line\nanother text\n"


def found() -> list[tuple[int, str]]:
    return [(hit.line, hit.signature) for hit in hits(NativeScanner, KNOWN, LOG)]


FOUND = [(2, "known-line"), (3, "other-line")]


def test_the_second_time_nothing_is_compiled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() == FOUND
    (file,) = cache.iterdir()
    monkeypatch.setattr(NativeScanner, "_compile", None)
    monkeypatch.setattr("sparkdoctor.logs.scanner.plain_text", None)
    assert found() == FOUND
    assert [file] == list(cache.iterdir())


def test_other_knowledge_has_other_files(cache: Path) -> None:
    NativeScanner(Texts(KNOWN))
    NativeScanner(Texts(KNOWN[:1]))
    NativeScanner(Texts([KNOWN[0], signature("other-line", "another text", ignores=("a line beside",))]))
    assert len(list(cache.iterdir())) == 3


def test_a_database_of_something_else_under_our_key(cache: Path) -> None:
    assert found() == FOUND
    (file,) = cache.iterdir()
    NativeScanner(Texts([signature("strange-line", "a strange line")]))
    (other,) = set(cache.iterdir()) - {file}
    mine = file.read_bytes()
    file.write_bytes(other.read_bytes())  # whole, and a database: only its windows are not ours
    # It finds its own windows, so it is taken for what it says: the key is what guards against this.
    assert [hit.signature for hit in hits(NativeScanner, KNOWN, b"a strange line\n")] == []
    file.write_bytes(mine)
    assert found() == FOUND


def test_a_damaged_database_is_made_again(cache: Path) -> None:
    assert found() == FOUND
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-50], whole[:200] + b"\xff" + whole[201:]):
        file.write_bytes(damaged)
        assert found() == FOUND
        assert file.read_bytes() == whole


@pytest.mark.parametrize("what", ["content", "database", "controls", "windows"])
def test_a_database_that_does_not_work_is_made_again(cache: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    from sparkdoctor.cache import keep

    assert found() == FOUND
    (file,) = cache.iterdir()
    whole, key = file.read_bytes(), file.name.removeprefix("scanner-")
    kept = msgspec.msgpack.decode(whole[4:], type=native._Kept)
    if what == "content":
        keep("scanner", key, b"\xc1")
    else:
        broken = {"database": kept.controls, "controls": kept.database, "windows": [b"elsewhere", b"another one"]}
        setattr(kept, what, broken[what])
        keep("scanner", key, msgspec.msgpack.encode(kept))
    assert file.read_bytes() != whole
    assert found() == FOUND
    assert file.read_bytes() == whole


def test_without_a_place_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    assert found() == FOUND


def test_two_processes_at_once(cache: Path) -> None:
    code = (
        "from sparkdoctor.logs.native import NativeScanner; from sparkdoctor.logs.scanner import Texts\n"
        "from tests.entries import signature\n"
        "texts = Texts([signature(f'number-{n}', f'text number {n} of many') for n in range(300)])\n"
        "for _ in range(5): assert [c.which for c in NativeScanner(texts).scan(b'text number 7 of many')] == [(7,)]\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(list(cache.iterdir())) == 1


def test_the_plain_one_when_there_is_no_hyperscan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert isinstance(make_scanner(Texts(KNOWN)), NativeScanner)
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert isinstance(make_scanner(Texts(KNOWN)), TemplateScanner)
    monkeypatch.setenv(VARIABLE, "native")
    with pytest.raises(BadInput, match="SPARKDOCTOR_ENGINE=native: hyperscan is not there"):
        make_scanner(Texts(KNOWN))


def test_the_plain_one_when_hyperscan_refuses(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hyperscan

    def refuse(*_: object, **__: object) -> None:
        raise hyperscan.CompilerError("no")

    monkeypatch.setattr(NativeScanner, "_serialized", refuse)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert isinstance(make_scanner(Texts(KNOWN)), TemplateScanner)
    with pytest.raises(Unusable, match="CompilerError: no"):
        NativeScanner(Texts(KNOWN))


def test_which_engine_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("python", TemplateScanner), ("native", NativeScanner)):
        monkeypatch.setenv(VARIABLE, name)
        assert isinstance(make_scanner(Texts(KNOWN)), kind)
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(BadInput, match="SPARKDOCTOR_ENGINE=fast names no engine; there are python and native"):
        make_scanner(Texts(KNOWN))
