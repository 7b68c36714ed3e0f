"""What every entry of knowledge must have, whoever adds it; tests/test_every_signature.py has what its lines must do."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache

import pytest

from sparkdoctor.api import Severity
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.read import read_log
from sparkdoctor.patterns import PLAIN_TEXT, STEPS, plain_text, worst_steps
from sparkdoctor.registry import Registry, load_registry
from sparkdoctor.signatures import Cause, Role, Signature

PROGRAMS = (
    "apt apt-get cat chmod chown cmake curl dd df dkms dmesg docker dpkg du earlyoom echo env ethtool export false find"
    " free fwupdmgr getent git grep gunzip hf huggingface-cli ibdev2netdev ib_read_bw ib_send_bw ib_write_bw ibstat"
    " ibv_devices ibv_devinfo iostat ip iperf3 journalctl kill ldconfig ldd llama-server ln ls lscpu lsmod lsof lspci make"
    " llama-bench llama-cli mkdir mlxlink mlxconfig modinfo modprobe mokutil mount mpirun nc ncdu netplan nft nmcli nproc numactl nvcc nvidia-ctk"
    " nvidia-smi ollama openssl perl ping pip pkill podman printenv ps py-spy python python3 ray rdma reboot resolvectl"
    " rm rsync scp sed sha256sum smartctl snap sparkdoctor ss ssh ssh-add ssh-copy-id ssh-keygen ssh-keyscan sudo swapoff"
    " sync sysctl systemctl tail tar test timedatectl top ulimit umount uname unset ufw usermod uv vllm wget which"
)
COMMAND = re.compile(rf"(?:^|[\s:;|(`'\"])(?:{'|'.join(map(re.escape, PROGRAMS.split()))})(?=[ `;)]|$)", re.MULTILINE)
SETTING = re.compile(
    r"(?<![\w-])--?[a-zA-Z][\w.-]*"  # an option
    r"|\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b"  # a variable
    r"|(?:^|[\s(`:])/(?:etc|var|sys|proc|dev|usr|opt|run)/"  # a file
    r"|\b[a-z_.-]+(?:=|: )[^\s;]"  # a line of a file
)
GAP = re.compile(r"<[a-zA-Z][^<>\n]{0,80}>")
MOVING = re.compile(r"/(?:blob|tree|raw|edit)/(?:main|master|HEAD|develop|trunk|dev)/|/raw/HEAD")
LIST = re.compile(r"//github\.com/[^/]+/[^/]+/(?:issues|pulls|discussions|releases)/?$")
WORDS = re.compile(
    r"\b(?:simply|please|obviously|easily|of course|unfortunately|bogus|sorry|oops)\b|did you mean", re.IGNORECASE
)
SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9]{20,}|\bghp_\w{20,}|\bnvapi-[\w-]{20,}|BEGIN [A-Z ]*PRIVATE KEY"
)

FORMS = {
    "bare": "",
    "rank": "[rank0]: ",
    "rank in a traceback": '[rank1]:   File "x.py", line 1, in f ',
    "vllm engine": "(EngineCore_DP0 pid=377) ERROR 11-24 15:14:29 [core.py:866] ",
    "vllm worker": "(Worker_TP0 pid=377) ERROR 11-24 15:14:29 [multiproc_executor.py:866] ",
    "vllm api server": "(APIServer pid=1) ERROR 11-24 15:14:29 [api_server.py:12] ",
    "ray": "(RayWorkerWrapper pid=812, ip=192.168.100.11) ",
    "sglang": "[2026-11-24 15:14:29 TP0] ",
    "compose": "vllm-1  | ",
    "swarm or kubectl": "spark-head-0 vllm ",
    "docker --timestamps": "2026-11-24T15:14:29.123456789Z ",
    "kubernetes": "2026-11-24T15:14:29.123456789+00:00 stderr F ",
    "journald": "Nov 24 15:14:29 spark-2 docker[1201]: ",
    "journald, exact": "2026-11-24T15:14:29+0100 spark-2 kernel: ",
    "dmesg": "[ 1234.567890] ",
    "dmesg -x": "kern  :err   : [ 1234.567890] ",
    "dmesg -T": "[Tue Nov 24 15:14:29 2026] ",
    "slurm": "1: ",
    "torchrun": "[default1]:",
    "mpirun": "[1,1]<stderr>: ",
}


@cache
def registry() -> Registry:
    return load_registry()


def signatures() -> list[Signature]:
    return list(registry().knowledge.signatures.values())


def causes() -> list[Cause]:
    return list(registry().knowledge.causes.values())


def alarms() -> list[Signature]:
    return [signature for signature in signatures() if signature.severity is not Severity.NOTE]


def entries() -> list[Signature | Cause]:
    return [*signatures(), *causes()]


def mending(entry: Signature | Cause) -> str:
    """All that stands under its fix."""
    return "\n".join([entry.fix, entry.edit, *entry.run])


def pasteable(text: str) -> bool:
    return bool(COMMAND.search(text) or SETTING.search(text))


def test_there_are_as_many_as_were_wanted() -> None:
    assert len(signatures()) >= 350
    assert len(causes()) >= 150


def test_every_alarm_has_a_cause_or_a_fix() -> None:
    assert [signature.name for signature in alarms() if not signature.causes and not signature.fix] == []


def test_every_fix_has_something_to_paste() -> None:
    """A sentence alone leaves the reader to find the command."""
    alarming: list[Signature | Cause] = [*alarms(), *causes()]
    assert [
        entry.name for entry in alarming if entry.fix and not (entry.run or entry.edit or pasteable(mending(entry)))
    ] == []


def test_every_fix_of_a_check_says_what_to_do() -> None:
    named = {name for signature in signatures() for name in signature.causes}
    checks = [check for check in registry().checks.by_name.values() if check.name in named]
    assert [check.name for check in checks if "## How to fix it" not in check.docs] == []


def test_every_cause_is_decided_by_a_check_or_by_a_command() -> None:
    """Reading a traceback is a way to decide as well; a guess is none."""
    undecided = [
        cause.name
        for cause in causes()
        if not pasteable(cause.decide) and not re.match("read |send |look ", cause.decide)
    ]
    assert undecided == []


def test_no_cause_does_what_a_check_does_by_itself() -> None:
    selected = re.compile(r"sparkdoctor check --select ([\w-]+)")
    twice = [cause.name for cause in causes() if selected.fullmatch(cause.decide.strip())]
    assert twice == [], "name the check itself in `causes`"


def test_what_is_told_to_be_run_of_sparkdoctor_exists() -> None:
    known = {*registry().checks.by_name, *registry().knowledge.signatures, *registry().knowledge.causes}
    known |= {name.split("-")[0] for name in known}
    told = re.compile(r"sparkdoctor (?:check --select|explain|list) ([a-z][\w,-]+)(?![\w.,-])")
    strangers = [
        (entry.name, name)
        for entry in entries()
        for text in (entry.why, mending(entry), getattr(entry, "decide", ""))
        for found in told.finditer(text)
        for name in found[1].split(",")
        if name not in known
    ]
    assert strangers == []


def _commands() -> Iterator[tuple[str, str]]:
    for entry in entries():
        for command in entry.run:
            yield entry.name, command


def test_commands_can_be_pasted() -> None:
    odd = [
        (name, command)
        for name, command in _commands()
        if command != command.strip()
        or "\n" in command
        or command.startswith(("$ ", "# ", "`"))
        or not command.isascii()
    ]
    assert odd == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_commands_are_of_the_shell() -> None:
    """With each gap filled in; bash reads them and runs nothing."""
    written = "".join(GAP.sub("X", re.sub(r"\{\w+\}", "X", command)) + "\n" for _, command in _commands())
    read = subprocess.run(["bash", "-n"], input=written, capture_output=True, text=True, check=False)
    assert read.stderr == ""


def test_every_pattern_is_bounded_and_has_enough_plain_text() -> None:
    patterns = registry().knowledge.patterns()
    assert [one.name for one in patterns if worst_steps(one.match) > STEPS] == []
    assert [one.name for one in patterns if min(map(len, plain_text(one.match)), default=0) < PLAIN_TEXT] == []


def test_every_address_shows_tomorrow_what_it_shows_today() -> None:
    """The file of a branch and a list of issues change; name a tag or a commit, or a thread."""
    assert [
        (entry.name, ref) for entry in entries() for ref in entry.refs if MOVING.search(ref) or LIST.search(ref)
    ] == []


def test_every_entry_says_where_it_is_from() -> None:
    assert [signature.name for signature in signatures() if not signature.refs or not signature.seen_in] == []
    assert [entry.name for entry in causes() if not entry.refs] == []
    assert [entry.name for entry in entries() if len(set(entry.refs)) != len(entry.refs)] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_sample_is_found_after_what_runtimes_put_before_a_line(form: str) -> None:
    matcher = Matcher(signatures())
    missed = []
    for signature in signatures():
        lines = "".join(f"{FORMS[form]}{sample}\n" for sample in signature.matches).encode()
        if signature.name not in {hit.signature for hit in matcher.scan(read_log("-", io.BytesIO(lines)), "x.log")}:
            missed.append(signature.name)
    assert missed == []


def test_wording() -> None:
    odd = []
    for entry in entries():
        texts = {"title": entry.title, "why": entry.why, "fix": entry.fix, "cost": entry.cost}
        odd += [(entry.name, key, found[0]) for key, text in texts.items() for found in WORDS.finditer(text)]
        if (
            re.search("[.!?:]$", entry.title)
            or re.match(r"(?:The|A|An|This|It|No|There)\b", entry.title)
            or len(entry.title) > 120
        ):
            odd.append((entry.name, "title", entry.title))
        if re.search(r"[^.]\.$|[!?]$", entry.fix.strip()) or re.match(
            "(?:The|A|An|This|It|You|If|Use|Set) ", entry.fix
        ):
            odd.append((entry.name, "fix", entry.fix))
        if re.search("[\u201c\u201d\u2018\u2019]", f"{entry.title}{entry.why}{mending(entry)}"):
            odd.append((entry.name, "quotes", ""))
        if not re.search(r"[.:)`?]$", entry.why.strip()):
            odd.append((entry.name, "why", entry.why[-40:]))
    assert odd == []


def test_no_sample_has_a_secret() -> None:
    assert [one.name for one in signatures() for sample in (*one.matches, *one.ignores) if SECRET.search(sample)] == []


def test_explains_leads_to_what_is_there_and_never_back() -> None:
    arrows = {signature.name: signature.explains for signature in signatures()}
    assert [(name, one) for name, explained in arrows.items() for one in explained if one not in arrows] == []

    def reach(name: str, above: tuple[str, ...] = ()) -> None:
        assert name not in above, " explains ".join((*above, name))
        for one in arrows[name]:
            reach(one, (*above, name))

    for name in arrows:
        reach(name)


def test_a_consequence_explains_no_cause() -> None:
    known = registry().knowledge.signatures
    consequences = [one for one in signatures() if one.role is Role.CONSEQUENCE]
    assert [(a.name, b) for a in consequences for b in a.explains if known[b].role is Role.CAUSE] == []


def test_causes_are_named_once_by_a_signature() -> None:
    assert [one.name for one in signatures() if len(set(one.causes)) != len(one.causes)] == []
    assert [one.name for one in signatures() if len(set(one.explains)) != len(one.explains)] == []
