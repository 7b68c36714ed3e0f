"""Time stamps of every program, and what the rest of a log tells about them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs.times import Clock, Kind, Stamp, learn, moment, parse_since, shown, stamp_at

WHEN = datetime(2026, 11, 24, 15, 24, 41, tzinfo=UTC).timestamp()
IN_2000 = datetime(2000, 11, 24, 15, 24, 41, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "kind", "seconds"),
    [
        ("[2026-11-24 15:24:41] spark-2:312:455 [0] x", Kind.LOCAL, WHEN),  # NCCL
        ("INFO 11-24 15:24:41 [parallel_state.py:1] x", Kind.YEARLESS, IN_2000),  # vLLM
        ("WARNING 11-24 15:24:41.250 [x.py:1] x", Kind.YEARLESS, IN_2000 + 0.25),
        ("[W1124 15:24:41.500000000 socket.cpp:207] x", Kind.YEARLESS, IN_2000 + 0.5),  # PyTorch
        ("E20261124 15:24:41.500000 7 x.cc:1] x", Kind.LOCAL, WHEN + 0.5),  # glog 0.5
        ("[2026-11-24 15:24:41 TP0] x", Kind.LOCAL, WHEN),  # SGLang
        ("2026-11-24T15:24:41.123456789Z x", Kind.ZONED, WHEN + 0.123456789),  # docker, kubectl
        ("2026-11-24T16:24:41+01:00 x", Kind.ZONED, WHEN),
        ("2026-11-24T07:54:41-0730 x", Kind.ZONED, WHEN),  # journalctl -o short-iso
        ("2026-11-24T15:24:41,123456+00:00 x", Kind.ZONED, WHEN + 0.123456),  # dmesg --time-format iso
        ("Tue 2026-11-24 15:24:41 UTC spark-1 x", Kind.ZONED, WHEN),  # journalctl -o short-full
        ("Nov 24 15:24:41 spark-1 x", Kind.YEARLESS, IN_2000),  # syslog
        ("Nov 24 15:24:41.250000 spark-1 x", Kind.YEARLESS, IN_2000 + 0.25),
        ("[Tue Nov 24 15:24:41 2026] x", Kind.LOCAL, WHEN),  # dmesg -T
        ("[   12.345678] x", Kind.BOOT, 12.345678),  # dmesg
        ("<6>[   12.345678] x", Kind.BOOT, 12.345678),
        (f"{WHEN:.6f} spark-1 x", Kind.ZONED, WHEN),  # journalctl -o short-unix
        (f"{WHEN * 1000:.0f} x", Kind.ZONED, WHEN),
        ("2026/11/24 15:24:41 x", Kind.LOCAL, WHEN),
        ("2026-11-24 15:24:60 x", Kind.LOCAL, WHEN + 18),  # a leap second
    ],
)
def test_stamps(text: str, kind: Kind, seconds: float) -> None:
    stamp = stamp_at(text)
    assert stamp is not None
    assert stamp.kind is kind
    assert stamp.seconds == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "text", ["", "[0] x", "2026-13-24 15:24:41", "2026-02-30 15:24:41", "2026-11-24", "[rank1]: x", "1795533881x", "5: x",
             "INFO x", "INFO 13-24 15:24:41", "Nov 31 15:24:41"]
)  # fmt: skip
def test_what_is_no_stamp(text: str) -> None:
    assert stamp_at(text) is None


def stamp(text: str) -> Stamp:
    found = stamp_at(text)
    assert found is not None
    return found


def test_a_missing_year_is_that_of_the_file_or_the_one_before() -> None:
    near = datetime(2027, 1, 2, tzinfo=UTC).timestamp()
    assert moment(stamp("INFO 11-24 15:24:41 x"), Clock(near=near)) == WHEN
    assert (
        moment(stamp("INFO 01-01 15:24:41 x"), Clock(near=near))
        == datetime(2027, 1, 1, 15, 24, 41, tzinfo=UTC).timestamp()
    )
    assert moment(stamp("INFO 11-24 15:24:41 x"), Clock()) is None


def test_29_february_is_of_a_leap_year() -> None:
    near = datetime(2027, 1, 2, tzinfo=UTC).timestamp()
    assert moment(stamp("Feb 29 00:00:00 x"), Clock(near=near)) == datetime(2024, 2, 29, tzinfo=UTC).timestamp()


def test_two_times_of_one_line_give_the_zone() -> None:
    lines = [[stamp("2026-11-24T15:24:41.5Z"), stamp("INFO 11-24 16:24:41 x")]]
    clock = learn(lines, None)
    assert clock.zone == 3600
    assert moment(stamp("INFO 11-24 16:24:41 x"), clock) == WHEN
    assert learn([[stamp("2026-11-24T15:24:41Z"), stamp("2026-11-24 15:33:00")]], None).zone is None  # late, no zone


def test_wall_and_boot_time_of_one_line_give_the_boot_time() -> None:
    lines = [
        [stamp("2026-11-24T15:24:43Z"), stamp("[    2.000000]")],
        [stamp("2026-11-24T15:24:59Z"), stamp("[   3.000000]")],
    ]
    clock = learn(lines, None)
    assert clock.boot == WHEN
    assert moment(stamp("[   10.000000] x"), clock) == WHEN + 10
    assert moment(stamp("[   10.000000] x"), Clock()) is None


def test_the_file_dates_what_has_no_year() -> None:
    assert moment(stamp("Nov 24 15:24:41 x"), learn([[stamp("Nov 24 15:24:41 x")]], WHEN + 60)) == WHEN


def test_an_offset_is_taken_off() -> None:
    assert moment(stamp("2026-11-24T15:24:41Z"), Clock(offset=30.0)) == WHEN - 30


def test_shown() -> None:
    assert shown(WHEN, 3600, 1.0) == "2026-11-24 16:24:41+01:00"
    assert shown(WHEN, None, 1e-6) == "2026-11-24 15:24:41.000"
    assert shown(1e30, None).startswith("@")


def test_since() -> None:
    assert parse_since("10m", WHEN) == WHEN - 600
    assert parse_since("2026-11-24 15:24:41", 0) == WHEN
    assert parse_since("2026-11-24T16:24:41+01:00", 0) == WHEN
    for text in ("", "yesterday", "Nov 24 15:24:41", "2026-11-24 15:24:41 x", "-5m"):
        assert parse_since(text, WHEN) is None


STAMPS = st.builds(Stamp, st.sampled_from(Kind), st.floats(-1e11, 1e12), st.integers(0, 9), st.just(1.0))
CLOCKS = st.builds(
    Clock,
    st.none() | st.integers(-50400, 50400),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.floats(allow_nan=False),
)


@given(st.text(alphabet="0123456789-:/[]<>.,+ ZTWEINFOovTue", max_size=40))
def test_no_text_raises(text: str) -> None:
    found = stamp_at(text)
    if found is not None:
        assert 0 < found.end <= len(text)
        moment(found, Clock(near=WHEN, boot=WHEN))


@given(st.lists(st.lists(STAMPS, max_size=3), max_size=4), st.none() | st.floats(allow_nan=False))
def test_nothing_learned_raises(lines: list[list[Stamp]], written: float | None) -> None:
    learn(lines, written)


@given(STAMPS, CLOCKS)
def test_no_moment_raises(given_stamp: Stamp, clock: Clock) -> None:
    at = moment(given_stamp, clock)
    if at is not None:
        shown(at, clock.zone)


@given(st.datetimes(datetime(2016, 1, 1), datetime(2099, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC)))
def test_every_date_comes_back(at: datetime) -> None:
    seconds = at.timestamp()
    clock = Clock(near=seconds)
    for form in (
        "%Y-%m-%d %H:%M:%S x",
        "INFO %m-%d %H:%M:%S x",
        "[W%m%d %H:%M:%S.000 x",
        "[%a %b %e %H:%M:%S %Y] x",
        "%b %e %H:%M:%S x",
    ):
        assert moment(stamp(at.strftime(form)), clock) == seconds, form
