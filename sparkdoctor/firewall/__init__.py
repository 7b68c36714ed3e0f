"""What the packet filter of a machine does with a packet: a pure function of its rules.

Follows nft(8) and libnftables-json(5). A part of a rule that is not understood, or that a packet alone does
not decide (a rate limit, a mark), may apply or not: where that makes a difference, the verdict is `Unknown`.

Not looked at: bridges (family `bridge`), ARP, tc, XDP and BPF programs, and what a card does by itself.
"""

from sparkdoctor.firewall.packet import Packet
from sparkdoctor.firewall.spans import Span, spans
from sparkdoctor.firewall.walk import Accepted, Drop, Dropped, Unknown, Verdict, verdict

__all__ = ["Accepted", "Drop", "Dropped", "Packet", "Span", "Unknown", "Verdict", "spans", "verdict"]
