from __future__ import annotations

import os
from pathlib import Path

import pytest

from sparkdoctor.facts.tree import Layers
from sparkdoctor.system import Layer, Live
from tests.recordings import absent, files, problem


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """Three layers as overlay2 keeps them: the base, one that adds, one that deletes and replaces."""
    upper, middle, base = (tmp_path / name for name in ("upper", "middle", "base"))
    for folder in (upper / "opt/new", middle / "opt/env", base / "opt/new", base / "opt/env"):
        folder.mkdir(parents=True)
    (base / "opt/env/kept").write_text("base")
    (base / "opt/env/gone").write_text("base")
    (base / "opt/new/hidden").write_text("base")
    (middle / "opt/env/kept").write_text("middle")
    (middle / "opt/env/link").symlink_to("/etc/passwd")
    (upper / "opt/new/only").write_text("upper")
    try:
        (upper / "opt/env").mkdir()
        os.mknod(upper / "opt/env/gone", 0o020000, os.makedev(0, 0))
        os.setxattr(upper / "opt/new", "trusted.overlay.opaque", b"y")
    except PermissionError:
        pytest.skip("only root may make whiteouts and opaque folders")
    return [str(upper), str(middle), str(base)]


def test_one_folder_of_one_layer(layers: list[str]) -> None:
    upper, middle, _ = layers
    assert Live().layer(upper, "/opt/env").value == Layer(deleted=("gone",))
    assert Live().layer(upper, "/opt/new").value == Layer(("only",), opaque=True)
    assert Live().layer(middle, "/opt/env").value == Layer(("kept",), links=("link",))
    assert Live().layer(middle, "/").value == Layer(("opt",))
    assert Live().layer(middle, "/no").absent


def test_layers_together(layers: list[str]) -> None:
    tree = Layers(Live(), layers)
    assert tree.names("/opt") == ("env", "new")
    assert tree.names("/opt/env") == ("kept", "link")
    assert tree.names("/opt/new") == ("only",)
    assert tree.names("/no") is None
    assert tree.read("/opt/env/kept").value == "middle"
    assert tree.read("/opt/env/gone").absent
    assert tree.read("/opt/new/hidden").absent
    assert tree.read("/opt/new/only").value == "upper"
    assert tree.read("/no/such").absent


def test_a_link_in_an_image_does_not_lead_to_our_own_files(layers: list[str]) -> None:
    answer = Layers(Live(), layers).read("/opt/env/link")
    assert answer.problem == "a symbolic link inside an image, which is not followed"


def test_a_deleted_folder_is_gone_with_all_that_was_in_it() -> None:
    machine = files(
        {
            "layer /u /": '{"names": ["opt"]}',
            "layer /u /opt": '{"deleted": ["env"]}',
            "layer /b /": '{"names": ["opt"]}',
            "layer /b /opt": '{"names": ["env"]}',
            "layer /b /opt/env": '{"names": ["lib"]}',
        }
    )
    tree = Layers(machine, ["/u", "/b"])
    assert tree.names("/opt") == ()
    assert tree.names("/opt/env") is None
    assert tree.read("/opt/env/lib").absent


def test_layers_that_only_root_may_read() -> None:
    answer = Layers(files({"layer /b /": problem("Permission denied")}), ["/b"]).read("/x")
    assert answer.problem == "Permission denied; run sparkdoctor as root (sudo) to look into it"
    assert not answer.absent


def test_a_layer_that_is_gone_is_no_layer() -> None:
    machine = files({"layer /u /": absent(), "layer /b /": '{"names": ["x"]}'})
    assert Layers(machine, ["/u", "/b"]).names("/") == ("x",)
