"""The Python environment of a rank, and versions in it. No checks here."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from sparkdoctor.api import CannotTell, Launch, Node, Seen, Software, skip


def software(node: Node) -> Software:
    """What the rank's Python has installed.

    Raises Skip without a launch, or for one that was not seen and does not look like vLLM's;
    CannotTell for one that does.
    """
    launch = node.launched()
    if launch.software is not None:
        return launch.software
    if not _is_vllm(launch):
        skip(f"nothing in {launch.spec.title} says that it starts vLLM")
    if node.host is None:
        raise CannotTell(node.name, "its machine was not looked at, so neither was its Python environment")
    image = launch.spec.image
    if image is not None:
        what = image.value if image.is_known else "its image"
        raise CannotTell(
            launch.spec.title,
            f"what {what} has installed is not known (start the container, or pull the image here, and look again)",
        )
    if launch.spec.kind in ("compose", "container"):
        raise CannotTell(launch.spec.title, "it names no image (start the container and look again)")
    raise CannotTell(
        launch.spec.title, "its Python environment is not known (name it: `sparkdoctor check --python FOLDER`)"
    )


def _is_vllm(launch: Launch) -> bool:
    """Whether options or variables are vLLM's, or could not be read."""
    if not launch.flags.is_known or not launch.env.is_known or launch.flags.value:
        return True
    return any(name.startswith("VLLM_") for name in launch.env.value)


def version_seen(software: Software, package: str, wanted: str = "") -> Seen:
    """The installed version as evidence."""
    packages = software.packages
    return Seen(package, packages.value.get(package, "not installed"), packages.where, wanted=wanted)


def within(version: str, specifiers: str) -> bool:
    """Whether a version satisfies specifiers (PEP 440), pre-releases judged like releases.

    Raises CannotTell for a version that is not one.
    """
    try:
        return SpecifierSet(specifiers).contains(Version(version), prereleases=True)
    except InvalidVersion:
        raise CannotTell("", f"{version!r} is not a version") from None
