from __future__ import annotations

from pathlib import Path

from sparkdoctor.api import unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import healthy_node, healthy_spec
from tests.checks.forms import failed, running, through_snapshot
from tests.checks.recipe import pair

LOST = builtin_check("command-options-lost")
LINE = "        --tensor-parallel-size 2 --pipeline-parallel-size 1\n"


def test_a_comment_line_inside_the_folded_command(tmp_path: Path) -> None:
    node = pair(tmp_path, edit=(LINE, f"        # two ranks\n{LINE}")).nodes[0]
    finding = failed(node)["command-options-lost"].findings[0]
    assert finding.message.startswith("a `#` takes ")
    assert finding.message.endswith(" off the command of the server, from `--tensor-parallel-size` on")
    assert "--master-addr" in finding.seen[0].value
    assert finding.fix.run
    assert examine(LOST, through_snapshot(node)).findings[0] == finding


def test_a_whole_command_a_running_server_and_one_that_is_not_known() -> None:
    assert examine(LOST, healthy_node()).status is Status.PASSED
    assert examine(LOST, running()).status is Status.SKIPPED
    spec = healthy_spec(argv=unread("compose.yaml:45", "its entrypoint is a script"))
    assert examine(LOST, healthy_node(spec=spec)).status is Status.UNKNOWN
