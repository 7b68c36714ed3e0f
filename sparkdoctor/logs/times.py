"""Time stamps of logs: what a line says, and what it means once year, zone and boot time are known.

Few programs say all of it. NCCL and SGLang leave out the zone, vLLM, glog (PyTorch) and syslog the
year as well, and the kernel counts from its own start. A Clock holds what the rest of the file, or
of the files, tells about that. All functions are pure; none raises for any text.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from sparkdoctor.host import Data
from sparkdoctor.late import by_first, late

DAY = 86400.0
AHEAD = DAY
"""Seconds that a stamp may lie after the file was last written: clocks and zones differ."""
QUARTER = 900
"""Zones are whole quarters of an hour away from UTC (the tz database has no others today)."""
LATE = 120.0
"""Seconds between writing a line and its being stamped by whoever collects it."""


class Kind(enum.Enum):
    ZONED = "zoned"
    LOCAL = "local"
    """The zone is missing."""
    YEARLESS = "yearless"
    """Zone and year are missing."""
    BOOT = "boot"
    """Seconds since the kernel started."""


class Stamp(NamedTuple):
    """A time as a line gives it."""

    kind: Kind
    seconds: float
    """Since 1970 in UTC; of LOCAL and YEARLESS as if written in UTC, of YEARLESS in 2000; of BOOT since boot."""
    end: int
    """Where in the text it ends."""
    step: float
    """The unit of its last digit, in seconds."""


class Clock(Data, frozen=True):
    """What is known of the clock that wrote a log."""

    zone: int | None = None
    """Seconds east of UTC; None when nothing tells, and UTC is taken."""
    near: float | None = None
    """A moment (seconds since 1970, UTC) close to the end of the log, for the year."""
    boot: float | None = None
    """When the kernel started, seconds since 1970, UTC."""
    offset: float = 0.0
    """Seconds that this clock is ahead of the one that the others are compared with."""


_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?"
_NAMED = rf"(?P<name>{'|'.join(_MONTHS)})"

_DIGITS, _DAYS = "0123456789", "MTWFS"

# In this order: a later one would also take the beginning of an earlier one. Each with the characters that it may
# begin with.
_FORMS = by_first(
    (begins, late(form, re.ASCII))
    for begins, form in (
        # ISO 8601 and RFC 3339 (docker, kubectl, journalctl -o short-iso, dmesg --time-format iso), NCCL's
        # "[%F %T] " (its default NCCL_DEBUG_TIMESTAMP_FORMAT), `Tue 2026-11-24 15:24:41 UTC` of -o short-full.
        (
            f"[{_DAYS}{_DIGITS}",
            (
                r"\[?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)[T ]"
                rf"{_TIME}(?: ?(?P<zone>Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b))?"
            ),
        ),
        # vLLM's "%m-%d %H:%M:%S" after the level (vllm/logger.py)
        ("DIWEC", rf"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) (?P<month>\d\d)-(?P<day>\d\d) {_TIME}"),
        # glog, as PyTorch's C++ writes it: [W1124 15:24:41.123456789 file.cpp:1]; newer glog has the year
        ("[DIWEFCV", rf"\[?[DIWEFCV](?P<year>20\d\d)?(?P<month>\d\d)(?P<day>\d\d) {_TIME}"),
        # ctime(3): dmesg -T
        (
            f"[{_DAYS}",
            rf"\[?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_NAMED} {{1,2}}(?P<day>\d{{1,2}}) {_TIME} (?P<year>\d{{4}})",
        ),
        # RFC 3164: syslog, journalctl -o short
        ("JFMASOND", rf"{_NAMED} {{1,2}}(?P<day>\d{{1,2}}) {_TIME}"),
        # printk: seconds since boot
        ("[<", r"(?:<\d{1,3}>)?\[ {0,11}(?P<boot>\d{1,10}\.\d{6})\]"),
        # seconds or milliseconds since 1970: journalctl -o short-unix
        ("1", r"(?P<epoch>1\d{9})(?:\.(?P<part>\d{1,9})|(?P<milli>\d{3}))?(?=[ \t:,|])"),
    )
)


def stamp_at(text: str, at: int = 0) -> Stamp | None:
    """The time that begins at this character, None if there is none."""
    for form in _FORMS.get(text[at : at + 1], ()):
        found = form.match(text, at)
        if found:
            return _stamp(found)
    return None


def _stamp(found: re.Match[str]) -> Stamp | None:
    given = found.groupdict()
    end = found.end()
    if found.string[end : end + 1] == "]":
        end += 1
    if given.get("boot"):
        return Stamp(Kind.BOOT, float(given["boot"]), end, 1e-6)
    part = given.get("part") or ""
    seconds = float(f"0.{part}") if part else 0.0
    step = 10.0 ** -len(part)
    if given.get("epoch"):
        milli = given.get("milli")
        return Stamp(
            Kind.ZONED,
            int(given["epoch"]) + seconds + (int(milli) / 1000 if milli else 0),
            end,
            1e-3 if milli else step,
        )
    year, month = given.get("year"), given.get("month")
    try:
        moment = datetime(
            int(year) if year else 2000,
            int(month) if month else _MONTHS[given["name"]],
            int(given["day"]),
            int(given["hour"]),
            int(given["minute"]),
            min(int(given["second"]), 59),  # a leap second
            tzinfo=UTC,
        )
    except ValueError:  # a thirteenth month
        return None
    seconds += moment.timestamp()
    zone = given.get("zone")
    if zone:
        return Stamp(Kind.ZONED, seconds - _offset(zone), end, step)
    return Stamp(Kind.LOCAL if year else Kind.YEARLESS, seconds, end, step)


def _offset(zone: str) -> int:
    """Seconds east of UTC that `Z`, `UTC`, `+01:00` or `-0730` stands for."""
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def moment(stamp: Stamp, clock: Clock) -> float | None:
    """Seconds since 1970 in UTC; None for a stamp since boot when nobody knows when that was."""
    zone = clock.zone or 0
    match stamp.kind:
        case Kind.ZONED:
            seconds = stamp.seconds
        case Kind.LOCAL:
            seconds = stamp.seconds - zone
        case Kind.YEARLESS:
            dated = _in_year(stamp.seconds, clock.near)
            if dated is None:
                return None
            seconds = dated - zone
        case Kind.BOOT:
            if clock.boot is None:
                return None
            seconds = clock.boot + stamp.seconds
    return seconds - clock.offset


def _in_year(seconds: float, near: float | None) -> float | None:
    """A time in the year 2000 as the last such time that is not after `near`; None if no year has that day."""
    if near is None:
        return None
    try:
        latest = datetime.fromtimestamp(near + AHEAD, UTC)
        wanted = datetime.fromtimestamp(seconds, UTC)
        for year in range(latest.year, latest.year - 9, -1):  # 29 February: up to eight years back
            try:
                dated = wanted.replace(year=year)
            except ValueError:
                continue
            if dated <= latest:
                return dated.timestamp()
    except (ValueError, OverflowError, OSError):  # a file from the year 300000
        pass
    return None


def learn(lines: Iterable[Sequence[Stamp]], written: float | None) -> Clock:
    """What lines that carry several stamps, and whole dates, tell about the clock of their log.

    `written`: when the file was last written, seconds since 1970. A line that says the same time
    in two ways (`2026-11-24T14:24:41Z [2026-11-24 15:24:41] ...`) gives the zone or the boot time.
    """
    several = [stamps for stamps in lines if stamps]
    dated = [stamp.seconds for stamps in several for stamp in stamps if stamp.kind in (Kind.ZONED, Kind.LOCAL)]
    near = max(dated) if dated else written
    zones: Counter[int] = Counter()
    for stamps in several:
        zoned = next((stamp.seconds for stamp in stamps if stamp.kind is Kind.ZONED), None)
        if zoned is None:
            continue
        for stamp in stamps:
            here = stamp.seconds if stamp.kind is Kind.LOCAL else None
            if stamp.kind is Kind.YEARLESS:
                here = _in_year(stamp.seconds, zoned + DAY)
            if here is not None:
                zone = round((here - zoned) / QUARTER) * QUARTER
                if abs(here - zoned - zone) <= LATE and abs(zone) <= 14 * 3600:
                    zones[zone] += 1
    clock = Clock(zone=zones.most_common(1)[0][0] if zones else None, near=near)
    boots: list[float] = []
    for stamps in several:
        since = next((stamp.seconds for stamp in stamps if stamp.kind is Kind.BOOT), None)
        wall = next((moment(stamp, clock) for stamp in stamps if stamp.kind is not Kind.BOOT), None)
        if since is not None and wall is not None:
            boots.append(wall - since)
    # What was logged early in the boot is stamped late: the earliest is closest.
    return Clock(zone=clock.zone, near=near, boot=min(boots) if boots else None)


def shown(seconds: float, zone: int | None, step: float = 1e-3) -> str:
    """A moment as ISO 8601: in the log's own zone if known, else without one, as the log wrote it."""
    try:
        at = datetime.fromtimestamp(seconds, timezone(timedelta(seconds=zone or 0)))
        text = at.isoformat(sep=" ", timespec="seconds" if step >= 1 else "milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"@{seconds:.0f}"
    return text if zone is not None else text.removesuffix("+00:00")


def parse_since(text: str, now: float) -> float | None:
    """`90s`, `10m`, `2h`, `1d` before now, or a date with or without a zone (then UTC), as seconds since 1970."""
    found = re.fullmatch(r"(\d{1,9})\s*([smhd])", text.strip())
    if found:
        return now - int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    stamp = stamp_at(text.strip())
    if stamp is None or stamp.end != len(text.strip()) or stamp.kind in (Kind.BOOT, Kind.YEARLESS):
        return None
    return stamp.seconds
