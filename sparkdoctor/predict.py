"""What the NCCL of one rank will be told, which release's rules it follows, and what it will choose."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from sparkdoctor.api import CannotTell, Node, Seen
from sparkdoctor.host import Data
from sparkdoctor.nccl import NEWEST, Selection, select
from sparkdoctor.nccl.select import VARIABLES


class Prediction(Data, frozen=True):
    """What NCCL will do on a rank's machine, and by which release's rules."""

    rules: Seen
    selection: Selection


def predict(node: Node) -> Prediction:
    """Predict the choices of a rank's NCCL.

    Raises Skip without a launch, and CannotTell when its machine, its network or a fact that
    decides could not be read.
    """
    launch = node.launched()
    host = node.machine()
    if not launch.host_network.value:
        raise CannotTell(
            launch.host_network.where, "the container has network interfaces of its own, which were not looked at"
        )
    selection = select(
        host.rdma.hcas.value,
        launch.infiniband.value,
        host.network.interfaces.value,
        nccl_env(node),
        nccl_version(node),
    )
    return Prediction(nccl_seen(node), selection)


def nccl_env(node: Node, names: Iterable[str] = VARIABLES) -> dict[str, str]:
    """The variables of these names that the rank will see. Raises CannotTell for one that could not be read."""
    return {name: fact.value for name in names if (fact := node.env(name)) is not None}


def nccl_version(node: Node) -> Version:
    """The NCCL in the rank's Python environment; without one there, the newest whose rules are known (see `nccl_seen`).

    Raises CannotTell for a version that is none.
    """
    package = _nccl_package(node)
    if package is None:
        return NEWEST
    try:
        return Version(package.value)
    except InvalidVersion as error:
        raise CannotTell(package.where, str(error)) from None


def nccl_seen(node: Node) -> Seen:
    """Which NCCL's rules a prediction follows, as evidence."""
    package = _nccl_package(node)
    if package is not None:
        return package
    return Seen("NCCL", f"rules of {NEWEST}", f"which NCCL {node.launched().spec.title} loads is not known")


def _nccl_package(node: Node) -> Seen | None:
    software = node.launched().software
    if software is None or not software.packages.is_known:
        return None
    packages = software.packages
    names = (name for name in ("nvidia-nccl-cu13", "nvidia-nccl-cu12") if name in packages.value)
    return next((Seen("NCCL", packages.value[name], f"{name} in {packages.where}") for name in names), None)
