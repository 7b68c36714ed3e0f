"""Whether all ranks start from the same image."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Cluster, Fact, Finding, Fix, Found, Image, Node, Seen, Severity, check, skip

from ._fix import copy_image, load_image, on_node, set_image
from ._ranks import all_ranks


@check("image-differs", Severity.WARNING, after=("software-differs", "software-drifts"))
def differs(cluster: Cluster) -> Found:
    """The ranks start from different images.

    ## Why it matters
    A tag is a name that moves: `latest`, pulled on one node in spring and on the other in summer, is
    two images, and two images are two sets of vLLM, NCCL and kernels. Where the versions were looked
    at and are the same, it does no harm yet (software-differs says that).

    ## How to fix it
    Name the image by its digest (`image: name@sha256:...`) in both files, or bring one node's image
    to the other with `docker save` and `docker load`.

    ## References
    - https://docs.docker.com/reference/compose-file/services/#image
    - https://docs.docker.com/reference/cli/docker/image/pull/#pull-an-image-by-digest-immutable-identifier
    """
    ranks = [(node, image) for node, _ in all_ranks(cluster) if (image := node.launched().spec.image) is not None]
    if len(ranks) < 2:
        skip("fewer than two ranks start from an image")
    seen = tuple(Seen(f"image on {node.name}", image.value, image.where) for node, image in ranks)
    head, reference = ranks[0]
    for node, image in ranks[1:]:
        if _same(head, reference, node, image):
            continue
        built = [_built(each, fact) for each, fact in ((head, reference), (node, image))]
        same_name = reference.value == image.value
        message = (
            f"{image.value} is another image on {node.name} than on {head.name}"
            if same_name
            else f"{node.name} starts from {image.value}, {head.name} from {reference.value}"
        )
        yield Finding(
            message,
            (*seen, *(each for each in built if each is not None)),
            _same_image(node, image, head, reference),
        )
        return
    yield from seen


def _same(one: Node, first: Fact[str], other: Node, second: Fact[str]) -> bool:
    """Whether two references are one image: a common digest or id decides, else, where one is not here, the name.

    Ids alone may differ for one image: the classic store of Docker names an image by its configuration,
    containerd's by its manifest.
    """
    known = [_ids(node, fact) for node, fact in ((one, first), (other, second))]
    if not known[0] or not known[1]:
        if first.value != second.value and "@sha256:" not in first.value:
            return False
        if first.value == second.value and "@sha256:" not in first.value and any(known):
            missing = one if not known[0] else other
            raise CannotTell(
                missing.name, f"{first.value} is not on this machine yet; what a pull will bring is not known"
            )
        return first.value == second.value
    return bool(known[0] & known[1])


def _ids(node: Node, reference: Fact[str]) -> frozenset[str]:
    """Digests and id of the image that a reference names on a machine; empty when it is not there."""
    for image in _images(node, reference):
        return frozenset({image.id, *(digest.rsplit("@", 1)[-1] for digest in image.digests)})
    return frozenset()


def _images(node: Node, reference: Fact[str]) -> tuple[Image, ...]:
    """What a reference names among the images of a machine."""
    images = node.host.docker.images if node.host is not None else None
    known = images.value if images is not None and images.is_known else ()
    return tuple(image for image in known if reference.value in (image.reference, image.id))


def _built(node: Node, reference: Fact[str]) -> Seen | None:
    ids = sorted(_ids(node, reference))
    return Seen(f"id on {node.name}", ids[0][:19], f"docker image inspect {reference.value}") if ids else None


def _same_image(node: Node, image: Fact[str], head: Node, reference: Fact[str]) -> Fix:
    """The head's image: by its digest when a registry gave one, else from the head itself."""
    here = _images(head, reference)
    if digest := next((one.digests[0] for one in here if one.digests), ""):
        return on_node(node, set_image(node, digest))
    if here and image.value == reference.value:
        return load_image(node, head, reference.value)
    return on_node(node, set_image(node, reference.value, bring=copy_image(head, reference.value) if here else ""))
