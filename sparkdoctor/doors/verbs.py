"""What libibverbs itself lists, through pyverbs where that is installed (rdma-core, python3-pyverbs)."""

from __future__ import annotations

import json

from sparkdoctor.system import DoorClosed


def ask() -> str:
    """A JSON list of device names, in the library's order. Raises DoorClosed."""
    try:
        from pyverbs import device
        from pyverbs.pyverbs_error import PyverbsError
    except ModuleNotFoundError:
        raise DoorClosed(
            "pyverbs is not installed (Ubuntu and Debian: python3-pyverbs, for the system's Python)", absent=True
        ) from None
    except ImportError as error:
        raise DoorClosed(f"pyverbs does not load: {error}") from None
    try:
        names = [entry.name.decode() for entry in device.get_device_list()]
    except PyverbsError as error:
        raise DoorClosed(str(error)) from None
    return json.dumps(names)
