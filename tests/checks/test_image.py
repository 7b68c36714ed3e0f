from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Cluster, Fact, Node
from sparkdoctor.host import Image
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import IMAGE, changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, running, through_snapshot
from tests.checks.recipe import pair

DIFFERS = builtin_check("image-differs")

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def node(rank: int, reference: str = IMAGE, identity: str = "", *digests: str) -> Node:
    """A rank whose machine has the image of this id, or has it not."""
    images = (Image(reference, identity, "arm64", digests, {}, ()),) if identity else ()
    host = changed(healthy_host(rank), docker__images=Fact("docker image inspect", images))
    return healthy_node(rank, host=host, spec=changed(healthy_spec(rank), image=Fact("compose.yaml:4", reference)))


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (node(0, IMAGE, A), node(1, IMAGE, A), Status.PASSED),
        (node(0, IMAGE, A), node(1, IMAGE, B), Status.FAILED),
        (node(0, IMAGE, A, f"x@{A}"), node(1, IMAGE, B, f"x@{A}"), Status.PASSED),  # two kinds of image store
        (node(0, "x:1", A), node(1, "y:2", A), Status.PASSED),  # two names of one image
        (node(0, "x:1"), node(1, "x:2"), Status.FAILED),
        (node(0, "x:1"), node(1, "x:1"), Status.PASSED),  # on neither machine yet
        (node(0, f"x@{A}", A, f"x@{A}"), node(1, f"x@{A}"), Status.PASSED),
        (node(0, IMAGE, A), node(1, IMAGE), Status.UNKNOWN),  # a pull may bring what the tag has become
    ],
)
def test_what_is_one_image(first: Node, second: Node, status: Status) -> None:
    assert examine(DIFFERS, Cluster((first, second))).status is status


def test_a_tag_that_moved() -> None:
    found = failed(node(0, IMAGE, A, f"aidendle94/sparkrun-vllm-ds4-gb10@{A}"), node(1, IMAGE, B))
    assert "image-differs" in found
    finding = found["image-differs"].findings[0]
    assert finding.message == f"{IMAGE} is another image on spark-2 than on spark-1"
    assert [seen.what for seen in finding.seen] == [
        "image on spark-1",
        "image on spark-2",
        "id on spark-1",
        "id on spark-2",
    ]
    assert finding.fix.do == "on spark-2, in compose.yaml, under services.vllm"
    assert finding.fix.edit == f"image: aidendle94/sparkrun-vllm-ds4-gb10@{A}"


def test_an_image_that_was_built_on_the_head_cannot_be_pulled() -> None:
    found = failed(node(0, IMAGE, A), node(1, IMAGE, B))
    fix = found["image-differs"].findings[0].fix
    assert fix.do == "on spark-2, load the image that spark-1 has, and create the container again"
    assert fix.edit == ""
    assert fix.run[0] == f"ssh spark-1 docker save {IMAGE} | docker load"
    assert "pull" not in "".join(fix.run)


def test_another_name_for_an_image_that_was_built_on_the_head() -> None:
    found = failed(node(0, "x:1", A), node(1, "x:2", B))
    fix = found["image-differs"].findings[0].fix
    assert fix.edit == "image: x:1"
    assert fix.run[0] == "ssh spark-1 docker save x:1 | docker load"


def test_two_tags_in_the_files(tmp_path: Path) -> None:
    found = failed(*pair(tmp_path, worker_edit=("gb10:production-ready", "gb10:latest"), hosts=(None, None)).nodes)
    finding = found["image-differs"].findings[0]
    assert finding.message == (
        "worker.env starts from aidendle94/sparkrun-vllm-ds4-gb10:latest,"
        " head.env from aidendle94/sparkrun-vllm-ds4-gb10:production-ready"
    )
    assert [seen.where for seen in finding.seen] == [f"{tmp_path}/head.yaml:3", f"{tmp_path}/worker.yaml:3"]


def test_no_images_and_one_rank() -> None:
    bare = Cluster(
        tuple(changed(each, launch__spec=changed(healthy_spec(), image=None)) for each in healthy_pair().nodes)
    )
    assert examine(DIFFERS, bare).status is Status.SKIPPED
    assert examine(DIFFERS, Cluster((healthy_node(),))).status is Status.SKIPPED


def test_running_ranks_and_snapshots() -> None:
    cluster = Cluster((running(0), running(1)))
    assert examine(DIFFERS, cluster).status is Status.PASSED
    moved = Cluster((node(0, IMAGE, A), node(1, IMAGE, B)))
    assert examine(DIFFERS, Cluster(tuple(map(through_snapshot, moved.nodes)))) == examine(DIFFERS, moved)
