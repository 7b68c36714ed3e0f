"""What can be said of a failure that no signature names: its class, where it begins, what the codes in it mean, and
what to look at next. Nothing is said of its cause.

The names of these diagnoses begin with `unknown-`. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sparkdoctor.api import Certainty, Fix, Severity
from sparkdoctor.codes import Code, cuda, exits, libraries, nccl, verbs, xid
from sparkdoctor.diagnose import Diagnosis, Remedy
from sparkdoctor.logs.chronicle import Chronicle
from sparkdoctor.logs.match import Hit
from sparkdoctor.logs.origin import prefix_of
from sparkdoctor.logs.scan import Ending, Line
from sparkdoctor.logs.sign import Sign, Weight
from sparkdoctor.refusals import refused
from sparkdoctor.signatures import Role
from sparkdoctor.unnamed import General

MOST = 3
"""Diagnoses of this kind that are given: many logs of one failure have one beginning."""
TITLE = 160
"""Characters of a title."""
NAMED = "No signature names this failure; this is read off the line itself."


class _Told(NamedTuple):
    """What is said of one sign."""

    name: str
    title: str
    why: str
    look: str
    """An imperative."""
    run: tuple[str, ...]
    refs: tuple[str, ...] = ()


def conclude(
    endings: Iterable[Ending], known: Sequence[Diagnosis], chronicle: Chronicle, since: float | None = None
) -> list[General]:
    """Of each log that ends in a failure at most one; those that say the same are one, with the lines of all logs.

    Nothing for a log in which something known came first, and of what is not known to have been logged after `since`.
    """
    found: dict[tuple[str, str], list[tuple[Sign, Line]]] = {}
    told: dict[tuple[str, str], _Told] = {}
    failed = any(diagnosis.severity is Severity.ERROR for diagnosis in known)
    for ending in endings:
        sign = ending.sign
        if sign is None or _is_known(ending.file, sign, known):
            continue
        line = _line(ending.file, sign, chronicle)
        if since is not None and (line.at is None or line.at < since):
            continue
        said = _tell(sign)
        key = said.name, said.title
        told.setdefault(key, said)
        found.setdefault(key, []).append((sign, line))
    diagnoses = [_diagnosis(told[key], signs) for key, signs in found.items()]
    if failed:
        diagnoses = [one for one in diagnoses if one.severity is Severity.WARNING]
    order = {Severity.WARNING: 0, Severity.NOTE: 1}
    diagnoses.sort(key=lambda one: (order[one.severity], one.role is Role.CONSEQUENCE, one.evidence[0].at or 0.0))
    return diagnoses[:MOST]


def _is_known(file: str, sign: Sign, known: Sequence[Diagnosis]) -> bool:
    """Whether something known of that log stands before the sign, or in it. A log of which nothing is known may be
    that of the rank that failed first."""
    if any(line.file == file and line.line == sign.line for diagnosis in known for line in diagnosis.evidence):
        return True  # also as one that is usual
    lines = [
        line.line
        for diagnosis in known
        if diagnosis.severity is not Severity.NOTE
        for evidence in (diagnosis.evidence, *(follower.evidence for follower in diagnosis.follows))
        for line in evidence
        if line.file == file
    ]
    if any(sign.since <= line <= sign.until for line in lines):
        return True
    errors = [diagnosis for diagnosis in known if diagnosis.severity is Severity.ERROR]
    began = any(
        line.file == file and line.line < sign.since
        for diagnosis in errors
        for evidence in (diagnosis.evidence, *(follower.evidence for follower in diagnosis.follows))
        for line in evidence
    )
    return began or (bool(errors) and sign.weight is not Weight.BEGINS)


def _line(file: str, sign: Sign, chronicle: Chronicle) -> Line:
    chronicle.add_line(file, sign.text)
    place = chronicle.place(Hit("", file, sign.line, sign.text, {}))
    return Line(
        file, sign.line, sign.text, sign.start, sign.end, place.time, place.at, place.node, place.rank, place.process
    )


def _diagnosis(told: _Told, found: Sequence[tuple[Sign, Line]]) -> General:
    signs = [sign for sign, _ in found]
    mild = all(sign.mild for sign in signs)
    weak = all(sign.weight is Weight.WEAK for sign in signs)
    after = "" if not mild else " The log goes on after it, or gives it as a warning: it may not be what failed."
    return General(
        name=told.name,
        title=_short(told.title),
        role=Role.CONSEQUENCE if signs[0].weight is Weight.FOLLOWS else Role.SYMPTOM,
        severity=Severity.NOTE if mild or weak else Severity.WARNING,
        cause=None,
        why=f"{NAMED} {told.why}{after}".strip(),
        causes=(),
        fixes=(Remedy(Fix(told.look, run=told.run, certainty=_certainty(told.run))),),
        evidence=tuple(line for _, line in found),
        count=len(found),
        follows=(),
        refs=told.refs,
    )


def _certainty(run: Sequence[str]) -> Certainty:
    return Certainty.FILL_IN if any("<" in command for command in run) else Certainty.TRY


def _short(text: str) -> str:
    return text if len(text) <= TITLE else f"{text[: TITLE - 1]}…"


def _tell(sign: Sign) -> _Told:
    return _CLASSES[sign.kind](sign)


_KERNEL_LOG = "journalctl --dmesg --boot --no-pager | tail -n 100"
_OOM = "journalctl --dmesg --no-pager | grep -iE 'out of memory|oom-kill'"
_STATE = "docker inspect --format '{{.State.ExitCode}} OOMKilled={{.State.OOMKilled}} {{.State.Error}}' <container>"
_XIDS = "journalctl --dmesg --no-pager | grep Xid"
_LOG = "docker logs --timestamps <container> 2>&1 | less"


def _python(sign: Sign) -> _Told:
    said = sign.said
    kind = said["type"].rpartition(".")[2]
    message = said.get("message", "")
    where = ""
    if "path" in said:
        function = said.get("function", "")
        where = f"{said['path']}:{said.get('at', '?')}" + (
            f" in {function}" if function not in ("", "<module>") else ""
        )
    why = [
        f"The first exception is {said['type']}"
        + (f", raised at {where}." if where else "; its traceback is not there.")
    ]
    if "last" in said:
        why.append(f"Handling it led to others, the last on line {said['last_line']}: {said['last']}.")
    if sign.weight is Weight.FOLLOWS:
        why.append("It says that another process failed or left before: look for that one's first error.")
    codes = list(_codes(f"{kind}: {message}"))
    why += [_meaning(code) for code in codes]
    module = _MODULE.search(message) if kind in {"ModuleNotFoundError", "ImportError"} else None
    package = (module["name"] or module["other"]).split(".")[0] if module else said.get("package", "")
    look = "read the lines before it, then look up the message with the version of what raised it"
    run: tuple[str, ...] = (f"python3 -m pip show {shlex.quote(package)}",) if package else (_LOG,)
    if sign.weight is Weight.FOLLOWS:
        look, run = "look at the logs of all ranks and processes for an earlier error", (_LOG,)
    elif package:
        look = f"compare the version of {package}, where it runs, with what the message asks for"
    title = f"{kind}: {message}" if message else kind
    refs = _refs(codes)
    if sign.weight is not Weight.FOLLOWS and (refusal := refused(kind, message, said.get("path", ""))):
        why.append(refusal.why)
        look, run, refs = refusal.look, refusal.run or (_LOG,), (*refs, *refusal.refs)
    return _Told("unknown-python-error", title, " ".join(why), look, run, refs)


_MODULE = re.compile(r"No module named '(?P<name>[\w.]{1,80})'|from '(?P<other>[\w.]{1,80})'")


def _exit(sign: Sign) -> _Told:
    said = sign.said
    if "exit" in said:
        number = int(said["exit"])
        code = exits.exited(number)
    else:
        name = said.get("signal", "") or said.get("number", "") or said.get("other", "") or said.get("name", "")
        signal = exits.signalled(_SPOKEN.get(name, name))
        number = -signal.number if signal else -9
        code = exits.exited(number)
    sent = -number if number < 0 else number - 128 if number > 128 else 0
    shown = 128 + sent if number < 0 else number
    word = f"exit code {number}" if "exit" in said else code.name
    why = f"{word[:1].upper()}{_sentence(word, code)[1:]} An exit code or signal alone does not say why."
    refs = (
        exits.SOURCES["signal"]
        if sent
        else exits.SOURCES["systemd"]
        if 200 <= number <= 245
        else exits.SOURCES["exit"],
    )
    if sent == 9:
        return _Told(f"unknown-exit-{shown}", f"{word}: killed by SIGKILL", why,
                     "ask whether the kernel killed it for memory, else who stopped it", (_OOM, _STATE, "free -h"), refs)  # fmt: skip
    if sent in {4, 6, 7, 8, 11, 31}:
        return _Told(f"unknown-exit-{shown}", f"{word}: {code.name}", why,
                     "look for what the process said before, and for the kernel's line about it",
                     ("journalctl --dmesg --no-pager | grep -iE 'segfault|traps:|fatal signal|Xid'", "coredumpctl list --no-pager", "df -h /dev/shm"), refs)  # fmt: skip
    if 200 <= number <= 245:
        return _Told(f"unknown-exit-{number}", f"{word} of a systemd unit: {code.meaning}", why,
                     "look at the unit and what systemd says of it", ("systemctl status --no-pager <unit>", "systemctl cat <unit>"), refs)  # fmt: skip
    if number in {125, 126, 127}:
        return _Told(f"unknown-exit-{number}", f"{word}: {code.meaning}", why,
                     "look at what the container was to run, and for which CPU its image is",
                     (_STATE, "docker inspect --format '{{.Config.Entrypoint}} {{.Config.Cmd}}' <container>", "docker image inspect --format '{{.Architecture}}' <image>"), refs)  # fmt: skip
    return _Told(f"unknown-exit-{shown}", f"{word}: {code.meaning if not sent else code.name}", why,
                 "read what the process said before it ended", (_LOG, _STATE), refs)  # fmt: skip


_SPOKEN = {
    "Killed": "SIGKILL",
    "Segmentation fault": "SIGSEGV",
    "Segfault encountered": "SIGSEGV",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Aborted": "SIGABRT",
    "Floating point exception": "SIGFPE",
}


def _crash(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    if not message and "at" not in sign.said:
        return _exit(sign)
    why = "The interpreter or a native library found itself damaged and ended the process."
    return _Told("unknown-native-crash", f"Fatal Python error: {message}" if message else "the process crashed in native code",
                 why, "look at the stack below it for the native library, and for the kernel's line about it",
                 ("journalctl --dmesg --no-pager | grep -iE 'segfault|traps:|fatal signal|Xid'", "coredumpctl list --no-pager"))  # fmt: skip


def _abort(sign: Sign) -> _Told:
    said = sign.said
    message = said.get("message", "")
    codes = list(_codes(message))
    if "type" in said:
        title = f"uncaught C++ exception {said['type']}" + (f": {message}" if message else "")
        why = "A C++ exception that nobody caught ended the process with SIGABRT."
    elif message:
        title = f"the C library aborted: {message}"
        why = "The C library found the heap or stack damaged: a bug in native code, or libraries that do not fit each other; where it shows is rarely where it began."
    else:
        title, why = (
            "terminate was called without an exception",
            "A thread was left or a destructor failed while the process ended.",
        )
    why = " ".join((why, *map(_meaning, codes)))
    return _Told("unknown-native-crash", title, why, "look at the lines before it, and run it once more with the stack shown",
                 ("coredumpctl list --no-pager", _KERNEL_LOG), _refs(codes))  # fmt: skip


def _assertion(sign: Sign) -> _Told:
    said = sign.said
    where = said.get("where") or said.get("place", "")
    message = said.get("message") or said.get("text") or said.get("told") or said.get("check", "")
    why = f"The program checks this itself{f' at {where}' if where else ''}, and ended because it does not hold."
    return _Told("unknown-assertion", f"assertion failed: {message}", why,
                 "look up the assertion with the version of the program", (_LOG,))  # fmt: skip


def _panic(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    if "more" in sign.said:
        message = f"{sign.said['more']} at {message.rstrip(':')}"
    why = "The program (Rust or Go) ended itself because of a state that it does not expect."
    return _Told(
        "unknown-panic",
        f"panic: {message}",
        why,
        "run it once more with its stack shown",
        ("export RUST_BACKTRACE=1 GOTRACEBACK=all",),
    )


def _xid(sign: Sign) -> _Told:
    number = int(sign.said["number"])
    code = xid.XID.get(number)
    meaning = code.meaning if code else "not in NVIDIA's catalog of 2025"
    why = f"Xid {number}" + (f" ({code.name})" if code else "") + f": {meaning}."
    if code and code.advice:
        why += f" What to do: {code.advice}."
    if number in xid.FOLLOW:
        why += " It follows another error: look for an Xid or a killed process just before."
    return _Told(f"unknown-xid-{number}", f"Xid {number} of GPU {sign.said['device']}: {meaning}", why,
                 "look at all Xids and what stands around them", (_XIDS, _KERNEL_LOG, "nvidia-smi -q"), (xid.SOURCE,))  # fmt: skip


def _memory(sign: Sign) -> _Told:
    said = sign.said
    who = said.get("process") or said.get("task") or "a process"
    why = f"The kernel had no memory left, or a container reached its limit, and killed {who}. GPU memory counts on a GB10: it is the same memory."
    return _Told("unknown-out-of-memory", f"the kernel killed {who} for memory", why, "see what used the memory",
                 (_OOM, "free -h", "ps -eo rss,comm,args --sort=-rss | head", _STATE), (exits.SOURCES["signal"],))  # fmt: skip


def _kernel(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    why = "The kernel reports a failure of its own or of a driver; the module in its call trace tells which."
    return _Told("unknown-kernel-failure", f"kernel: {message}", why, "look at the call trace below it, and at what was updated last",
                 (_KERNEL_LOG, "uname -r; cat /proc/driver/nvidia/version"))  # fmt: skip


def _segfault(sign: Sign) -> _Told:
    said = sign.said
    who = said.get("process") or said.get("who", "a process")
    library = said.get("library", "")
    why = f"{who} touched memory that it does not have" + (f", in {library}." if library else ".")
    why += " A bug in native code, or libraries that do not fit each other."
    return _Told("unknown-native-crash", f"{who} crashed" + (f" in {library}" if library else ""), why,
                 "look at the log of that process just before", ("coredumpctl list --no-pager", _KERNEL_LOG))  # fmt: skip


def _cuda(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    codes = list(_codes(message))
    why = " ".join(map(_meaning, codes)) or "A CUDA call failed; the line gives no code that is known."
    why += " CUDA reports an error at a later call than the one that made it: the first line of all ranks counts."
    return _Told("unknown-cuda-error", message, why, "see whether the kernel log has an Xid, then find the call that fails",
                 (_XIDS, "nvidia-smi", "export CUDA_LAUNCH_BLOCKING=1"), _refs(codes))  # fmt: skip


def _nccl(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    codes = list(_codes(message))
    if "result" in sign.said and not codes:
        codes = [nccl.NCCL[int(sign.said["result"])]] if int(sign.said["result"]) in nccl.NCCL else []
    why = " ".join(("NCCL warned of this before it gave up.", *map(_meaning, codes)))
    return _Told("unknown-nccl-error", f"NCCL: {message}", why,
                 "look at the first warning of every rank, with the network in the log",
                 ("export NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=INIT,NET", "sparkdoctor check"), _refs(codes) or (nccl.SOURCE,))  # fmt: skip


def _verbs(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    codes = list(_codes(message))
    why = " ".join(("A call to libibverbs or a transfer over RDMA failed.", *map(_meaning, codes)))
    return _Told("unknown-rdma-error", message, why, "look at the state of the ports and their GIDs on both machines",
                 ("sparkdoctor check", "rdma link show", "ibv_devinfo -v | grep -E 'hca_id|state|GID|active_mtu'"), _refs(codes) or (verbs.SOURCE,))  # fmt: skip


def _docker(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    codes = list(_codes(message))
    why = " ".join(
        (
            "Docker or the runtime could not do what was asked; the container did not get to run its command.",
            *map(_meaning, codes),
        )
    )
    return _Told("unknown-docker-error", message, why, "look at what the daemon says",
                 ("journalctl -u docker --since -10min --no-pager | tail -n 50", "docker info", "nvidia-ctk --version"), _refs(codes))  # fmt: skip


def _configuration(sign: Sign) -> _Told:
    message = sign.said.get("message", "")
    return _Told("unknown-configuration-error", message, "A file of settings could not be read; the message names the place.",
                 "have the file checked where the message points", ("docker compose config --quiet",))  # fmt: skip


def _usage(sign: Sign) -> _Told:
    message = sign.said.get("message") or sign.said.get("text", "")
    program = (sign.said.get("program") or "").strip()
    why = f"{program or 'The program'} does not take this command line and ended before it did anything."
    help_ = f"{program} --help" if re.fullmatch(r"[\w./-]+(?: [\w-]+)?", program) else "<program> --help"
    return _Told("unknown-usage-error", f"wrong command line: {message}", why,
                 "compare the option with those of the version that runs", (help_,))  # fmt: skip


def _command(sign: Sign) -> _Told:
    said = sign.said
    name = next((said[key] for key in ("command", "program", "name", "path") if key in said), "")
    if name:
        title = f"{name} could not be run"
        why = f"{name} is not there, is not in PATH, or may not be executed, where this ran (in a container: in its image)."
        run: tuple[str, ...] = (f"command -v {shlex.quote(name)}",)
    else:
        title = said.get("format") or said.get("binary", "")
        why = "The program is for another CPU, damaged, or a script without its #! line."
        run = ("uname -m", "docker image inspect --format '{{.Architecture}}' <image>")
    return _Told(
        "unknown-command-failure",
        title,
        why,
        "look at the command and the image that it ran in",
        run,
        (exits.SOURCES["exit"],),
    )


def _library(sign: Sign) -> _Told:
    said = sign.said
    name = said.get("library") or said.get("name", "")
    why = "A program could not be loaded: a library is missing, is not where the loader looks, or is of another version than the program was built for."
    return _Told("unknown-library-error", said["message"], why, "see where the loader finds it",
                 (f"ldconfig -p | grep {shlex.quote(name.split('.so')[0])}" if name else "ldconfig -p", "echo $LD_LIBRARY_PATH", "uname -m"))  # fmt: skip


def _build(sign: Sign) -> _Told:
    why = "A compiler or build tool failed; the first error that it prints is the one that counts."
    return _Told("unknown-build-error", sign.said["message"], why, "compare the compiler with the GPU: a GB10 is sm_121, which CUDA knows since 12.9",
                 ("nvcc --version", "nvidia-smi --query-gpu=name,compute_cap --format=csv"))  # fmt: skip


def _slurm(sign: Sign) -> _Told:
    due = _DUE.search(sign.text)
    state = due["state"].replace(" ", "_").replace("TIME_LIMIT", "TIMEOUT") if due else ""
    meaning = exits.SLURM.get(state, "")
    title = (
        f"Slurm ended the job: {state} ({meaning})"
        if meaning
        else f"Slurm: {sign.said.get('message') or sign.said.get('step', sign.text)}"
    )
    return _Told("unknown-slurm-failure", title, "Slurm reports that a task ended or was ended; the log of the task says why.",
                 "ask Slurm for the state and exit code of every step", ("sacct -j <job> --format=JobID,State,ExitCode,MaxRSS",), (exits.SOURCES["slurm"],))  # fmt: skip


_DUE = re.compile(r"DUE TO (?P<state>[A-Z_]{4,15}(?: [A-Z]{4,10})?)")


def _errno(sign: Sign) -> _Told:
    code = exits.errno_said(sign.said["errno"])
    why = _meaning(code) if code else "A call to the system failed."
    return _Told(
        "unknown-system-error",
        _message(sign),
        why,
        "look at what the line names: the file, device or address",
        (_LOG,),
        (exits.SOURCES["errno"],),
    )


def _error(sign: Sign) -> _Told:
    codes = list(_codes(sign.said.get("message", "")))
    why = " ".join(("It is the first line that the program itself calls an error.", *map(_meaning, codes)))
    return _Told("unknown-error-line", _message(sign), why, "read the lines around it", (_LOG,), _refs(codes))


def _message(sign: Sign) -> str:
    text = sign.text[: sign.end] if sign.kind == "errno" else sign.said.get("message", sign.text)
    text = text[prefix_of(text).end :] if sign.kind == "errno" else text
    return _LEAD.sub("", text).strip() or sign.text.strip()


_LEAD = re.compile(r"^(?:.{0,80}\b(?:ERROR|CRITICAL|FATAL)\b[\s:\]|-]{0,10})?")

_CLASSES = {
    "python": _python,
    "exception": _python,
    "exit": _exit,
    "signal": _exit,
    "killed": _exit,
    "crash": _crash,
    "abort": _abort,
    "assertion": _assertion,
    "panic": _panic,
    "xid": _xid,
    "out-of-memory": _memory,
    "kernel": _kernel,
    "segfault": _segfault,
    "cuda": _cuda,
    "nccl": _nccl,
    "nccl-warning": _nccl,
    "verbs": _verbs,
    "docker": _docker,
    "configuration": _configuration,
    "usage": _usage,
    "command": _command,
    "slurm": _slurm,
    "library": _library,
    "build": _build,
    "errno": _errno,
    "error": _error,
}

_CODE_NAMES = re.compile(
    r"\b(?:cudaError[A-Z]\w+|CUDA_ERROR_\w+|nccl[A-Z]\w+|IBV_(?:WC|EVENT)_\w+|CU(?:BLAS|DNN)_STATUS_\w+|E[A-Z]{3,15})\b"
)
_CUDA_SAID = re.compile(r"(?:CUDA (?:driver |runtime )?[Ee]rror:? |Cuda failure (?:\d+ )?')(?P<text>[^'\n]{4,200})")
_CUDA_NUMBER = re.compile(r"(?:CUDA (?:driver |runtime )?[Ee]rror:?|Cuda failure) \(?(?P<number>\d{1,3})\b")
_NCCL_SAID = re.compile(r"NCCL (?:[Ee]rror|failure)[^,']{0,200}[,'] ?(?P<text>[a-z][^,'\n]{3,120})")
_NUMBERED = re.compile(r"\b(?:errno|failed with(?: error)?|Errno)[ =:]{1,3}(?P<number>\d{1,3})\b")
_WC_NUMBER = re.compile(r"\b(?:wc|completion|CQE)\b.{0,100}\bstatus[ =:]{1,3}(?P<number>\d{1,2})\b")
_STRERROR = re.compile(
    r"(?:error|errno|:|failed with \d{1,3}) (?P<text>[A-Z][a-z]+(?: [a-z/()O]+){0,5})(?=[,.(:]|$| \()"
)


def _codes(text: str) -> Iterator[Code]:
    """What the codes in a message are, each once, in a few words of the tables."""
    seen: set[str] = set()
    for code in _all_codes(text):
        if code is not None and code.name not in seen:
            seen.add(code.name)
            yield code


def _all_codes(text: str) -> Iterator[Code | None]:
    for name in _CODE_NAMES.findall(text):
        yield (
            cuda.named(name)
            or nccl.named(name)
            or verbs.named(name)
            or libraries.named(name)
            or exits.errno_named(name)
        )
    if found := _CUDA_SAID.search(text):
        yield cuda.said(found["text"])
    if found := _CUDA_NUMBER.search(text):
        yield cuda.CUDA.get(int(found["number"]))
    if found := _NCCL_SAID.search(text):
        yield nccl.said(found["text"])
    if found := _WC_NUMBER.search(text):
        yield verbs.WC_STATUS.get(int(found["number"]))
    if found := _NUMBERED.search(text):
        yield exits.errno_of(int(found["number"]))
    for found in _STRERROR.finditer(text):
        yield exits.errno_said(found["text"].strip())


def _meaning(code: Code) -> str:
    return _sentence(code.name.split()[0], code)


def _sentence(word: str, code: Code) -> str:
    return f"{word}: {code.meaning}{f' ({code.advice})' if code.advice else ''}."


def _refs(codes: Sequence[Code]) -> tuple[str, ...]:
    sources = {
        cuda.SOURCE: ("cuda", "CUDA"),
        nccl.SOURCE: ("nccl",),
        verbs.SOURCE: ("IBV_",),
        exits.SOURCES["errno"]: ("E",),
    }
    return tuple(source for source, starts in sources.items() if any(code.name.startswith(starts) for code in codes))
