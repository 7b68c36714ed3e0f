from sparkdoctor.facts.rdma import rdma
from sparkdoctor.system import Recorded

PORT = "/sys/class/infiniband/rocep1s0f0/ports/1"


def test_empty_slots_count_for_the_length_of_a_gid_table() -> None:
    table = {0: "fe80:0000:0000:0000:4ebb:47ff:fee8:782b", 1: "0000:0000:0000:0000:0000:0000:0000:0000"}
    text = "".join(f"Path: {PORT}/gids/{slot}\nLines: 1\n{gid}\n# ttar -\n" for slot, gid in table.items())
    (hca,) = rdma(Recorded(text)).hcas.value
    (port,) = hca.ports.value
    assert [gid.index for gid in port.gids.value] == [0]
    assert port.gid_slots.value == 2
    assert port.gid_slots.where == f"{PORT}/gids"
