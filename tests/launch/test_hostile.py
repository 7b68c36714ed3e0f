"""Files that mean harm or mean nothing: one clear line each, in bounded time and memory."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor import archive
from sparkdoctor.launch import yaml_tree
from sparkdoctor.launch.compose import default_files, ranks, read_compose
from sparkdoctor.launch.types import LaunchError, Remark
from sparkdoctor.launch.yaml_tree import MAX_NODES, MAX_TEXT, read_documents
from sparkdoctor.system import Live, Recorded
from tests.launch.composing import machine, one, read

OK = "services: {a: {image: x}}\n"


def refused(text: str) -> str:
    with pytest.raises(LaunchError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_alias_bomb() -> None:
    # compose-go v2.13.0 loader/reset_test.go TestAliasBombPrevented B9_N9
    lines = ["x-a: &a {k: v}"]
    lines += [f"x-{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)]
    assert f"more than {MAX_NODES} values" in refused("\n".join(lines) + "\n" + OK)


def test_merge_key_bomb() -> None:
    lines = ["x-0: &a0 {k: v}"]
    lines += [f"x-{n}: &a{n} {{l: {{<<: *a{n - 1}}}, r: {{<<: *a{n - 1}}}}}" for n in range(1, 40)]
    assert f"more than {MAX_NODES} values" in refused("\n".join(lines) + "\n" + OK)


def test_too_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    # TestVisitCounterLimit
    monkeypatch.setattr(yaml_tree, "MAX_NODES", 1000)
    assert "more than 1000 values" in refused(OK + "x-d: [" + "1," * 1001 + "]\n")


def test_a_large_file_is_fine() -> None:
    # TestLargeLegitimateFile, smaller: PyYAML is slow
    env = "".join(f"      KEY_{n}: val\n" for n in range(60))
    specs = read("services:\n" + "".join(f"  s{n}:\n    image: x\n    environment:\n{env}" for n in range(20)))
    assert len(specs) == 20
    assert len(specs["s19"].env.value) == 60


@pytest.mark.parametrize(
    "text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "".join(f"{' ' * n}a:\n" for n in range(500))]
)
def test_deep_nesting(text: str) -> None:
    assert "nested more than 64 deep" in refused(text)


def test_a_huge_file() -> None:
    with pytest.raises(LaunchError, match="larger than 512 KiB"):
        read_documents("#" * (MAX_TEXT + 1), "c", "/")


def test_variables_that_multiply() -> None:
    text = "services: {a: {image: x, environment: {A: '" + "${B}" * 2000 + "'}}}\n"
    with pytest.raises(LaunchError, match="longer than 1 MiB"):
        read(text, environ={"B": "x" * 1000})


def test_tags_build_nothing() -> None:
    spec = one(
        "services: {a: {image: x, environment: {A: !!python/object/apply:os.system ['x']}}}\n".replace("['x']", "x")
    )
    assert spec.env.value["A"].value == "x"


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {image: x, environment: {A: \"\\uD800\"}}}\n",
        "services: {a: {image: x, environment: {A: \"\\U00110000\"}}}\n",
        "services: {a: {image: x, shm_size: " + "9" * 5000 + "}}\n",
        "services: {a: {image: x, ulimits: {memlock: " + "9" * 5000 + "}}}\n",
        "services: {a: {image: x, shm_size: 1e400}}\n",
        "services: {a: {image: x, environment: {A: 1e400, B: .inf, C: " + "1" * 5000 + "}}}\n",
        "services: {a: {image: x, environment: {A: !!float x, B: !!int x, C: !!bool x}}}\n",
        "\x00", "\x01", "\ufeff", "%YAML 9.9\n---\n" + OK, "%TAG ! x\n---\n" + OK, "--- !!map\n" + OK, "...", "---\n---\n",
        "? a\n: b\n", "? [a]\n: b\n", "<<: {}\n", "<<: [1]\n" + OK, "&a", "*a", "!x", "!", "|", "- >-\n", "\t", "a: *a",
        "services: ", "services: []", "services: {a: }", "services: {a: []}", "services: {a: 1}", "services: {1: {}}",
        "include: x\n", "include: [1]\n" + OK, "include: [{}]\n" + OK, "include: [compose.yaml]\n", "include: [https://x]\n",
        "services: {a: {extends: 1}}\n", "services: {a: {extends: []}}\n", "services: {a: {extends: {file: git@x}}}\n",
        "services: {a: {extends: {file: /p, service: a}}}\n", "services: {a: {extends: {service: [a]}}}\n",
        "services: {a: {image: x, profiles: 1}}\n", "services: {a: {image: x, env_file: 1}}\n",
        "services: {a: {image: x, env_file: [{path: [a]}]}}\n", "services: {a: {image: x, env_file: [{}]}}\n",
        "services: {a: {image: x, env_file: [{path: a, required: 5}]}}\n",
        "services: {a: {image: x, ulimits: 1}}\n", "services: {a: {image: x, ulimits: {memlock: []}}}\n",
        "services: {a: {image: x, devices: [1]}}\n", "services: {a: {image: x, devices: [{}]}}\n",
        "services: {a: {image: x, gpus: 1}}\n", "services: {a: {image: x, gpus: [1]}}\n",
        "services: {a: {image: x, deploy: 1}}\n", "services: {a: {image: x, deploy: {resources: {reservations: {devices: 1}}}}}\n",
        "services: {a: {image: x, volumes: 1}}\n", "services: {a: {image: x, volumes: [[]]}}\n",
        "services: {a: {image: x, tmpfs: [[]]}}\n", "services: {a: {image: x, tmpfs: '/dev/shm:size=x'}}\n",
        "services: {a: {image: x, command: {}}}\n", "services: {a: {image: x, entrypoint: [[]]}}\n",
        "services: {a: {image: !reset x}}\n", "services: !reset {}\n", "!reset a: b\n", "services: {a: !override }\n",
    ],
)  # fmt: skip
def test_nothing_but_a_launch_error(text: str) -> None:
    with suppress(LaunchError):
        read(text)


TREE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "/dev/infiniband:/x", "64gb", "${A}", "$B", "A=1", "x:y:z", "host", "all", "-1", "b: c"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["soft", "hard", "target", "source", "type", "path", "file", "service", "A", "size"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
KEYS = ["image", "environment", "env_file", "extends", "command", "entrypoint", "ulimits", "shm_size", "devices",
        "volumes", "tmpfs", "gpus", "deploy", "profiles", "privileged", "cap_add", "ipc"]  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(KEYS), TREE, max_size=6), st.dictionaries(st.sampled_from(KEYS), TREE, max_size=6)
)
def test_no_tree_raises_anything_else(base: dict[str, Any], over: dict[str, Any]) -> None:
    """JSON is YAML; what compose's schema would refuse has to be refused or survived, alone and merged."""
    files = {
        "compose.yaml": json.dumps({"services": {"a": base, "b": {"extends": "a", **over}}}),
        "over.yaml": json.dumps({"services": {"a": over, "b": base}}),
    }
    for use in (("compose.yaml",), ("compose.yaml", "over.yaml")):
        with suppress(LaunchError):
            read(files, use=use, environ={"A": "1"})


def test_a_file_that_is_not_there_or_not_readable() -> None:
    assert refused_files({}) == "/p/compose.yaml: no such file"
    entries = {
        "/p/compose.yaml": archive.Entry(problem="Permission denied"),
        "/p": archive.Entry(folder=("compose.yaml",)),
    }
    recorded = Recorded(archive.render(entries))
    with pytest.raises(LaunchError, match=r"/p/compose\.yaml: Permission denied"):
        read_compose(recorded, ["/p/compose.yaml"])
    with pytest.raises(LaunchError, match="no compose file is named"):
        read_compose(recorded, [])


def refused_files(files: dict[str, str]) -> str:
    with pytest.raises(LaunchError) as caught:
        read({"other": "", **files})
    return str(caught.value)


def test_a_recording_without_the_env_file_cannot_tell() -> None:
    recorded = Recorded(archive.render({"/p/compose.yaml": archive.Entry(text=OK)}))
    with pytest.raises(LaunchError, match=r"/p/\.env: not recorded"):
        read_compose(recorded, ["/p/compose.yaml"])


def test_paths_are_shown_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "head").mkdir()
    (tmp_path / "head/compose.yaml").write_text("services:\n  a:\n    image: ${IMAGE}\n    env_file: ../a.env\n")
    (tmp_path / "head/.env").write_text("IMAGE=x\n")
    (tmp_path / "a.env").write_text("A=1\n")
    monkeypatch.chdir(tmp_path)
    (spec,) = read_compose(Live(), ["head/compose.yaml"])
    assert spec.image is not None
    assert spec.image.where == "head/compose.yaml:3 (IMAGE from head/.env:1)"
    assert spec.env.value["A"].where == "a.env:1"
    monkeypatch.chdir(tmp_path / "head")
    (spec,) = read_compose(Live(), ["compose.yaml"])
    assert spec.env.value["A"].where == "../a.env:1"
    with pytest.raises(LaunchError, match=r"^head\.yaml: no such file$"):
        read_compose(Live(), ["head.yaml"])
    with pytest.raises(LaunchError, match=r"^no\.env: no such file$"):
        read_compose(Live(), ["compose.yaml"], ["no.env"])


def test_default_files() -> None:
    # compose-go v2.13.0 cli/options.go DefaultFileNames, DefaultOverrideFileNames
    names = ("docker-compose.yml", "compose.yml", "compose.override.yaml", "other.yaml")
    assert default_files(machine(dict.fromkeys(names, OK)), "/p") == ("/p/compose.yml", "/p/compose.override.yaml")
    assert default_files(machine({"other.yaml": OK}), "/p") == ()


def test_ranks_are_told_from_what_stands_beside_them() -> None:
    specs = read(
        """\
        services:
          gpu: {image: a, gpus: all}
          nccl: {image: a, environment: {NCCL_DEBUG: INFO}}
          rendezvous: {image: a, environment: [MASTER_ADDR=x]}
          rdma: {image: a, devices: [/dev/infiniband/uverbs0]}
          server: {image: a, command: [bash, -c, "exec python3 -m sglang.launch_server"]}
          ray: {image: a, command: ray start --head}
          proxy: {image: nginx, environment: {PORT: 80}, command: [nginx], devices: [/dev/fuse]}
          db: {image: postgres}
        """
    )
    assert [spec.service for spec in ranks(tuple(specs.values()))] == [
        "gpu", "nccl", "rendezvous", "rdma", "server", "ray",
    ]  # fmt: skip


def test_every_service_in_a_profile_that_is_off() -> None:
    # docker compose starts nothing then and says `no service selected`
    text = "services: {a: {image: x, profiles: [head]}, b: {image: x, profiles: [worker, head]}}\n"
    assert refused(text) == "/p/compose.yaml: every service is in a profile that is off: head, worker"


def test_names_from_the_environment_of_compose() -> None:
    files = {"compose.yaml": "services: {a: {image: x, environment: [A]}}\n", "one.env": "A=1\n", ".env": "A=0\n"}
    assert one(files, environ={"COMPOSE_ENV_FILES": "/p/one.env"}).env.value["A"].value == "1"
    assert one(files, environ={"COMPOSE_DISABLE_ENV_FILE": "1"}).unset == ("A",)


def test_known_difference_a_colon_before_a_brace() -> None:
    # go-yaml reads `{A:}` as the name `A:`, PyYAML (and YAML 1.2) as `A` without a value
    assert one("services: {a: {image: x, environment: {A:}}}\n").unset == ("A",)


def test_known_difference_base64() -> None:
    # go-yaml decodes !!binary; nobody writes it into an environment
    spec = one("services: {a: {image: x, environment: {A: !!binary aGk=}}}\n")
    assert spec.env.value["A"].value == "aGk="


def test_known_difference_an_unknown_key_does_not_stop_us() -> None:
    # docker compose refuses the file; a newer one may know the key
    assert one("services: {a: {image: x, shmsize: 1}}\n").remarks == (
        Remark(
            "/p/compose.yaml:1",
            "`shmsize` is no key of a service that docker compose 5.3 knows; the nearest is `shm_size`",
        ),
    )


def test_known_difference_reset_of_a_variable_in_a_list() -> None:
    # docker compose 2.40.3 keeps A here: its !reset finds names in a mapping only
    files = {
        "compose.yaml": "services: {a: {image: x, environment: [A=1, B=2]}}\n",
        "over.yaml": "services: {a: {environment: {A: !reset }}}\n",
    }
    assert list(one(files, use=("compose.yaml", "over.yaml")).env.value) == ["B"]
