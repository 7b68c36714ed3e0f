"""The hub folder: huggingface_hub's rules, through the mounts of a container."""

from __future__ import annotations

import pytest

from sparkdoctor.api import CannotTell, Fact, Node
from sparkdoctor.host import Mount
from sparkdoctor.launch.cache import hub_folder, on_machine, wanted_cache
from sparkdoctor.launch.types import CachedModel, Spec
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import shell

MODEL = "deepseek-ai/DeepSeek-V4-Flash"


def spec(
    *mounts: Mount, env: dict[str, str | None] | None = None, model: str = MODEL, flags: tuple[str, ...] = ()
) -> Spec:
    made = healthy_spec(env={"HF_HOME": None, **(env or {})})
    argv = Fact("compose.yaml:45", ("vllm", "serve", model, *flags))
    return changed(made, argv=argv, mounts=Fact("compose.yaml:15", mounts) if mounts else made.mounts)


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({}, "/root/.cache/huggingface/hub"),
        ({"HOME": "/home/me"}, "/home/me/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x", "HF_HOME": "/cache"}, "/cache/hub"),
        ({"HF_HOME": "~/hf"}, "/root/hf/hub"),
        ({"HF_HOME": "$BASE/hf/", "BASE": "/data"}, "/data/hf/hub"),
        ({"HF_HOME": "${BASE}/hf", "BASE": "/data"}, "/data/hf/hub"),
        ({"HF_HOME": "/cache", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ({"HF_HOME": "/cache", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/hub"}, "/hub"),
    ],
)
def test_what_decides_the_hub_folder(env: dict[str, str | None], folder: str) -> None:
    assert hub_folder(spec(env=env)).path == folder


def test_the_innermost_mount_holds_a_folder() -> None:
    made = spec(
        Mount("/srv/cache", "/cache"), Mount("/fast/hf", "/cache/huggingface/"), env={"HF_HOME": "/cache/huggingface"}
    )
    assert wanted_cache(made) == CachedModel("/fast/hf/hub", MODEL)
    assert on_machine(made, "/cache") == "/srv/cache"
    assert on_machine(made, "/cache/huggingface") == "/fast/hf"
    with pytest.raises(CannotTell, match="no mount holds /cachet"):
        on_machine(made, "/cachet")


def test_a_mount_of_the_whole_machine() -> None:
    assert on_machine(spec(Mount("/", "/host")), "/host/data/hub") == "/data/hub"
    assert on_machine(spec(Mount("/srv", "/")), "/data/hub") == "/srv/data/hub"


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("/models/ds4", CachedModel("", "/srv/models/ds4")),
        ("/models/ds4/", CachedModel("", "/srv/models/ds4")),
        ("~/ds4", None),  # /root is not mounted
        ("./ds4", None),
        ("s3://bucket/ds4", None),
    ],
)
def test_models_that_are_no_ids(model: str, wanted: CachedModel | None) -> None:
    assert wanted_cache(spec(Mount("/srv/models", "/models"), model=model)) == wanted


def test_a_revision_and_modelscope() -> None:
    here = Mount("/home/user/.cache/huggingface", "/root/.cache/huggingface")
    pinned = wanted_cache(spec(here, flags=("--revision", "60d8d70")))
    assert pinned == CachedModel("/home/user/.cache/huggingface/hub", MODEL, "60d8d70")
    assert wanted_cache(spec(here, env={"VLLM_USE_MODELSCOPE": "True"})) is None


def test_where_there_is_no_container() -> None:
    node: Node = shell({"HOME": "/home/user"})
    assert node.launch is not None
    assert wanted_cache(node.launch) is None  # a shell names no model
    bare = changed(node.launch.spec, argv=Fact("argv", ("vllm", "serve", MODEL)))
    assert wanted_cache(bare) == CachedModel("/home/user/.cache/huggingface/hub", MODEL)


def test_spec_and_launch_agree_and_the_images_environment_counts() -> None:
    node = healthy_node()
    assert node.launch is not None
    assert (
        wanted_cache(node.launch)
        == wanted_cache(node.launch.spec)
        == CachedModel("/home/user/.cache/huggingface/hub", MODEL)
    )
    host = healthy_host()
    image = changed(host.docker.images.value[0], env={"HF_HOME": "/cache/huggingface"})
    host = changed(host, docker__images=Fact("docker image inspect", (image,)))
    of_image = healthy_node(host=host, spec=healthy_spec(env={"HF_HOME": None}))
    assert of_image.launch is not None
    assert wanted_cache(of_image.launch) == CachedModel("/home/user/.cache/huggingface/hub", MODEL)
    assert wanted_cache(of_image.launch.spec) is None
