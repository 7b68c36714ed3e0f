from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparkdoctor.archive import Entry
from sparkdoctor.facts import Wanted
from sparkdoctor.facts.software import parse_direct_url, parse_envs, parse_moe_backends, software
from sparkdoctor.host import Software
from sparkdoctor.system import Live, Recorded
from sparkdoctor.testing import changed
from tests import recordings
from tests.recordings import absent, files, folder, problem

IMAGE = "aidendle94/sparkrun-vllm-ds4-gb10:production-ready"
ID = "4f" * 32
METADATA = "Metadata-Version: 2.4\nName: vllm\nVersion: 0.21.1\nRequires-Dist: torch==2.11.0\nRequires-Dist: xgrammar>=0.1; extra == 'x'\n\nRequires-Dist: not-this-one\n"
ENVS = 'environment_variables = {\n    "VLLM_PORT": lambda: os.getenv("VLLM_PORT"),\n    "VLLM_USE_B12X_MOE": ...,\n}\n'
KERNEL = 'MoEBackend = Literal[\n    "auto",\n    "marlin",\n]\nLinearBackend = Literal["torch"]\n'


def environment(root: str, site: str = "/opt/env/lib/python3.12/site-packages") -> dict[str, str | Entry]:
    """The files of an environment with vllm, torch, xgrammar and something that does not matter."""
    return {
        f"{root}{site.rpartition('/')[0]}": folder("site-packages"),
        f"{root}{site}": folder(
            "vllm", "vllm-0.21.1.dist-info", "torch-2.11.0+cu130.dist-info", "xgrammar-0.1.30.dist-info",
            "nvidia_cutlass_dsl-4.5.2.dist-info", "leftpad-1.0.dist-info", "README.txt",
        ),
        f"{root}{site}/vllm-0.21.1.dist-info/METADATA": METADATA,
        f"{root}{site}/vllm/envs.py": ENVS,
        f"{root}{site}/vllm/config/kernel.py": KERNEL,
    }  # fmt: skip


PACKAGES = {"nvidia-cutlass-dsl": "4.5.2", "torch": "2.11.0+cu130", "vllm": "0.21.1", "xgrammar": "0.1.30"}


def looked(system: Recorded, **wanted: tuple[str, ...]) -> Software:
    (found,) = software(system, changed(Wanted(), **wanted))
    return found


def test_a_prefix() -> None:
    system = files({**environment(""), "processes all": "[]", "/opt/env/lib": folder("python3.12")})
    found = looked(system, prefixes=("/opt/env",))
    assert found.key == "prefix:/opt/env"
    assert found.packages.value == PACKAGES
    assert found.packages.where == "/opt/env /opt/env/lib/python3.12/site-packages"
    assert found.requires.value == ("torch==2.11.0", "xgrammar>=0.1; extra == 'x'")
    assert found.vllm_env.value == ("VLLM_PORT", "VLLM_USE_B12X_MOE")
    assert found.moe_backends.value == ("auto", "marlin")


def test_an_image_that_does_not_run() -> None:
    found = looked(recordings.machine("spark-1"), images=(IMAGE,))
    assert found.key == f"image:{IMAGE}"
    assert found.packages.value["vllm"] == "0.21.1"
    assert found.packages.value["nvidia-cutlass-dsl"] == "4.5.2"
    assert "VLLM_USE_B12X_MOE" in found.vllm_env.value
    assert "nvidia-cutlass-dsl==4.5.2" in found.requires.value
    assert "marlin" in found.moe_backends.value


def test_an_image_whose_layers_only_root_may_read() -> None:
    system = recordings.machine("spark-1")
    layer = next(path for path in system._entries if path.startswith("layer ") and path.endswith("/diff /"))
    found = looked(recordings.machine("spark-1", {layer: problem("Permission denied")}), images=(IMAGE,))
    for fact in (found.packages, found.requires, found.vllm_env, found.moe_backends):
        assert fact.problem == "Permission denied; run sparkdoctor as root (sudo) to look into it"
        assert not fact.absent


def test_an_image_that_is_not_here() -> None:
    system = files({"processes all": "[]", "docker image x:y": absent("No such image: x:y")})
    found = looked(system, images=("x:y",))
    assert (found.packages.problem, found.packages.absent) == ("No such image: x:y", True)


def test_an_engine_that_keeps_its_images_in_containerd() -> None:
    """Docker 29 on a fresh machine: no GraphDriver in the answer."""
    answer = json.dumps({"Id": "sha256:0a", "Architecture": "arm64", "GraphDriver": {}})
    found = looked(files({"processes all": "[]", "docker image x:y": answer}), images=("x:y",))
    assert "does not say where the image's files are" in found.packages.problem
    assert "start the container" in found.packages.problem
    assert not found.packages.absent


CONTAINER = {
    "Id": ID, "Name": "/vllm", "Image": "sha256:0a", "State": {"Running": True, "Pid": 4242},
    "Config": {"Env": ["PATH=/opt/env/bin:/usr/bin"], "Image": "x:y"}, "HostConfig": {},
}  # fmt: skip


def test_a_container_without_a_server_in_it() -> None:
    root = "/proc/4242/root"
    system = files({**environment(root), "processes all": "[]", f"docker container {ID}": json.dumps(CONTAINER)})
    found = looked(system, containers=(ID,))
    assert (found.key, found.packages.value) == (f"container:{ID}", PACKAGES)
    assert found.packages.where == "container vllm /opt/env/lib/python3.12/site-packages"


def test_a_container_of_somebody_else() -> None:
    answers = {"processes all": "[]", f"docker container {ID}": json.dumps(CONTAINER)}
    found = looked(files({**answers, "/proc/4242/root/opt/env/lib": problem("Permission denied")}), containers=(ID,))
    assert found.packages.where == "/proc/4242/root/opt/env/lib"
    assert found.packages.problem == "Permission denied; run sparkdoctor as root (sudo) to look into it"


def test_a_container_that_stopped_is_looked_at_through_its_image() -> None:
    stopped = {**CONTAINER, "State": {"Running": False, "Pid": 0}}
    system = files(
        {"processes all": "[]", f"docker container {ID}": json.dumps(stopped), "docker image sha256:0a": problem("no")}
    )
    assert looked(system, containers=(ID,)).packages.where == "docker image inspect sha256:0a"


def test_a_running_server_is_looked_at_unasked_and_without_docker() -> None:
    """The interpreter is told by how it was called: a virtual environment's python is a link to another one."""
    server = [{"pid": 7, "name": "python3", "kind": "server", "container": ID}]
    system = files(
        {
            **environment("/proc/7/root", "/workspace/.venv/lib/python3.12/site-packages"),
            "/proc/7/root/usr": folder("lib"),
            "/proc/7/root/usr/lib": folder("python3"),
            "processes all": json.dumps(server),
            "cmdline 7": '["/workspace/.venv/bin/python3", "/workspace/.venv/bin/vllm", "serve"]',
            "link /proc/7/exe": "/usr/bin/python3.12",
            "environ 7": problem("Permission denied"),
        }
    )
    found = looked(system)
    assert (found.key, found.packages.value) == (f"container:{ID}", PACKAGES)
    assert found.packages.where == f"container {ID[:12]} /workspace/.venv/lib/python3.12/site-packages"


def test_a_running_server_on_the_host_has_its_prefix_for_a_key() -> None:
    system = files(
        {
            **environment(""),
            "processes all": '[{"pid": 7, "name": "vllm", "kind": "server", "container": ""}]',
            "cmdline 7": '["VLLM::EngineCore"]',
            "link /proc/7/exe": "/usr/bin/python3.12",
            "environ 7": '{"VIRTUAL_ENV": "/opt/env"}',
            "/usr": folder(),
        }
    )
    assert looked(system).key == "prefix:/opt/env"


def test_a_server_of_somebody_else_may_have_any_environment() -> None:
    denied = problem("Permission denied")
    system = files(
        {
            "processes all": '[{"pid": 7, "name": "vllm", "kind": "server", "container": ""}]',
            "cmdline 7": '["VLLM::EngineCore"]',
            "link /proc/7/exe": denied,
            "environ 7": denied,
            "/usr": folder(),
        }
    )
    found = looked(system)
    assert (found.key, found.packages.where) == ("prefix:/proc/7/exe", "/proc/7/exe")
    assert found.packages.problem == "Permission denied; run sparkdoctor as root (sudo) to look into it"
    assert not found.packages.absent


def test_packages_of_two_pythons_are_not_mixed() -> None:
    system = files(
        {
            "processes all": "[]",
            "/usr/local/lib": folder("python3.9", "python3.12"),
            "/usr/local/lib/python3.9/dist-packages": folder("torch-2.0.0.dist-info", "ray-2.0.0.dist-info"),
            "/usr/local/lib/python3.9": folder("dist-packages"),
            "/usr/local/lib/python3.12": folder("dist-packages"),
            "/usr/local/lib/python3.12/dist-packages": folder("torch-2.11.0.dist-info"),
            "/usr/lib": folder("python3"),
            "/usr/lib/python3": folder("dist-packages"),
            "/usr/lib/python3/dist-packages": folder("torch-1.0.dist-info", "triton-1.0.dist-info"),
        }
    )
    found = looked(system, prefixes=("/usr",))
    assert found.packages.value == {"torch": "2.11.0", "triton": "1.0"}
    assert found.vllm_env.problem == "vllm is not installed there"
    assert found.vllm_env.absent


def test_two_versions_side_by_side_are_not_guessed_between() -> None:
    site = "/opt/env/lib/python3.12/site-packages"
    changes = {site: folder("torch-2.10.0.dist-info", "torch-2.11.0.dist-info")}
    system = files({**environment(""), **changes, "processes all": "[]"})
    found = looked(system, prefixes=("/opt/env",))
    assert found.packages.problem == "two versions of torch are installed side by side: 2.10.0 and 2.11.0"
    assert found.packages.where == site


def test_nothing_that_matters_is_installed() -> None:
    system = files({"processes all": "[]", "/opt/env/lib": absent(), "/opt/env/lib64": absent()})
    found = looked(system, prefixes=("/opt/env",))
    assert found.packages.absent
    assert found.packages.where == "/opt/env: /opt/env/lib"


def test_a_development_install_says_where_its_source_is() -> None:
    site = "/opt/env/lib/python3.12/site-packages"
    entries: dict[str, str | Entry] = {
        **environment(""),
        f"{site}/vllm/envs.py": absent(),
        f"{site}/vllm-0.21.1.dist-info/direct_url.json": '{"url": "file:///src/vllm", "dir_info": {"editable": true}}',
        "/src/vllm/vllm/envs.py": ENVS,
        "processes all": "[]",
    }
    found = looked(files(entries), prefixes=("/opt/env",))
    assert found.vllm_env.value == ("VLLM_PORT", "VLLM_USE_B12X_MOE")
    assert found.vllm_env.where == "/src/vllm/vllm/envs.py"


def test_sources_of_another_form() -> None:
    site = "/opt/env/lib/python3.12/site-packages"
    entries = {**environment(""), f"{site}/vllm/envs.py": "pass\n", f"{site}/vllm/config/kernel.py": "pass\n"}
    found = looked(files({**entries, "processes all": "[]"}), prefixes=("/opt/env",))
    assert found.vllm_env.problem == "not understood: no VLLM_* name stands in it"
    assert found.moe_backends.problem == "not understood: no Literal MoEBackend stands in it"
    assert found.packages.is_known
    with pytest.raises(ValueError, match="not a folder"):
        parse_direct_url('{"url": "https://github.com/vllm-project/vllm"}')


def test_names_in_any_quotes_and_nothing_else() -> None:
    assert parse_envs("os.getenv('VLLM_A', \"VLLM_B\"); VLLM_C: int; 'NCCL_D'") == ("VLLM_A", "VLLM_B")
    assert parse_moe_backends("MoEBackend = Literal['auto', 'b12x']") == ("auto", "b12x")


def test_the_environment_of_these_tests(tmp_path: Path) -> None:
    """A real virtual environment with a real dist-info, on this machine; nothing in it is imported."""
    prefix = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    info = prefix / "lib" / version / "site-packages/vllm-9.9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: vllm\nVersion: 9.9.9\n")
    package = info.parent / "vllm"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "envs.py").write_text("raise RuntimeError('imported')\nNAMES = ['VLLM_X']\n")
    found = next(each for each in software(Live(), Wanted(prefixes=(str(prefix),))) if each.key == f"prefix:{prefix}")
    assert found.packages.value == {"vllm": "9.9.9"}
    assert found.requires.value == ()
    assert found.vllm_env.value == ("VLLM_X",)
    assert found.moe_backends.absent
