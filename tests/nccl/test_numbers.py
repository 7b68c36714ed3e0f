"""Numbers in NCCL's variables. The expectations are strtoll(3) and atoi(3) of glibc."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from sparkdoctor.nccl.numbers import atoi, int32, integer, whole

DEFAULT = -7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, DEFAULT),
        ("", DEFAULT),
        ("3", 3),
        ("-1", -1),
        ("+3", 3),
        ("010", 8),
        ("08", 0),
        ("0x3", 3),
        ("0X1f", 31),
        ("0x", 0),
        ("3 ", 3),
        (" \t\n3", 3),
        ("3,3", 3),
        ("3.9", 3),
        ("true", 0),
        ("yes", 0),
        ("'3'", 0),
        ("- 3", 0),
        (" ", 0),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", DEFAULT),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", DEFAULT),
    ],
)
def test_integer(text: str | None, value: int) -> None:
    assert integer(text, DEFAULT) == value


def test_text_without_a_digit_keeps_the_default_since_2_32() -> None:
    """As the libraries 2.31.2 and 2.32.3 answer; `0x` is 0 in both."""
    old, new = Version("2.31.2"), Version("2.32.3")
    assert [integer(text, -1, new) for text in ("x", "true", "--1", "0x", "1x", " 1", "08")] == [-1, -1, -1, 0, 1, 1, 0]
    assert [integer(text, -1, old) for text in ("x", "true", "--1", "0x")] == [0, 0, 0, 0]


@given(st.integers(-(2**63), 2**63 - 1), st.text(alphabet="abc ,.x-", max_size=5))
def test_a_number_is_read_whatever_follows_it(number: int, rest: str) -> None:
    rest = "" if number == 0 else rest  # 0x would start another number
    assert integer(f"{number}{rest}", DEFAULT) == number
    assert integer(f"{number:#x}", DEFAULT) == number


@given(st.text(max_size=8))
def test_any_text_gives_a_64_bit_number(text: str) -> None:
    assert -(2**63) <= integer(text, 0) < 2**63


@pytest.mark.parametrize(("text", "is_whole"), [("1", True), ("1 ", True), ("0x1", True), ("true", False), ("1a", False), ("", False)])  # fmt: skip
def test_whole(text: str, is_whole: bool) -> None:
    assert whole(text) is is_whole


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("010", 10), ("", 0), ("x", 0), ("2x", 2), (" -3", -3), ("4294967297", 1)])  # fmt: skip
def test_atoi(text: str, value: int) -> None:
    assert atoi(text) == value


@given(st.integers(-(2**31), 2**31 - 1))
def test_int32_keeps_what_fits(value: int) -> None:
    assert int32(value) == value
    assert int32(value + 2**32) == value
