"""What NCCL will select on a machine, predicted without running it.

Pure functions that follow the C source of NVIDIA/nccl, tag v2.30.7-1, and know what earlier
releases back to 2.18 do differently (`sparkdoctor.nccl.since`). Every function names the file
and the C function that it follows.

Not modelled: external network plugins (NCCL_NET_PLUGIN, libnccl-net.so), environment plugins,
fusion of ports into one virtual device, and what happens after two ranks have connected.
"""

from sparkdoctor.nccl.devices import HcaPort, list_ports
from sparkdoctor.nccl.gid import choose_gid, describe, gid_at
from sparkdoctor.nccl.interfaces import Chosen, bootstrap_interface, find_interfaces, scan
from sparkdoctor.nccl.names import NameList, parse_names
from sparkdoctor.nccl.numbers import integer
from sparkdoctor.nccl.select import Message, SelectedPort, Selection, select
from sparkdoctor.nccl.since import NEWEST

__all__ = [
    "NEWEST", "Chosen", "HcaPort", "Message", "NameList", "SelectedPort", "Selection", "bootstrap_interface",
    "choose_gid", "describe", "find_interfaces", "gid_at", "integer", "list_ports", "parse_names", "scan", "select",
]  # fmt: skip
