from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Certainty, Check, Fact, ModelCache, Node, unread
from sparkdoctor.host import Mount
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot
from tests.checks.recipe import pair

INCOMPLETE = builtin_check("hf-cache-incomplete")
UNMOUNTED = builtin_check("hf-cache-unmounted")

HUB = "/home/user/.cache/huggingface/hub"
MODEL = "deepseek-ai/DeepSeek-V4-Flash"


def missing(*names: str, rank: int = 1) -> Node:
    host = healthy_host(rank)
    return healthy_node(rank, host=changed(host, caches=(changed(host.caches[0], missing=Fact(f"{HUB}/x", names)),)))


def with_env(**env: str | None) -> Node:
    return healthy_node(spec=healthy_spec(env=env))


def test_a_model_that_is_only_on_the_head() -> None:
    node = missing(f"{HUB}/models--deepseek-ai--DeepSeek-V4-Flash/")
    found = failed(healthy_node(0), node)
    assert list(found) == ["hf-cache-incomplete"]
    assert found["hf-cache-incomplete"].on == ("spark-2",)
    finding = found["hf-cache-incomplete"].findings[0]
    assert finding.message == (
        f"{MODEL} is not complete on spark-2: {HUB}/models--deepseek-ai--DeepSeek-V4-Flash/ missing, and HF_HUB_OFFLINE=1"
    )
    assert finding.fix.run == (f"HF_HUB_OFFLINE=0 HF_HOME=/home/user/.cache/huggingface hf download {MODEL}",)


def test_a_download_that_was_broken_off() -> None:
    finding = only_finding(INCOMPLETE, missing("model-00007-of-00046.safetensors", "blobs/4f.incomplete"))
    assert "model-00007-of-00046.safetensors and 1 more missing" in finding.message
    assert [seen.value for seen in finding.seen if seen.what == "missing"] == [
        "model-00007-of-00046.safetensors",
        "blobs/4f.incomplete",
    ]


@pytest.mark.parametrize(
    ("hub_offline", "transformers", "judged"),
    [
        ("1", None, True),
        ("true", None, True),
        ("ON", None, True),
        (None, "1", True),
        ("", "1", True),  # empty counts as unset
        ("0", "1", False),  # the first one set decides
        ("0", None, False),
        ("2", None, False),
        (None, None, False),
    ],
)
def test_what_forbids_downloads(hub_offline: str | None, transformers: str | None, judged: bool) -> None:
    node = missing("config.json", rank=0)
    spec = healthy_spec(env={"HF_HUB_OFFLINE": hub_offline, "TRANSFORMERS_OFFLINE": transformers})
    result = examine(INCOMPLETE, healthy_node(host=node.host, spec=spec))
    assert result.status is (Status.FAILED if judged else Status.SKIPPED)


def test_a_local_folder() -> None:
    spec = healthy_spec()
    words = tuple("/cache/huggingface/ds4" if word == MODEL else word for word in spec.argv.value)
    spec = changed(spec, argv=Fact("compose.yaml:45", words))
    folder = "/home/user/.cache/huggingface/ds4"
    host = changed(healthy_host(), caches=(ModelCache("", folder, Fact(folder, ("model.safetensors",))),))
    finding = only_finding(INCOMPLETE, healthy_node(host=host, spec=spec))
    assert finding.fix.run == (f"rsync -aL <the other node>:{folder}/ {folder}/",)
    assert finding.fix.certainty is Certainty.FILL_IN


def test_home_of_hf_points_beside_the_mount(tmp_path: Path) -> None:
    cluster = pair(tmp_path, edit=("HF_HOME: /cache/huggingface", "HF_HOME: /cache/hugingface"))
    found = failed(*cluster.nodes)
    assert list(found) == ["hf-cache-unmounted"]
    finding = found["hf-cache-unmounted"].findings[0]
    assert finding.message == (
        f"/cache/hugingface/hub, where the container looks for {MODEL}, is not mounted, and HF_HUB_OFFLINE=1"
    )
    assert finding.seen[1].where == f"HF_HOME, {tmp_path}/worker.yaml:14"
    assert finding.seen[2].value == "/home/user/.cache/huggingface:/cache/huggingface"
    assert finding.fix.edit == "volumes:\n  - /home/user/.cache/huggingface:/cache/hugingface"
    assert finding.fix.certainty is Certainty.TRY


def test_without_hf_home_it_is_the_users_own_folder_in_the_container() -> None:
    finding = only_finding(UNMOUNTED, with_env(HF_HOME=None))
    assert finding.message.startswith("/root/.cache/huggingface/hub, where the container looks")
    assert finding.seen[1].where == "compose.yaml (service vllm) sets neither HF_HOME nor HF_HUB_CACHE"


def test_a_user_whose_home_is_not_known() -> None:
    node = healthy_node(spec=changed(healthy_spec(env={"HF_HOME": None}), user=Fact("compose.yaml:5", "1000")))
    assert examine(UNMOUNTED, node).status is Status.UNKNOWN


def test_a_docker_volume_is_no_folder() -> None:
    spec = changed(healthy_spec(), mounts=Fact("compose.yaml:15", (Mount("hf-cache", "/cache/huggingface"),)))
    result = examine(UNMOUNTED, healthy_node(spec=spec))
    assert result.status is Status.UNKNOWN
    assert "the Docker volume hf-cache" in result.reason
    assert examine(INCOMPLETE, healthy_node(spec=spec)).status is Status.UNKNOWN


@pytest.mark.parametrize("check", [INCOMPLETE, UNMOUNTED], ids=lambda check: check.name)
def test_passes_and_could_not_look(check: Check) -> None:
    assert examine(check, healthy_node()).status is Status.PASSED
    assert examine(check, with_env(HF_HUB_OFFLINE=None)).status is Status.SKIPPED
    assert examine(check, shell({"HF_HUB_OFFLINE": "1"})).status is Status.SKIPPED
    dark = changed(healthy_node(), launch__env=unread("/proc/4211/environ", "Permission denied"))
    assert examine(check, dark).status is Status.UNKNOWN


def test_a_cache_that_could_not_be_read() -> None:
    host = healthy_host()
    shut = changed(host.caches[0], missing=unread(HUB, "Permission denied"))
    result = examine(INCOMPLETE, healthy_node(host=changed(host, caches=(shut,))))
    assert result.status is Status.UNKNOWN
    assert result.reason == f"{HUB}: Permission denied"
    nobody = examine(INCOMPLETE, healthy_node(host=changed(host, caches=())))
    assert nobody.reason == f"{HUB}: {MODEL} was not looked for on spark-1"


def test_a_running_process_a_bare_one_and_a_snapshot() -> None:
    gone = missing("config.json", rank=0)
    assert gone.host is not None
    node = running(host=gone.host)
    finding = only_finding(INCOMPLETE, node)
    assert finding.seen[0].where == "/proc/4211/environ"
    assert only_finding(INCOMPLETE, through_snapshot(node)) == finding
    assert node.launch is not None
    environ = {"HF_HUB_OFFLINE": Fact("/proc/77/environ", "1"), "HOME": Fact("/proc/77/environ", "/home/user")}
    bare = changed(node.launch, spec__container="", env=Fact("/proc/77/environ", environ))
    assert only_finding(INCOMPLETE, Node("spark-1", gone.host, bare)).seen[0].where == "/proc/77/environ"
