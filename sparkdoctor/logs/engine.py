"""Which scanner searches the logs: Hyperscan's where it is installed, else the one in plain Python."""

from __future__ import annotations

import os

from sparkdoctor.errors import BadInput
from sparkdoctor.logs.scanner import Scanner, Texts

VARIABLE = "SPARKDOCTOR_ENGINE"
"""`python` or `native` asks for one of them; with `native` it is an error when it cannot be used."""


def make_scanner(texts: Texts) -> Scanner:
    """Raises BadInput when the environment asks for a scanner that is not there."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "python", "native"):
        raise BadInput(f"{VARIABLE}={wanted} names no engine; there are python and native")
    if wanted != "python":
        from sparkdoctor.logs.native import NativeScanner, Unusable

        try:
            return NativeScanner(texts)
        except Unusable as error:
            if wanted == "native":
                raise BadInput(f"{VARIABLE}=native: {error}") from error
    from sparkdoctor.logs.template import TemplateScanner

    return TemplateScanner(texts)
