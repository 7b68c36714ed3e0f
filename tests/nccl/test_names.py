"""Lists of names: the cases were worked by hand from parseStringList and matchIfList of NCCL 2.30.7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from sparkdoctor.nccl.names import NameList, Token, parse_names

GB10 = ("roceP2p1s0f0", "roceP2p1s0f1", "rocep1s0f0", "rocep1s0f1")


def taken(text: str | None, port: int = 1) -> tuple[str, ...]:
    names = parse_names(text, 32)
    return tuple(name for name in GB10 if names.takes(name, port))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, GB10),
        ("", GB10),
        (",", GB10),
        ("=", GB10),
        (":1", GB10),
        ("^", ()),
        ("^=", ()),
        ("^,", ()),
        ("rocep1s0f0", ("rocep1s0f0",)),
        ("rocep1", ("rocep1s0f0", "rocep1s0f1")),
        ("roce", GB10),
        ("ROCEP1S0F0", ()),
        ("=rocep1", ()),
        ("=rocep1s0f0,roceP2p1s0f0", ("roceP2p1s0f0", "rocep1s0f0")),
        ("rocep1s0f1,rocep1s0f0", ("rocep1s0f0", "rocep1s0f1")),
        (" rocep1s0f0", ()),
        ("rocep1s0f0 ", ()),
        ("rocep1s0f0, roceP2p1s0f0", ("rocep1s0f0",)),
        ("rocep1s0f0:1", ("rocep1s0f0",)),
        ("rocep1s0f0:2", ()),
        ("rocep1s0f0:", ("rocep1s0f0",)),
        ("rocep1s0f0:x", ()),
        ("rocep1s0f0:1:0:0", ("rocep1s0f0",)),
        ("^rocep1s0f1,roceP2p1s0f1", ("roceP2p1s0f0", "rocep1s0f0")),
        ("^=rocep1", GB10),
        ("^rocep1s0f0:2", GB10),
        ("=^rocep1s0f0", ()),
        ("enp1s0f0np0", ()),
    ],
)
def test_what_a_list_takes(text: str | None, names: tuple[str, ...]) -> None:
    assert taken(text) == names


def test_a_prefix_takes_longer_numbers_too() -> None:
    assert parse_names("mlx5_1", 32).takes("mlx5_12")
    assert not parse_names("=mlx5_1", 32).takes("mlx5_12")


def test_rails_and_planes_since_2_30_7() -> None:
    assert parse_names("a:1:2:3,b::4", 32).tokens == (Token("a", 1, 2, 3), Token("b", -1, 4, -1))


def test_an_empty_port_was_port_0_before_2_30_7() -> None:
    assert parse_names("a:,b:1:2", 32, Version("2.30.4")).tokens == (Token("a", 0), Token("b", 1))


def test_tokens_past_the_limit_and_characters_past_63_do_not_count() -> None:
    many = ",".join(f"d{number}" for number in range(40))
    assert len(parse_names(many, 32).tokens) == 32
    assert not parse_names(f"{many},x", 32).takes("x")
    assert parse_names("x" * 70, 32).tokens[0].name == "x" * 63


names = st.text(alphabet="roceP1s0f", min_size=1, max_size=6)
lists = st.text(alphabet="rocP1,:^= ", max_size=20)


@given(lists, names, st.integers(1, 3))
def test_negation_takes_exactly_the_rest(text: str, name: str, port: int) -> None:
    plain = parse_names(text.lstrip("^"), 32)
    assert parse_names("^" + text.lstrip("^"), 32).takes(name, port) != plain.takes(name, port)


@given(st.lists(names, min_size=1, max_size=5), names)
def test_the_order_of_a_list_has_no_effect(listed: list[str], name: str) -> None:
    assert parse_names(",".join(listed), 32).takes(name) == parse_names(",".join(reversed(listed)), 32).takes(name)


@given(st.lists(names, min_size=1, max_size=5), names)
def test_what_is_taken_exactly_is_taken_as_a_prefix(listed: list[str], name: str) -> None:
    exact = parse_names("=" + ",".join(listed), 32)
    assert not exact.takes(name) or parse_names(",".join(listed), 32).takes(name)
    assert exact.takes(name) == (name in listed)


@given(lists)
def test_every_text_parses_in_every_release(text: str) -> None:
    for version in ("2.18.1", "2.30.7"):
        assert isinstance(parse_names(text, 32, Version(version)), NameList)
