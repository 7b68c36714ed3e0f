"""The server's command line as it really starts."""

from __future__ import annotations

from sparkdoctor.api import Finding, Fix, Found, Node, Seen, check, skip

from ._fix import RESTART, recreate


@check("command-options-lost")
def options_lost(node: Node) -> Found:
    """A comment in the compose file swallows options of the server.

    ## Why it matters
    In a folded scalar (`command: >` or a plain text over several lines) YAML joins the lines into
    one before anything reads them. A line that begins with `#` is no comment of YAML there: the
    shell gets it in the middle of one long line, and takes everything after it for the comment.
    The server starts without the options that follow, with vLLM's defaults for tensor parallelism,
    memory and ports, and one of the ranks fails or waits for ever.

    ## How to fix it
    Take the line with the `#` out of the folded text, or put the comment above the key.

    ## References
    - https://yaml.org/spec/1.2.2/#813-folded-style
    - https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_03
    """
    launch = node.launched()
    if launch.spec.kind != "compose":
        skip(f"{launch.spec.title} runs already, so no file is folded any more")
    argv = launch.spec.argv
    lost = [remark for remark in launch.spec.remarks if remark.lost]
    for remark in lost:
        count = f"{len(remark.lost)} option{'s' if len(remark.lost) > 1 else ''}"
        yield Finding(
            f"a `#` takes {count} off the command of the server, from `{remark.lost[0]}` on",
            (
                Seen("lost", " ".join(remark.lost), remark.where, wanted="on the command line"),
                Seen("starts with", f"{len(argv.value)} words", argv.where),
            ),
            Fix(
                f"take the line with the `#` out of the folded text ({remark.where})",
                "",
                recreate(launch),
                cost=RESTART,
            ),
        )
    if not lost:
        yield Seen("command", f"{len(argv.value)} words", argv.where)
