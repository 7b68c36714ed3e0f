"""The packet filter as nft and iptables-nft-save tell it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from sparkdoctor.facts.firewall import NEEDS_ROOT, firewall, parse_devices
from sparkdoctor.facts.iptables import read_save
from sparkdoctor.facts.network import parse_range
from sparkdoctor.host import Firewall
from sparkdoctor.system import COMMANDS, Recorded
from tests.firewall.recorded import EMPTY, recorded
from tests.recordings import absent, files, problem

PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def test_no_rules() -> None:
    assert firewall(files({**EMPTY, "command nft": '{"nftables": [{"metainfo": {}}]}'})).value == Firewall()


def test_without_root_the_way_to_see_it_is_told() -> None:
    words = "exit code 1: netlink: Error: cache initialization failed: Operation not permitted"
    told = firewall(files({**EMPTY, "command nft": problem(words)}))
    assert (told.is_known, told.problem) == (False, "only root may read it; run sparkdoctor with sudo")


def test_nft_is_not_installed() -> None:
    told = firewall(files({**EMPTY, "command nft": absent("nft is not installed")}))
    assert (told.problem, told.absent) == ("nft is not installed", True)


def test_tables_of_the_older_iptables_are_not_called_none() -> None:
    told = firewall(files({**EMPTY, "/proc/net/ip_tables_names": "filter\nnat\n", "command nft": '{"nftables": []}'}))
    assert not told.is_known
    assert "iptables-legacy has tables of its own (filter, nat)" in told.problem


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"nftables": [{"rule": {}}]}', '{"other": []}'])
def test_what_nft_never_prints_is_no_firewall_without_rules(text: str) -> None:
    assert not firewall(files({**EMPTY, "command nft": text})).is_known


def test_rules_of_iptables_have_their_text_and_what_it_says() -> None:
    chains = {chain.name: chain for chain in firewall(recorded("ufw")).value.chains if chain.family == "ip"}
    before = chains["ufw-before-input"].rules
    assert before[1].text == "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    assert before[1].handle == 53
    state = {"match": {"op": "==", "left": {"ct": {"key": "state"}}, "right": {"set": ["related", "established"]}}}
    assert before[1].statements == (state, {"accept": None})


def test_without_iptables_save_its_parts_stay_not_understood() -> None:
    chains = firewall(recorded("ufw", {"command iptables": problem("no answer within 5 s")})).value.chains
    (before,) = (chain for chain in chains if chain.name == "ufw-before-input")
    assert {"xt": {"type": "match", "name": "conntrack"}} in before.rules[1].statements


def test_other_rules_than_those_of_nft_are_not_taken() -> None:
    """Somebody changed the rules between the two looks."""
    system = recorded("ufw")
    lines = [line for line in system.command("iptables").value.splitlines() if "--ctstate INVALID -j DROP" not in line]
    chains = firewall(recorded("ufw", {"command iptables": "\n".join(lines)})).value.chains
    (before,) = (chain for chain in chains if chain.name == "ufw-before-input")
    assert not any(rule.text for rule in before.rules)


@pytest.mark.parametrize(
    ("words", "statements"),
    [
        ("-i en+ -j DROP", [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "en*"}}, {"drop": None}]),
        (
            "-p tcp -m multiport --dports 22,80:90 -j own",
            [
                {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}},
                {
                    "match": {
                        "op": "==",
                        "left": {"payload": {"protocol": "th", "field": "dport"}},
                        "right": {"set": [22, {"range": [80, 90]}]},
                    }
                },
                {"jump": {"target": "own"}},
            ],
        ),
        ("-m mark --mark 0x1 -j ACCEPT", [{"xt": {"type": "match", "name": "mark"}}, {"accept": None}]),
        ("-f -j ACCEPT", [{"xt": {"type": "match", "name": "f"}}, {"accept": None}]),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN -j own", [
            {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}},
            {"xt": {"type": "match", "name": "tcp-flags"}},
            {"jump": {"target": "own"}},
        ]),
        ("-j TARPIT", [{"xt": {"type": "target", "name": "TARPIT"}}]),
        ('-m comment --comment "-j DROP" -j RETURN', [{"return": None}]),
    ],
)  # fmt: skip
def test_one_rule_of_iptables(words: str, statements: list[object]) -> None:
    ((rule,),) = read_save(f"*filter\n:INPUT ACCEPT [0:0]\n:own - [0:0]\n-A INPUT {words}\nCOMMIT\n").values()
    assert list(rule.statements) == statements


def test_the_interfaces_of_chains_at_a_device() -> None:
    text = (
        "table netdev f {\n\tchain one {\n\t\ttype filter hook ingress device \"a0\" priority filter; policy accept;\n\t}\n"
        "\tchain two {\n\t\ttype filter hook ingress devices = { a0, b0 } priority filter + 5; policy accept;\n\t}\n}\n"
    )  # fmt: skip
    assert parse_devices(text) == {("netdev", "f", "one"): ("a0",), ("netdev", "f", "two"): ("a0", "b0")}


def test_a_machine_that_did_not_record_it() -> None:
    assert firewall(Recorded("")).problem == "not recorded"


def test_the_ports_for_who_asks_for_none() -> None:
    assert parse_range("32768\t60999\n") == (32768, 60999)
    with pytest.raises(ValueError, match="unpack"):
        parse_range("32768\n")


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft", path=PATH), reason="needs root, to stop being it, and nft"
)
def test_what_nft_says_without_root() -> None:
    done = subprocess.run(
        ["nft", *COMMANDS["nft"][0][1:]], env={"PATH": PATH}, user=65534, capture_output=True, text=True, check=False
    )
    words = f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
    assert firewall(files({**EMPTY, "command nft": problem(words)})).problem == NEEDS_ROOT
