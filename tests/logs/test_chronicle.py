"""When and where lines were written, over several logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs.chronicle import Chronicle, Place
from sparkdoctor.logs.match import Hit, Matcher
from sparkdoctor.logs.read import Block
from tests.entries import signature


def hit(text: str, file: str = "a.log", name: str = "some-line", near: str = "", **captures: str) -> Hit:
    return Hit(name, file, 1, text, captures, near=near)


def chronicle(*hits: Hit) -> Chronicle:
    made = Chronicle()
    assert list(made.following(hits)) == list(hits)
    return made


def ready(file: str, time: str, comm: str = "0x1") -> Hit:
    return hit(f"2026-11-24T{time}Z x", file, "nccl-init-complete", comm=comm)


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    matcher = Matcher([signature("some-line", "some line")])
    data = b"[2026-11-24 15:24:41] spark-2:1:1 [0] x\n\n(Worker_TP1 pid=3) some line\n"
    [found] = matcher.scan([Block(1, data)], "a.log")
    assert found.near.startswith("[2026-11-24 15:24:41]")
    place = chronicle(found).place(found)
    assert (place.time, place.node, place.rank, place.process) == ("2026-11-24 15:24:41", "", 1, "Worker_TP1")


def test_the_only_node_of_a_log_wrote_all_of_it() -> None:
    first, second = hit("spark-2:1:1 [0] x"), hit("no prefix")
    assert chronicle(first, second).place(second).node == "spark-2"
    assert chronicle(first, second, hit("spark-1:1:1 [0] x")).place(second).node == ""


def test_a_rank_is_known_by_its_own_line_that_of_another_or_the_name() -> None:
    told = hit("x", rank="1", ranks="2")
    assert chronicle(told, hit("y")).place(hit("y")).rank == 1
    assert chronicle(hit("y", "rank3.log")).place(hit("y", "rank3.log")).rank == 3
    assert chronicle(told).ranks == 2
    assert chronicle(told, hit("y", "rank0.log")).ranks_seen() == {0, 1}


def test_the_offset_of_two_clocks_comes_from_events_in_common() -> None:
    late = hit("2026-11-24T15:01:00Z x", "b.log")
    made = chronicle(ready("a.log", "15:00:00"), ready("b.log", "15:00:30"), ready("a.log", "15:00:10", "0x2"),
                     ready("b.log", "15:00:40.5", "0x2"), late)  # fmt: skip
    first = made.place(hit("2026-11-24T15:00:00Z x", "a.log"))
    second = made.place(late)
    assert first.at is not None
    assert second.at == pytest.approx(first.at + 29.75)
    assert second.time == "2026-11-24 15:01:00+00:00"  # as the log has it
    assert made.remarks() == [
        "the clock of b.log is 30.2 s ahead of that of a.log, by 2 events that both log (nccl-init-complete)"
    ]


@pytest.mark.parametrize(
    "hits",
    [
        (ready("a.log", "15:00:00"), ready("b.log", "15:00:01")),  # no more than it takes
        (ready("a.log", "15:00:00"), ready("b.log", "15:00:30", "0x2")),  # another communicator
        (ready("a.log", "15:00:00"), ready("b.log", "15:00:30"), ready("b.log", "15:05:30")),  # started anew
        (ready("a.log", "15:00:00"), ready("b.log", "15:00:30"), ready("a.log", "15:01:00", "0x2"),
         ready("b.log", "15:02:00", "0x2")),  # they disagree
    ],
)  # fmt: skip
def test_no_offset_without_evidence(hits: tuple[Hit, ...]) -> None:
    made = chronicle(*hits)
    assert made.remarks() == []
    assert made.offsets == ()


def test_the_boot_time_of_a_node_is_known_to_its_kernel_log() -> None:
    syslog = hit("2026-11-24T15:00:10Z spark-1 kernel: [   10.000000] x", "syslog")
    dmesg = hit("[   70.000000] mlx5 x", "dmesg.spark-1.txt")
    assert chronicle(syslog, dmesg).place(dmesg).time.startswith("2026-11-24 15:01:10")
    alone = chronicle(dmesg).place(dmesg)
    assert (alone.at, alone.time) == (None, "70.000 s after boot")


def test_a_log_without_years_is_of_the_time_of_the_others() -> None:
    zoned, yearless = hit("2026-11-24T15:00:00Z x", "a.log"), hit("INFO 11-24 15:00:05 x", "b.log")
    made = chronicle(zoned, yearless)
    assert made.place(yearless).time == "2026-11-24 15:00:05"
    assert made.remarks() == ["b.log: the times have no zone and are taken as UTC"]


TEXTS = st.sampled_from(
    ["x", "[   70.000000] x", "INFO 11-24 15:00:05 x", "2026-11-24T15:00:00Z INFO 11-24 16:00:00 x", "1999-01-01T00:00:00Z x",
     "spark-1:1:1 [0] x", "Feb 29 00:00:00 h kernel: [ 1.000000] x", "(Worker_TP1 pid=3) x"]
) | st.text(max_size=30)  # fmt: skip
HITS = st.lists(
    st.builds(
        lambda text, file, name, comm: hit(text, file, name, comm=comm, rank="1", ranks=comm),
        TEXTS, st.sampled_from(["a.log", "b.log", "b.log.1", "rank1.log"]),
        st.sampled_from(["nccl-init-complete", "vllm-ranks-assigned", "y"]), st.sampled_from(["1", "²", ""]),
    ),
    max_size=10,
)  # fmt: skip


@given(HITS)
def test_no_lines_raise(hits: list[Hit]) -> None:
    made = chronicle(*hits)
    for one in hits:
        assert isinstance(made.place(one), Place)
        assert made.comparable(one.file, hits[0].file) == made.comparable(hits[0].file, one.file)
    made.remarks()
