"""Where the model of a launch lies on this machine.

Follows huggingface_hub 1.29 src/huggingface_hub/constants.py (HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE)
and vllm 0.33.0 vllm/engine/arg_utils.py (`EngineArgs.__post_init__`: offline, the model id is looked
up in the hub folder of the environment, whatever --download-dir says) and
vllm/transformers_utils/repo_utils.py (`get_model_path`: an existing folder is taken as it is).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from sparkdoctor.fact import CannotTell, Fact
from sparkdoctor.host import Data
from sparkdoctor.launch.flags import vllm_flags
from sparkdoctor.launch.types import CachedModel, Launch, Spec

TRUE = frozenset({"1", "ON", "YES", "TRUE"})
"""What huggingface_hub takes for true, in any case (constants.py, ENV_VARS_TRUE_VALUES)."""

HUB_VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME")
"""What decides the hub folder, strongest first."""


class HubFolder(Data, frozen=True):
    """The hub folder as the rank names it."""

    path: str
    """`/cache/huggingface/hub`, inside the container when there is one."""
    where: str
    """Place of the variable that decides it."""


def wanted_cache(launch: Launch | Spec) -> CachedModel | None:
    """The model that a launch loads and where it should lie on this machine.

    None when the launch names no model, one that is no Hugging Face id or folder (s3://, a
    ModelScope id), or one whose place outside the container is not known (see `on_machine`).
    """
    try:
        model = model_of(launch)
        if model is None:
            return None
        if is_folder(model.value):
            return CachedModel("", on_machine(launch, _absolute(launch, model.value)))
        revision = _flags(launch).get("revision")
        return CachedModel(
            on_machine(launch, hub_folder(launch).path),
            model.value,
            revision.value if revision is not None else "main",
        )
    except CannotTell:
        return None


def model_of(launch: Launch | Spec) -> Fact[str] | None:
    """The model as the command line names it, None when it names none that lies in a hub or folder.

    Raises CannotTell when the command line could not be read.
    """
    model = _flags(launch).get("model")
    if model is None or "://" in model.value:
        return None
    scope = _env(launch).get("VLLM_USE_MODELSCOPE")
    if scope is not None and scope.is_known and scope.value.upper() in TRUE:
        return None
    return model


def is_folder(model: str) -> bool:
    """Whether a model is named by a path; `org/name` is an id."""
    return model.startswith(("/", "./", "../", "~"))


def offline(env: Mapping[str, Fact[str]]) -> Fact[str] | None:
    """The variable that forbids downloads, None when none does.

    HF_HUB_OFFLINE counts when it is set and not empty, else TRANSFORMERS_OFFLINE.
    Raises CannotTell when the one that counts could not be read.
    """
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        fact = env.get(name)
        if fact is not None and fact.value:
            return fact if fact.value.upper() in TRUE else None
    return None


def hub_folder(launch: Launch | Spec) -> HubFolder:
    """The hub folder, as the rank itself names it. Raises CannotTell."""
    env = _env(launch)
    for name, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "/hub")):
        if name in env:
            return HubFolder(_expand(launch, env[name].value) + below, f"{name}, {env[name].where}")
    if "XDG_CACHE_HOME" in env:
        fact = env["XDG_CACHE_HOME"]
        return HubFolder(f"{_expand(launch, fact.value)}/huggingface/hub", f"XDG_CACHE_HOME, {fact.where}")
    return HubFolder(
        f"{home(launch)}/.cache/huggingface/hub", f"{_source(launch)} sets neither HF_HOME nor HF_HUB_CACHE"
    )


def home(launch: Launch | Spec) -> str:
    """The rank's home folder. Raises CannotTell.

    Docker takes HOME from the image's /etc/passwd when nobody sets it: /root for root.
    """
    spec = _spec(launch)
    fact = _env(launch).get("HOME")
    if fact is not None:
        return fact.value.rstrip("/")
    user = spec.user.value.split(":")[0] if spec.user is not None else ""
    if (spec.kind in ("compose", "container") or spec.container) and user in ("", "0", "root"):
        return "/root"
    raise CannotTell(spec.title, "its HOME is not known, so neither is the default model cache")


def on_machine(launch: Launch | Spec, path: str) -> str:
    """A path of the rank as this machine names it, through the mount that holds it.

    Raises CannotTell when no bind mount holds it: then it is inside the container.
    """
    spec = _spec(launch)
    if spec.kind == "shell" or (spec.kind == "process" and not spec.container):
        return path
    mounts = {
        mount.target.rstrip("/"): mount.source for mount in (spec.mounts.value if spec.mounts is not None else ())
    }
    holding = [target for target in mounts if path == target or path.startswith(f"{target}/")]
    if not holding:
        raise CannotTell(spec.title, f"no mount holds {path}, so it lies inside the container")
    target = max(holding, key=len)
    if not mounts[target].startswith("/"):
        raise CannotTell(
            spec.title, f"{path} lies in the Docker volume {mounts[target]}, not in a folder of this machine"
        )
    return posixpath.normpath(f"{mounts[target].rstrip('/')}/{path[len(target) :].lstrip('/')}")


def _absolute(launch: Launch | Spec, model: str) -> str:
    path = _expand(launch, model)
    if not path.startswith("/"):
        raise CannotTell(_spec(launch).title, f"{model} is relative to a working folder that is not known")
    return posixpath.normpath(path)


def _expand(launch: Launch | Spec, path: str) -> str:
    """os.path.expanduser and expandvars, with the rank's environment."""
    env = _env(launch)
    if path == "~" or path.startswith("~/"):
        path = home(launch) + path[1:]

    def value(match: re.Match[str]) -> str:
        fact = env.get(match[1] or match[2])
        return fact.value if fact is not None else match[0]

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, path).rstrip("/") or "/"


def _spec(launch: Launch | Spec) -> Spec:
    return launch.spec if isinstance(launch, Launch) else launch


def _env(launch: Launch | Spec) -> dict[str, Fact[str]]:
    return launch.env.value


def _flags(launch: Launch | Spec) -> dict[str, Fact[str]]:
    return launch.flags.value if isinstance(launch, Launch) else vllm_flags(launch.argv).value


def _source(launch: Launch | Spec) -> str:
    return _spec(launch).title
