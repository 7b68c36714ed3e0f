"""The releases of NCCL in which a rule changed: the first tag that has the new one.

Found by comparing the tags v2.18.1-1 to v2.30.7-1 of NVIDIA/nccl; newer ones have no public source
and are known by what their libraries do.
"""

from __future__ import annotations

from packaging.version import Version

NEWEST = Version("2.30.7")
"""The release whose source these rules follow; newer ones are taken to do the same."""

AUTOMATIC_GID = Version("2.21.5")
"""NCCL_IB_GID_INDEX defaults to -1 and the GID is searched; before, index 0 was used."""

ROUTABLE_FLID = Version("2.22.3")
"""InfiniBand ports choose their GID by FLID."""

CONF_FILE = Version("2.23.4")
"""NCCL_CONF_FILE; and NCCL_IB_ADDR_RANGE without a slash no longer crashes."""

UNMAPPED_GID = Version("2.26.2")
"""EINVAL from gid_attrs/types is passed over instead of ending the connection."""

NET_PLUGIN_LIST = Version("2.27.3")
"""A network that cannot be had is reported as `Failed to initialize any NET plugin`."""

RUNNING_INTERFACE = Version("2.28.3")
"""Only interfaces with IFF_RUNNING are used; virbr comes last."""

NAMED_FAILURE = Version("2.28.3")
"""A transport that cannot be had says `Failed to initialize NET plugin IB` (INFO)."""

PCI_ORDER = Version("2.29.7")
"""HCAs are sorted by PCI address."""

HOME_VARIABLE = Version("2.30.3")
"""~ is $HOME instead of the home of the passwd entry; conf lines may end in CR."""

RAILS = Version("2.30.7")
"""`name:port:rail:plane` in NCCL_IB_HCA; an empty port means any."""

GID_AT_INIT = Version("2.31.2")
"""GIDs are read when the transport starts: an index past the end of a table costs the whole transport
instead of the connection. Seen by running the libraries 2.30.7, 2.31.2 and 2.32.3."""

DIGIT_WANTED = Version("2.32.3")
"""Text without a digit is no value of an integer parameter, which keeps its default. Seen by running the libraries
2.31.2, for which it is 0, and 2.32.3."""
