from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.archive import SEPARATOR, Entry, folders, parse, render

text = st.text(st.characters(exclude_categories=["Cs"]))
words = text.filter(bool)
entries = st.one_of(
    st.builds(Entry, text=text),
    st.builds(Entry, link=text),
    st.builds(Entry, folder=st.lists(words).map(tuple)),
    st.builds(Entry, problem=words, absent=st.booleans()),
)


@given(st.dictionaries(words, entries))
def test_what_is_rendered_parses_to_the_same_entries(recorded: dict[str, Entry]) -> None:
    assert parse(render(recorded), "x") == recorded


@given(st.text())
def test_any_text_parses_or_is_refused_with_its_line(anything: str) -> None:
    try:
        parse(anything, "x.ttar")
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = "x.ttar:"
    assert refusal.startswith("x.ttar:")


def test_the_form_is_ttar() -> None:
    recorded = {
        "/dev/infiniband": Entry(folder=("rdma_cm", "uverbs0")),
        "/proc/sys/kernel/osrelease": Entry(text="6.17.0\n"),
        "/sys/class/infiniband/rocep1s0f0/device": Entry(link="../../../0000:01:00.0"),
        "/sys/kernel/debug/kho": Entry(problem="Permission denied"),
        "netlink links": Entry(text="[]"),
    }
    assert (
        render(recorded)
        == f"""\
Directory: /dev/infiniband
Names: rdma_cm uverbs0
{SEPARATOR}
Path: /proc/sys/kernel/osrelease
Lines: 1
6.17.0
{SEPARATOR}
Path: /sys/class/infiniband/rocep1s0f0/device
SymlinkTo: ../../../0000:01:00.0
{SEPARATOR}
Path: /sys/kernel/debug/kho
Problem: Permission denied
{SEPARATOR}
Path: netlink links
NoEol: yes
Lines: 1
[]
"""
    )


def test_a_body_may_look_like_an_archive() -> None:
    body = "Path: /x\nLines: 1\n# ttar - - -\n"
    assert parse(f"Path: /a\nLines: 3\n{body}# ttar - -\nPath: /b\nLines: 0\n", "x") == {
        "/a": Entry(text=body),
        "/b": Entry(),
    }


def test_comments_and_empty_lines_between_entries_do_not_count() -> None:
    assert parse("# made by hand\n\nPath: /a\nLines: 1\none\n\n# real\nPath: /b\nLines: 0\n", "x").keys() == {
        "/a",
        "/b",
    }


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        ("Path: /a\nLines: 9\none\n", "x:2: /a: `Lines: 9` is no number or more than the rest of the file"),
        ("Path: /a\nLines: ²\n", "x:2: /a: `Lines: ²` is no number or more than the rest of the file"),
        ("Path: /a\nLines: -1\n", "x:2: /a: `Lines: -1` is no number or more than the rest of the file"),
        ("Path: /a\nBytes: 3\n", "x:2: unknown field 'Bytes' of /a"),
        ("Path: /a\n", "x:1: /a has no Lines, SymlinkTo, Problem or Absent"),
        ("Path: /a\nLines: 0\n# ttar -\nPath: /a\nLines: 0\n", "x:4: /a is here twice"),
        ("{}", "x:1: expected `Path: ...` or `Directory: ...`, found '{}'"),
        ("Path:\nLines: 0", "x:1: expected `Path: ...` or `Directory: ...`, found 'Path:'"),
    ],
)
def test_a_damaged_archive_is_refused_with_its_line(damaged: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^x:\d+: ") as refused:
        parse(damaged, "x")
    assert str(refused.value) == said


def test_folders_have_the_names_listed_and_those_that_paths_imply() -> None:
    recorded = {
        "/sys/class/net/lo/speed": Entry(text="1\n"),
        "/sys/class": Entry(folder=("net", "tty")),
        "/sys/gone": Entry(problem="No such file or directory", absent=True),
        "netlink links": Entry(text="[]"),
    }
    found = folders(recorded)
    assert found["/sys/class"] == ("net", "tty")
    assert found["/sys/class/net"] == ("lo",)
    assert "gone" not in found["/sys"]
