"""The diagnosis of a failure that no signature names."""

from __future__ import annotations

from sparkdoctor.diagnose import Diagnosis


class General(Diagnosis, frozen=True, omit_defaults=False):
    """Only the class of the failure is told; its name begins with `unknown-`."""

    general: bool = True
