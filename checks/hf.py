"""The model in the Hugging Face cache, when downloads are forbidden."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Certainty, Fact, Finding, Fix, Found, ModelCache, Node, Seen, check, skip
from sparkdoctor.launch.cache import hub_folder, is_folder, model_of, offline, on_machine

from ._fix import RESTART, set_service
from ._weights import cache_of


@check("hf-cache-incomplete", after=("hf-cache-unmounted",))
def cache_incomplete(node: Node) -> Found:
    """Downloads are forbidden, and the model is not complete on this machine.

    ## Why it matters
    Each rank loads its share from the disk of its own machine. With HF_HUB_OFFLINE=1 (or
    TRANSFORMERS_OFFLINE=1) what is not there cannot be fetched: `Cannot find an appropriate cached
    snapshot folder for the specified revision on the local disk`, `Cannot find any model weights`,
    `Weight files referenced in index but missing`. Usual causes: the model was fetched on the head
    only, a download was broken off, the folder was copied without its blobs, or `refs/main` moved
    to a newer commit whose files were never fetched.

    ## How to fix it
    Fetch the rest once with downloads allowed, or copy the whole folder of the model
    (`models--ORG--NAME`, with blobs, refs and snapshots) from the node that has it.

    ## References
    - https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    - https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/transformers_utils/repo_utils.py (get_model_path)
    """
    forbidden = _forbidden(node)
    model = _model(node)
    cache = cache_of(node)
    missing = cache.missing
    seen = Seen(forbidden.what, forbidden.value, forbidden.where)
    if not missing.value:
        yield seen
        yield Seen(model.value, "complete", missing.where)
        return
    first, count = missing.value[0], len(missing.value)
    more = f" and {count - 1} more" if count > 1 else ""
    yield Finding(
        f"{model.value} is not complete on {node.name}: {first}{more} missing, and {forbidden.what}={forbidden.value}",
        (
            seen,
            Seen("model", model.value, model.where),
            *(Seen("missing", name, missing.where) for name in missing.value[:5]),
        ),
        _fetch(node, cache),
    )


@check("hf-cache-unmounted")
def cache_unmounted(node: Node) -> Found:
    """Downloads are forbidden, and the container's model cache is not on this machine.

    ## Why it matters
    The container looks for models in the folder that HF_HOME (or HF_HUB_CACHE) names, inside itself.
    No mount brings a folder of the machine there, so it is empty but for what the image brings, and
    with HF_HUB_OFFLINE=1 it stays so. Without HF_HOME the folder is ~/.cache/huggingface of the
    user in the container, which is not that of the user who started it.

    ## How to fix it
    Mount the machine's cache where HF_HOME points, or point HF_HOME to where it is mounted.

    ## References
    - https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables#hfhome
    - https://docs.docker.com/reference/compose-file/services/#volumes
    """
    forbidden = _forbidden(node)
    launch = node.launched()
    model = _model(node)
    if is_folder(model.value):
        path, where = model.value, model.where
    else:
        hub = hub_folder(launch)
        path, where = hub.path, hub.where
    try:
        place = on_machine(launch, path)
    except CannotTell as why:
        if "lies inside the container" not in why.problem:
            raise
        mounts = launch.spec.mounts
        listed = ", ".join(f"{mount.source}:{mount.target}" for mount in mounts.value) if mounts is not None else "none"
        yield Finding(
            f"{path}, where the container looks for {model.value}, is not mounted, and {forbidden.what}={forbidden.value}",
            (
                forbidden,
                Seen("cache in the container", path, where),
                Seen("mounts", listed, mounts.where if mounts is not None else launch.spec.title),
            ),
            _mount(node, path),
        )
        return
    yield forbidden
    yield Seen(path, place, where)


def _forbidden(node: Node) -> Seen:
    """The variable that forbids downloads. Raises Skip when none does."""
    env = node.launched().env.value
    fact: Fact[str] | None = offline(env)
    if fact is None:
        skip("downloads are allowed")
    name = next(name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if env.get(name) is fact)
    return Seen(name, fact.value, fact.where)


def _model(node: Node) -> Fact[str]:
    model = model_of(node.launched())
    if model is None:
        skip("the launch names no model of Hugging Face")
    return model


def _fetch(node: Node, cache: ModelCache) -> Fix:
    """Fetch into the same folder; for a folder outside of any hub there is only a copy."""
    if cache.model.startswith("/"):
        return Fix(
            f"copy the whole folder to {node.name} from the node that has it",
            run=(f"rsync -aL <the other node>:{cache.model}/ {cache.model}/",),
            certainty=Certainty.FILL_IN,
        )
    home = cache.hub.removesuffix("/hub")
    variable = f"HF_HOME={home}" if home != cache.hub else f"HF_HUB_CACHE={cache.hub}"
    return Fix(
        f"on {node.name}, fetch what is missing",
        run=(f"HF_HUB_OFFLINE=0 {variable} hf download {cache.model}",),
        cost="needs the network; up to the size of the model",
    )


def _mount(node: Node, path: str) -> Fix:
    inside = path.removesuffix("/hub")
    known = next((cache.hub for cache in node.host.caches if cache.hub), "") if node.host is not None else ""
    source = known.removesuffix("/hub") or "<folder with the cache>"
    certainty = Certainty.TRY if known else Certainty.FILL_IN
    volume = f"{source}:{inside}"
    fix = set_service(
        node,
        f"volumes:\n  - {volume}",
        f"-v {volume}",
        bare=Fix("set HF_HOME to the folder with the cache", certainty=Certainty.FILL_IN, cost=RESTART),
    )
    return Fix(fix.do, fix.edit, fix.run, certainty, fix.cost)
