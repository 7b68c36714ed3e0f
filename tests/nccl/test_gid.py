"""The choice of a GID: cases worked by hand from ncclUpdateGidIndex of NCCL 2.30.7."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.host import Gid, Port
from sparkdoctor.nccl.gid import choose_gid, describe, gid_at, parse_range
from sparkdoctor.nccl.numbers import integer

V1, V2 = "IB/RoCE v1", "RoCE v2"
FE80 = "fe80:0000:0000:0000:4ebb:47ff:fee8:782b"
EMPTY_ADDRESS = ipaddress.IPv6Address(0)
GLOBAL6 = "fd00:0000:0000:0000:0000:0000:0000:0001"


def v4(last: int, third: int = 177) -> str:
    return f"0000:0000:0000:0000:0000:ffff:c0a8:{third:02x}{last:02x}"


def port(*table: tuple[str, str] | None, link_layer: str = "Ethernet", slots: int = 255) -> Port:
    """A port with this GID table from index 0; None is an empty slot."""
    gids = tuple(
        Gid(index, entry[0], Fact(f"types/{index}", entry[1]), Fact(f"ndevs/{index}", "enp1s0f1np1"))
        for index, entry in enumerate(table)
        if entry is not None
    )
    return Port(
        1,
        state=Fact("state", "ACTIVE"),
        phys_state=Fact("phys_state", "LinkUp"),
        link_layer=Fact("link_layer", link_layer),
        rate=Fact("rate", 200_000),
        gids=Fact("gids", gids),
        gid_slots=Fact("gids", slots),
    )


LINK = [(FE80, V1), (FE80, V2)]
USUAL = port(*LINK, (v4(11), V1), (v4(11), V2))


@pytest.mark.parametrize(
    ("table", "index"),
    [
        ([*LINK, (v4(11), V1), (v4(11), V2)], 3),
        ([*LINK, (v4(11), V2), (v4(11), V1)], 2),
        ([*LINK, (v4(11), V1), None, (v4(11), V2)], 4),
        (LINK, 0),
        ([], 0),
        ([(v4(11), V1), (v4(11), V2)], 1),
        ([(v4(11), V2), (v4(11), V1)], 0),
        ([*LINK, (v4(5, 254), V1), (v4(5, 254), V2), (v4(11), V1), (v4(11), V2)], 3),
        ([*LINK, (v4(11), V1)], 2),
        ([*LINK, (GLOBAL6, V1), (GLOBAL6, V2)], 0),
        ([None, None, (v4(11), V1), (v4(11), V2)], 3),
    ],
)
def test_the_automatic_choice(table: list[tuple[str, str] | None], index: int) -> None:
    assert choose_gid(port(*table), {}) == index


@pytest.mark.parametrize(
    ("env", "index"),
    [
        ({"NCCL_IB_GID_INDEX": "1"}, 1),
        ({"NCCL_IB_GID_INDEX": "900"}, 900),
        ({"NCCL_IB_GID_INDEX": "-1"}, 3),
        ({"NCCL_IB_GID_INDEX": ""}, 3),
        ({"NCCL_IB_GID_INDEX": "auto"}, 0),
        ({"NCCL_IB_GID_INDEX": "4294967295"}, 3),
        ({"NCCL_IB_ROCE_VERSION_NUM": "1"}, 2),
        ({"NCCL_IB_ROCE_VERSION_NUM": ""}, 3),
        ({"NCCL_IB_ROCE_VERSION_NUM": "3"}, 2),
        ({"NCCL_IB_ADDR_FAMILY": "AF_INET"}, 3),
        ({"NCCL_IB_ADDR_FAMILY": "ipv6"}, 3),
        ({"NCCL_IB_ADDR_RANGE": "192.168.177.0/24"}, 3),
        ({"NCCL_IB_ADDR_RANGE": "10.0.0.0/8"}, 0),
        ({"NCCL_IB_ADDR_RANGE": "10.0.0.0"}, 3),
        ({"NCCL_IB_ADDR_RANGE": "10.0.0.0/32"}, 0),
        ({"NCCL_IB_ADDR_RANGE": "10.0.0.0/33"}, 3),
        ({"NCCL_IB_ADDR_RANGE": "10.0.0.0/-1"}, 0),
        ({"NCCL_IB_ADDR_RANGE": "10.0.0.0/"}, 3),
        ({"NCCL_IB_ADDR_RANGE": "fd00::/8"}, 3),
    ],
)
def test_what_variables_do(env: dict[str, str], index: int) -> None:
    assert choose_gid(USUAL, env) == index


def test_a_range_chooses_between_two_addresses() -> None:
    two = port(*LINK, (v4(5, 254), V1), (v4(5, 254), V2), (v4(11), V1), (v4(11), V2))
    assert choose_gid(two, {"NCCL_IB_ADDR_RANGE": "192.168.177.0/24"}) == 5


def test_ipv6_passes_through_empty_slots() -> None:
    six = {"NCCL_IB_ADDR_FAMILY": "AF_INET6"}
    assert choose_gid(port(*LINK, (GLOBAL6, V1), (GLOBAL6, V2)), six) == 3
    assert choose_gid(port((v4(11), V2)), six) == 1  # an empty slot counts as IPv6
    assert choose_gid(port((v4(11), V2), slots=1), six) == 0
    assert choose_gid(port(*LINK), six) == 0


def test_before_2_21_5_index_0_was_used() -> None:
    assert choose_gid(USUAL, {}, Version("2.20.5")) == 0
    assert choose_gid(USUAL, {"NCCL_IB_GID_INDEX": "3"}, Version("2.20.5")) == 3
    assert choose_gid(USUAL, {}, Version("2.21.5")) == 3


def test_infiniband_ports_go_by_flid() -> None:
    plain = "fe80:0000:0000:0000:0002:c903:0000:0001"
    routable = "fe80:0000:0001:0000:0002:c903:0000:0001"
    assert choose_gid(port((plain, "IB"), (plain, "IB"), link_layer="InfiniBand"), {}) == 0
    assert choose_gid(port((plain, "IB"), (routable, "IB"), link_layer="InfiniBand"), {}) == 1
    short = port((plain, "IB"), (routable, "IB"), link_layer="InfiniBand", slots=1)
    assert choose_gid(short, {}) == 0
    ignored = {"NCCL_IB_GID_INDEX": "3"}
    assert choose_gid(port((plain, "IB"), (plain, "IB"), link_layer="InfiniBand"), ignored) == 0


def test_infiniband_ports_went_by_the_index_before_2_22_3() -> None:
    table = port((FE80, "IB"), link_layer="InfiniBand")
    assert choose_gid(table, {"NCCL_IB_GID_INDEX": "3"}, Version("2.21.5")) == 3
    assert choose_gid(table, {"NCCL_IB_GID_INDEX": "3"}, Version("2.22.3")) == 0


def test_what_decides_and_could_not_be_read_is_not_guessed() -> None:
    usual = USUAL.gids.value
    unreadable = Gid(3, v4(11), unread("types/3", "Permission denied"), unread("ndevs/3", "Permission denied"))
    table = port()
    with pytest.raises(CannotTell, match="Permission denied"):
        choose_gid(_with(table, (*usual[:3], unreadable)), {})
    unmapped = Gid(3, v4(11), unread("types/3", "Invalid argument"), unread("ndevs/3", "Invalid argument"))
    assert choose_gid(_with(table, (*usual[:3], unmapped)), {}) == 2
    assert choose_gid(_with(table, (*usual[:3], unmapped)), {}, Version("2.26.2")) == 2
    with pytest.raises(CannotTell, match="Invalid argument"):
        choose_gid(_with(table, (*usual[:3], unmapped)), {}, Version("2.25.1"))
    with pytest.raises(CannotTell, match="undefined"):
        choose_gid(_with(table, (Gid(0, v4(9), unmapped.type, unmapped.netdev), usual[3])), {})


def _with(table: Port, gids: tuple[Gid, ...]) -> Port:
    return Port(1, table.state, table.phys_state, table.link_layer, table.rate, Fact("gids", gids), table.gid_slots)


def test_a_range_without_a_slash_crashed_2_21() -> None:
    with pytest.raises(CannotTell, match="crashes"):
        parse_range("10.0.0.0", 4, Version("2.21.5"))
    assert parse_range("10.0.0.0", 4, Version("2.23.4")).holds(EMPTY_ADDRESS, 4)


def test_describe() -> None:
    assert [describe(gid_at(USUAL, index)) for index in range(5)] == [
        "RoCE v1, link-local",
        "RoCE v2, link-local",
        "RoCE v1, IPv4 192.168.177.11",
        "RoCE v2, IPv4 192.168.177.11",
        "empty",
    ]
    assert describe(gid_at(port((GLOBAL6, V2)), 0)) == "RoCE v2, IPv6 fd00::1"


entries = st.one_of(st.none(), st.tuples(st.sampled_from([FE80, v4(11), v4(5, 254), GLOBAL6]), st.sampled_from([V1, V2])))  # fmt: skip
tables = st.lists(entries, max_size=8)


@given(tables)
def test_a_table_with_one_ipv4_address_gives_its_v2_entry(table: list[tuple[str, str] | None]) -> None:
    table = [None if entry is not None and entry[0] == v4(5, 254) else entry for entry in table]
    v2 = [at for at, entry in enumerate(table) if entry == (v4(11), V2)]
    chosen = choose_gid(port(*table), {})
    assert not v2 or table[chosen] == (v4(11), V2)


@given(tables, st.sampled_from(["192.168.177.0/24", "192.168.254.0/24", "10.0.0.0/8"]))
def test_outside_index_0_the_range_holds(table: list[tuple[str, str] | None], allowed: str) -> None:
    chosen = choose_gid(port(*table), {"NCCL_IB_ADDR_RANGE": allowed})
    prefix = {"192.168.177.0/24": "c0a8:b1", "192.168.254.0/24": "c0a8:fe", "10.0.0.0/8": "0a"}[allowed]
    gid = gid_at(port(*table), chosen)
    assert chosen == 0 or (gid is not None and gid.gid.startswith(f"0000:0000:0000:0000:0000:ffff:{prefix}"))


@given(tables, st.text(alphabet="0123456789-x ", max_size=4))
def test_a_pinned_index_is_used_as_it_is(table: list[tuple[str, str] | None], text: str) -> None:
    pinned = integer(text, -1)
    chosen = choose_gid(port(*table), {"NCCL_IB_GID_INDEX": text})
    assert chosen == pinned if pinned >= 0 else chosen == choose_gid(port(*table), {})
