"""Where a failure that no signature names seems to begin, and of which class it is.

Classes are told by what programs of one kind have in common: a Python traceback, a message of glibc when it aborts,
an exit code. Pure; one pass over the last lines of a log; every expression takes linear time. What the codes in a
line mean is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from sparkdoctor.late import late
from sparkdoctor.logs.origin import Prefix, prefix_of
from sparkdoctor.logs.sign import Sign, Weight

LONG = 2000
"""Characters of a line that are looked at."""
MESSAGE = 300
"""Characters of a message that are kept."""
OPEN = 400
"""Lines of one process without anything of its traceback after which it is given up."""
WENT_ON = 8
"""Lines of the same process, none of them an error, after which it is taken to have gone on."""
WARNED = 3
"""Such lines when it seems to have been logged as a warning."""
JOURNAL = 4
"""Programs in a log by which it is the journal of a machine."""
UNWINDS = 12
"""Lines after a warning of NCCL in which it says that the call failed."""


class Text(NamedTuple):
    """One line, or one part of it between carriage returns."""

    number: int
    text: str
    prefix: Prefix
    begin: int
    """Where the message begins, with its indentation."""

    @property
    def body(self) -> str:
        return self.text[self.begin :]

    @property
    def writer(self) -> tuple[str, str, int | None]:
        return self.prefix.container, self.prefix.process, self.prefix.rank


_SOURCE = late(r" ?\[[\w./-]{1,80}:\d{1,6}\]")
_LEVEL = late(
    r"\b(?:WARN(?:ING)?|INFO|DEBUG|NOTE|NOTICE)\b|^\[?(?:W|I)\d{4} |\b(?:Future|User|Deprecation|Runtime)Warning\b"
)
_INFO = late(r"\b(?:INFO|DEBUG)\b|^\[?I\d{4} ")
_SAYS_ERROR = late(
    r"\[?[EF]\d{4} |.{0,200}\"(?:level|severity)\": ?\"(?:error|fatal|ERROR|FATAL)\"|(?:[\w./-]{1,40}: )?(?:error|Error|fatal|FATAL|E|\[E\]):? |.{0,80}\blevel=(?:error|fatal)\b"
)
_GLOG = late(r"^\[?[WI]\d{4} ")
_GOES_DOWN = late(
    r"\[shutdown\]|(?i:shutting down|sigquit|child failed|kill_process_tree|destroy_process_group|cleaning up|core dump"
    r"|crash|terminat|leaked \w{1,30} objects|exited|\bkill(?:ed|ing)\b)"
)
"""What is printed on the way out, be it as a warning or as news: the program has not gone on."""
_BAD = late(r"\b(?:ERROR|CRITICAL|FATAL)\b|^\[?[EF]\d{4} ")

_WELL = late(
    r"Application startup complete|Uvicorn running on|fired up and ready to roll|server is listening on http"
    r"|generation throughput: (?:[1-9]|0\.0*[1-9])|gen throughput \(token/s\): [1-9]"
    r'|"POST /[^" ]{1,200} HTTP/[\d.]+" 200|Avg bus bandwidth|llama_perf_context_print|eval time ='
)
"""What only a launch that works prints: what came before did not end it."""
_STOPPED = late(
    r"Shutting down|[Rr]eceived (?:signal|SIG)|SIG(?:TERM|INT) received|Gracefully [Ss]topping|Stopping (?:container|service)"
    r"|Stopped (?:target|session)|KeyboardInterrupt|^\^C"
)
"""Somebody ends it: what comes after is how it ends."""

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = late(r'^\s*(?:> )?File "(?P<path>[^"]{1,400})", line (?P<line>\d{1,7})(?:, in (?P<function>.{1,120}))?')
_BOXED = late(r"^│ (?P<path>/[^:│]{1,400}):(?P<line>\d{1,7}) in (?P<function>[^│]{1,120}?) *│$")
"""A frame as rich draws it."""
_EXCEPTION = late(r"^(?P<type>(?:[A-Za-z_]\w{0,80}\.){0,8}[A-Za-z_]\w{0,80})(?:: ?(?P<message>.*))?$")
_LONE = late(
    r"^(?P<type>(?:[A-Za-z_]\w{0,80}\.){0,8}[A-Z]\w{0,80}(?:Error|Exception|Interrupt|Exit|Failure))(?:: (?P<message>.+))?$"
)
_CHAIN = ("During handling of the above exception", "The above exception was the direct cause")
_CALM = late(
    r"(?:^|\.)(?:CancelledError|KeyboardInterrupt|SystemExit|GeneratorExit|ClientDisconnect|StopAsyncIteration"
    r"|ConnectionResetError|BrokenPipeError|ClientConnectionResetError)$"
)
_AFTER = late(
    r"EngineDead|EngineGenerateError|ChildFailedError|CalledProcessError|RayTaskError|ActorDied|ActorUnavailable"
    r"|WorkerCrashed|ProcessExitedException|ProcessRaisedException|BrokenPipeError|EOFError|ConnectionReset"
    r"|[Ww]orkerProc initialization failed|[Ee]ngine core initialization failed|Failed core proc"
    r"|[Ee]ngine (?:core|process) (?:proc|failed|died)|Connection closed by peer|remote process exited"
    r"|died unexpectedly|was already shut ?down|has (?:been )?terminated|Initialization failed, see|cancelled"
)
"""Exceptions that say that another process failed before."""
_LIBRARY = late(
    r"/lib/python3\.\d+/(?!site-packages|dist-packages)|^<frozen|^<string>|/torch/nn/modules/module\.py|/torch/_ops\.py"
    r"|/torch/utils/_contextlib\.py|/pydantic/|/uvicorn/|/click/|/concurrent/futures/|/multiprocessing/"
)
"""Frames that say little about who asked for what."""
_PACKAGE = late(r"/(?:site|dist)-packages/(?P<package>[\w-]{1,80})")


class _Rule(NamedTuple):
    kind: str
    words: tuple[str, ...]
    """One of them is in every line that the expression matches."""
    match: re.Pattern[str]
    weight: Weight = Weight.BEGINS


_RULES = (
    _Rule("xid", ("Xid (",), late(r"NVRM: Xid \((?P<device>[^)]{1,60})\): (?P<number>\d{1,4})(?P<message>.*)")),
    _Rule(
        "out-of-memory",
        ("ut of memory: Killed process", "oom-kill:", "OOMKilled"),
        late(
            r"ut of memory: Killed process (?P<pid>\d+)(?: \((?P<process>[^)]{1,60})\))?"
            r"|oom-kill:.{0,1000}task=(?P<task>[^,]{1,60})|OOMKilled\W{1,4}true"
        ),
    ),
    _Rule(
        "kernel",
        ("kernel", "Kernel", "BUG:", "Oops", "LOCKUP", "blocked for more"),
        late(
            r"(?P<message>kernel BUG at .*|BUG: (?:unable to handle|soft lockup|kernel|scheduling while).*"
            r"|Internal error: .{0,200}\[#\d+\].*|Unable to handle kernel .*|Kernel panic - not syncing.*"
            r"|hard LOCKUP.*|\bOops: .*|INFO: task \S{1,60}:\d+ blocked for more than \d+ seconds.*)"
        ),
    ),
    _Rule(
        "segfault",
        ("segfault at", "unhandled exception: ", "potentially unexpected fatal signal", "traps: "),
        late(
            r"(?P<process>[\w.:/-]{1,60})\[(?P<pid>\d+)\]:? (?:segfault at (?P<at>\w+)"
            r"(?:.{0,200} in (?P<library>[^\[ ]{1,120})\[)?|unhandled exception: .*|trap .{0,200}"
            r"|potentially unexpected fatal signal (?P<signal>\d+))"
            r"|traps: (?P<who>[\w.:/-]{1,60})\[\d+\] trap .*"
        ),
    ),
    _Rule(
        "abort",
        (
            "terminate called",
            "free()",
            "double free",
            "malloc()",
            "corrupted",
            "munmap_chunk",
            "stack smashing",
            "overflow detected",
        ),
        late(
            r"terminate called after throwing an instance of '(?P<type>[^']{1,200})'|terminate called without an active exception"
            r"|(?P<message>(?:free|malloc|realloc|munmap_chunk|malloc_consolidate)\(\): [\w :,()!>=<-]{4,120}"
            r"|double free or corruption.{0,40}|corrupted (?:size vs|double-linked).{0,80}"
            r"|\*\*\* (?:stack smashing|buffer overflow) detected \*\*\*.{0,80})"
        ),
    ),
    _Rule(
        "assertion",
        ("Assertion", "GGML_ASSERT", "fatal error", "Check failed", "CHECK failed"),
        late(
            r"(?P<where>[^\s:()]{1,200}:\d{1,6}): .{0,400}?Assertion [`'](?P<message>.{1,300})' failed"
            r"|(?P<place>[^\s:()]{1,200}:\d{1,6}): (?P<text>GGML_ASSERT\(.{1,300}|fatal error$)"
            r"|(?P<check>Check failed: .{1,300})|Assertion failed: (?P<told>.{1,300})"
        ),
    ),
    _Rule(
        "crash",
        (
            "Fatal Python error",
            "Segmentation fault",
            "Segfault encountered",
            "Bus error",
            "Illegal instruction",
            "core dumped",
            "*** SIG",
            "*** Aborted at",
        ),
        late(
            r"Fatal Python error: (?P<message>.{1,200})|(?P<signal>Segmentation fault|Segfault encountered|Bus error"
            r"|Illegal instruction|Aborted|Floating point exception)(?: \(core dumped\)|[ !:]|$)|\*\*\* (?P<name>SIG[A-Z]{2,8})\b"
            r"|\*\*\* Aborted at (?P<at>\d+)"
        ),
    ),
    _Rule(
        "panic",
        ("panicked at",),
        late(r"thread '(?P<thread>[^']{0,80})' (?:\(\d+\) )?panicked at (?P<message>.{1,300})"),
    ),
    _Rule("panic", ("panic: ", "fatal error: "), late(r"^(?:panic|fatal error): (?P<message>.{1,300})")),
    _Rule(
        "nccl",
        (
            "ncclSystemError",
            "ncclUnhandledCudaError",
            "ncclInternalError",
            "ncclInvalid",
            "ncclRemoteError",
            "NCCL error",
            "NCCL failure",
            "NCCL Error",
        ),
        late(
            r"(?P<message>(?P<name>nccl(?:SystemError|UnhandledCudaError|InternalError|InvalidArgument|InvalidUsage|RemoteError))\b.{0,300}"
            r"|Test NCCL failure .{1,300}|NCCL (?:[Ee]rror|failure)\b.{0,300})"
        ),
    ),
    _Rule(
        "cuda",
        (
            "CUDA error",
            "CUDA Error",
            "cudaError",
            "CUDA_ERROR_",
            "Cuda failure",
            "cuda error",
            "CUDA driver error",
            "CUBLAS_STATUS_",
            "CUDNN_STATUS_",
        ),
        late(
            r"(?P<message>(?:CUDA (?:driver |runtime )?[Ee]rror|Cuda failure)\b.{0,300}"
            r"|\b(?:cudaError[A-Z]\w{2,60}|CUDA_ERROR_[A-Z_]{3,60}|CUBLAS_STATUS_[A-Z_]{3,60}|CUDNN_STATUS_[A-Z_]{3,60})\b.{0,200})"
        ),
    ),
    _Rule("nccl-warning", ("NCCL WARN",), late(r"NCCL WARN (?P<message>.{1,400})"), Weight.WEAK),
    _Rule(
        "verbs",
        ("ibv_", "IBV_WC_", "IBV_EVENT_"),
        late(
            r"(?P<message>(?P<call>ibv_\w{3,40})\b.{0,60}\bfail(?:ed|ure)\b.{0,200}"
            r"|[Ff]ailed to .{0,60}\bibv_\w{3,40}.{0,100}|\bIBV_(?:WC|EVENT)_[A-Z_]{3,40}.{0,100})"
        ),
    ),
    _Rule(
        "docker",
        (
            "Error response from daemon",
            "OCI runtime",
            "nvidia-container-cli:",
            "could not select device driver",
            "failed to create",
        ),
        late(
            r"(?P<message>Error response from daemon: .{1,500}|OCI runtime (?:create|exec) failed.{1,500}"
            r"|nvidia-container-cli: .{1,400}|could not select device driver.{1,300}"
            r"|failed to create (?:shim task|task for container|network|endpoint).{0,400})"
        ),
    ),
    _Rule(
        "configuration",
        (
            "yaml: ",
            "YAML",
            "yaml.",
            "interpolation format",
            "dditional propert",
            "JSON",
            "mapping values",
            "TOML",
            "while parsing",
            "no such service",
            "no configuration file",
        ),
        late(
            r"(?P<message>yaml: (?:line \d+|unmarshal|mapping|did not find|invalid|control|found).{0,300}"
            r"|invalid interpolation format.{0,300}|[Aa]dditional propert(?:y|ies) .{0,200}not allowed.{0,60}"
            r"|(?:failed|unable|error) (?:to pars|pars|to load|loading).{0,120}\b(?:YAML|JSON|TOML|yaml|json|toml)\b.{0,200}"
            r"|while parsing a (?:block|flow) .{0,200}|no such service: .{0,100}|no configuration file provided.{0,60})"
        ),
    ),
    _Rule(
        "usage",
        ("error: ", "rror: No such option", "unknown flag", "unknown option", "unrecognized option", "invalid option"),
        late(
            r"(?:^|: )(?P<program>[\w./ -]{0,60}?): error: (?P<message>(?:argument |unrecognized arguments|the following arguments"
            r"|ambiguous option|invalid choice|one of the arguments|expected ).{0,400})"
            r"|(?P<text>error: (?:unexpected argument|invalid value|the following required arguments|unrecognized arguments|argument ).{0,300}"
            r"|Error: No such option.{0,200}|unknown (?:flag|shorthand flag|option)\b.{0,200}|(?:unrecognized|invalid) option\b.{0,200})"
        ),
    ),
    _Rule(
        "command",
        (
            "command not found",
            "executable file not found",
            "xec format error",
            "cannot execute",
            "not found",
            "ermission denied",
        ),
        late(
            r"(?P<command>[^\s:]{1,120}): command not found|exec: \"(?P<program>[^\"]{1,200})\": executable file not found.{0,60}"
            r"|(?P<format>.{0,120}[Ee]xec format error.{0,60})|(?P<binary>[^\s:]{1,200}: cannot execute.{0,80})"
            r"|(?:sh|bash|dash): (?:line )?\d{1,5}: (?P<name>[^\s:]{1,120}): (?:not found|Permission denied)"
            r"|exec (?P<path>/\S{1,200}): (?:no such file or directory|permission denied)"
        ),
    ),
    _Rule(
        "signal",
        ("Signals.SIG", "by signal", "on signal", "Signal "),
        late(
            r"died with <Signals\.(?P<signal>SIG[A-Z0-9]{2,8})|(?:(?:killed|terminated|died) by|exited on) signal:? (?P<number>\d{1,2})"
            r"|Signal (?P<other>\d{1,2}) \(SIG[A-Z0-9]{2,8}\) received by PID"
        ),
    ),
    _Rule(
        "exit",
        ("exit", "Exit"),
        late(
            r"Main process exited, code=(?P<how>exited|killed|dumped), status=(?P<status>\d{1,3})/(?P<name>[\w-]{1,30})"
            r"|\b[Ee]xited with (?:exit )?(?:code|status):? (?P<code>-?\d{1,10})\b"
            r"|\b[Ee]xit ?(?:code|status) {0,4}[:=(]? {0,4}(?P<number>-?\d{1,10})\b"
            r"|\bexitcode {0,4}[:=] {0,4}(?P<exitcode>-?\d{1,10})\b"
        ),
        Weight.FOLLOWS,
    ),
    _Rule(
        "library",
        ("shared librar", "shared object file", "undefined symbol"),
        late(
            r"(?P<message>error while loading shared libraries: (?P<library>[^\s:]{1,120}).{0,200}"
            r"|symbol lookup error: .{1,300}|(?P<name>[\w.+-]{1,80}\.so[\w.]{0,20}): (?:cannot open shared object file.{0,80}"
            r"|undefined symbol: .{1,200}))"
        ),
    ),
    _Rule(
        "build",
        ("nvcc", "ptxas", "ninja:", "CMake Error", "FAILED:", "collect2:", "undefined reference", "cicc", "nvlink"),
        late(
            r"(?P<message>(?:nvcc|ptxas|cicc|nvlink)\s{0,4}(?:fatal|error)\s{0,4}:.{1,300}|CMake Error.{0,300}"
            r"|ninja: (?:error|build stopped).{0,200}|\bFAILED: .{1,300}|collect2: (?:fatal )?error.{0,200}"
            r"|undefined reference to .{1,200})"
        ),
    ),
    _Rule(
        "killed",
        ("Killed",),
        late(r"(?:^|[|:\]] {0,8}|\d {1,20})(?P<signal>Killed)(?: {2,40}\S.{0,80})?$"),
        Weight.FOLLOWS,
    ),
    _Rule(
        "slurm",
        ("slurmstepd", "srun: error", "DUE TO"),
        late(
            r"DUE TO [A-Z_]{4,15}|slurmstepd: error: (?P<step>.{1,300})"
            r"|srun: error: (?P<message>.{1,300})"
        ),
        Weight.FOLLOWS,
    ),
)

_ERRNO_TEXTS = (
    "No such file or directory", "Permission denied", "Operation not permitted", "Cannot allocate memory",
    "Address already in use", "Cannot assign requested address", "Connection refused", "Connection timed out",
    "Connection reset by peer", "No route to host", "Network is unreachable", "Network is down", "No space left on device",
    "Too many open files", "Read-only file system", "No such device", "Device or resource busy", "Input/output error",
    "Invalid argument", "Resource temporarily unavailable", "No data available", "Exec format error", "Host is down",
    "Operation not supported", "Protocol error", "Disk quota exceeded", "Stale file handle", "Not a directory",
    "Is a directory", "File exists", "Bad file descriptor", "No such device or address", "Broken pipe",
)  # fmt: skip
_ERRNO = late(rf": (?P<errno>{'|'.join(_ERRNO_TEXTS)})(?: \(\d{{1,3}}\)|[.!]|\s*$|, )")
_WORDS = tuple(dict.fromkeys(word for rule in _RULES for word in rule.words))
_EXCEPTION_WORDS = ("Error", "Exception", "Interrupt", "Exit", "Failure")
_NCCL_FAILED = late(r"NCCL INFO \S{1,120}(?: \(\w{1,80}\))? -> (?P<result>[1-9])\b")
_NCCL_ENDS = late(
    r"Call to ibv_(?:reg|create|modify|post|poll|alloc)\w{0,30}.{0,200}fail|Got completion|[Ff]atal error"
    r"|Cuda failure|Duplicate GPU|no socket interface"
)
"""Warnings after which NCCL does not go on."""
_CODE = late(r"(?:^|[ \t]{2})(?:raise [A-Za-z_][\w.]{0,80}(?:\(|$)|File \"[^\"]{1,400}\", line \d)")
"""A line of a traceback whose beginning is not in the log: what stands in it is the text of a program."""
_NATIVE = frozenset({4, 6, 7, 8, 9, 11, 31})
"""Signals by which a process does not end when it is asked to."""
_PLAIN = late(
    r"^(?:python\d?(?:\.\d+)?|pt_main_thread|VLLM|vllm|sglang|ray|llama|mpi|nccl|trtllm|all_|torchrun|uvicorn)"
)


def first_sign(lines: Iterable[tuple[int, str]]) -> Sign | None:
    """Where the failure seems to begin, in lines given in their order; None when nothing tells of one."""
    reader = _Reader()
    for number, line in lines:
        first: Text | None = None
        for part in line.split("\r"):
            if not part or part.isspace():
                continue
            # A message of several lines that was put into one has one prefix.
            text = _text(number, part[:LONG]) if first is None else Text(number, part[:LONG], first.prefix, 0)
            first = first or text
            reader.read(text)
    return reader.first()


def _text(number: int, text: str) -> Text:
    prefix = prefix_of(text)
    begin = len(text[: prefix.end].rstrip())
    source = _SOURCE.match(text, begin) if begin else None
    begin = source.end() if source else begin
    if begin and text[begin : begin + 1] == " ":
        begin += 1
    return Text(number, text, prefix, begin)


class _Traceback:
    """One that is being read."""

    def __init__(self, since: int, mild: bool, warned: bool) -> None:
        self.since = since
        self.mild = mild
        self.warned = warned
        self.frames: list[tuple[str, str, str]] = []
        self.silent = 0


class _Found:
    """A sign whose surroundings are still being read."""

    def __init__(self, kind: str, at: Text, span: tuple[int, int], said: dict[str, str], weight: Weight) -> None:
        self.kind, self.at, self.span, self.said, self.weight = kind, at, span, said, weight
        self.mild = False
        self.warned = False
        """Whether the line before it is a warning: then it may have been logged by somebody who caught it."""
        self.since = self.until = at.number
        self.calm = 0
        """Lines of the same process after it that are no errors."""
        self.closed = False

    def sign(self) -> Sign:
        said = {name: " ".join(text.split())[:MESSAGE] for name, text in self.said.items() if text}
        calm = WARNED if self.warned else WENT_ON
        mild = self.mild or (self.calm >= calm and self.kind not in _FATAL)
        return Sign(
            self.kind, self.at.number, self.at.text, *self.span, said, self.weight, mild, self.since, self.until
        )


_NOBODY = ("", "", None)
_ANYBODY = frozenset({"python", "exception", "exit", "signal", "killed", "crash", "abort", "assertion", "usage", "command",
                      "configuration", "library"})  # fmt: skip
"""Kinds that any program of a machine may show, of which most have nothing to do with models."""
_CONCERNS = late(
    r"(?i:vllm|sglang|llama|ollama|\bray\b|raylet|torch|nccl|nvidia|cuda|docker|containerd|trtllm|tensorrt|\bmpi|python)"
)
_FATAL = frozenset({"xid", "out-of-memory", "kernel", "segfault", "crash", "abort", "panic"})
"""Kinds after which the process, or the GPU for it, has come to its end, whatever others print."""
_LOGGED = frozenset(
    {"cuda", "nccl", "verbs", "docker", "configuration", "command", "usage", "exit", "signal", "slurm", "assertion"}
)
"""Kinds of lines that a program may print as a warning or a piece of news."""


class _Reader:
    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._found: list[_Found] = []
        self._open: dict[tuple[str, str, int | None], _Traceback] = {}
        self._latest: dict[tuple[str, str, int | None], _Found] = {}
        """The last Python exception of each process, while the lines after it may belong to it."""
        self._chained: dict[tuple[str, str, int | None], bool] = {}
        self._before: dict[tuple[str, str, int | None], str] = {}
        """The last line of each process that is no part of a traceback."""
        self._daemons: set[str] = set()
        """Programs of a machine whose journal this is."""
        self._last = ""
        self._stopped = False
        self._carried: Prefix | None = None
        """That of a line with which a traceback began, for the lines after it that have none."""

    def read(self, line: Text) -> None:
        text = line.text
        if line.prefix.node and len(self._daemons) < JOURNAL:
            self._daemons.add(line.prefix.process)
        if line.writer != _NOBODY:
            self._carried = None
        elif self._carried is not None and not line.prefix.stamps:
            # SGLang logs a traceback as one message: its other lines have no prefix.
            line = line._replace(prefix=self._carried)
        if _WELL.search(text):
            self._begin()
            return
        if self._in_traceback(line) or _is_code(text):
            return
        self._stopped = self._stopped or bool(_STOPPED.search(text))
        if _TRACEBACK in text:
            self._begin_traceback(line)
            return
        self._add_to_last(line)
        if self._panics(line):
            return
        found = self._by_rule(line) or self._lone(line) or self._errno(line) or self._error(line)
        if found is not None:
            found.mild = found.mild or self._stopped
            if _says_more(found, self._found):
                found.since = self._found.pop().since
            self._found.append(found)
        elif not _BAD.search(text) and "NCCL INFO" not in text and not _GOES_DOWN.search(text):
            known = bool(_INFO.search(text))
            for one in self._found[-8:]:
                if one.at.writer in (line.writer, _NOBODY) and (known or one.warned):
                    one.calm += 1
        self._before[line.writer] = self._last = text

    # Python

    def _begin_traceback(self, line: Text) -> None:
        writer = line.writer
        self._carried = line.prefix if writer != _NOBODY else None
        before = self._before.get(writer, self._last if writer == _NOBODY else "")
        head = line.text[: line.begin]
        mild = "Exception ignored" in before or bool(_LEVEL.search(head) and not _BAD.search(head))
        self._open[writer] = _Traceback(
            line.number,
            mild,
            bool(_LEVEL.search(before[:200]) and not _INFO.search(before[:200]) and not _GLOG.match(before)),
        )

    def _in_traceback(self, line: Text) -> bool:
        """Whether the line is part of one that has begun."""
        writer, body = line.writer, line.body
        if body[:1] in " +|" and (nested := re.match(r" {0,8}[|+] ?", body)):
            body = body[nested.end() :]
        reading = self._open.get(writer)
        if reading is None:
            if body.startswith(_CHAIN):
                self._chained[writer] = True
                return True
            return False
        frame = _FRAME.match(body) or _BOXED.match(body.rstrip())
        if frame is not None:
            reading.silent = 0
            reading.frames.append((frame["path"], frame["line"], (frame["function"] or "").strip()))
            return True
        if (
            not body.strip()
            or body[0] in " \t│╭╰❱>"
            or body.startswith(("[Previous line", *_CHAIN))
            or _TRACEBACK in body
        ):
            return _TRACEBACK not in body or True
        exception = _EXCEPTION.match(body)
        if exception is None or not reading.frames or not _is_exception(exception["type"]):
            reading.silent += 1
            if reading.silent > OPEN:
                del self._open[writer]
            return False
        del self._open[writer]
        self._end_traceback(line, reading, exception, len(line.text) - len(body))
        return True

    def _end_traceback(self, line: Text, reading: _Traceback, exception: re.Match[str], offset: int) -> None:
        writer = line.writer
        kind, message = exception["type"], (exception["message"] or "").strip()
        latest = self._latest.get(writer)
        if self._chained.pop(writer, False) and latest is not None:
            latest.said["last"] = f"{kind}: {message}" if message else kind
            latest.said["last_line"] = str(line.number)
            latest.mild = latest.mild or reading.mild or bool(_CALM.search(kind))
            return
        path, number, function = _telling(reading.frames)
        package = _PACKAGE.search(path)
        said = {
            "type": kind,
            "message": message,
            "path": path,
            "at": number,
            "function": function,
            "package": package["package"] if package else "",
        }
        weight = Weight.FOLLOWS if _AFTER.search(f"{kind}: {message[:MESSAGE]}") else Weight.BEGINS
        found = _Found("python", line, (offset, len(line.text)), said, weight)
        found.since = reading.since
        found.mild = reading.mild or self._stopped or bool(_CALM.search(kind))
        found.warned = reading.warned
        self._latest[writer] = found
        self._found.append(found)

    def _add_to_last(self, line: Text) -> None:
        """The rest of a message of more than one line."""
        last = self._latest.get(line.writer)
        if last is None or last.closed:
            return
        body = line.body
        more = body.startswith("  ") or last.said.get("message", "").endswith(":")
        if line.number > last.at.number + 2 or not more or _FRAME.match(body):
            last.closed = True
            return
        last.until = line.number
        last.said["message"] = f"{last.said.get('message', '')} {body.strip()}"[:MESSAGE]

    def _lone(self, line: Text) -> _Found | None:
        """An exception without its traceback."""
        body = line.body
        if not any(word in body for word in _EXCEPTION_WORDS):
            return None
        indent = len(body) - len(body.lstrip(" \t>▎"))  # pasted as a quotation, too
        found = _LONE.match(body[indent:])
        if found is None or _CALM.search(found["type"]) or (indent and not found["message"]):
            return None
        told = f"{found['type']}: {found['message'] or ''}"
        weight = Weight.FOLLOWS if _AFTER.search(told[:MESSAGE]) else Weight.BEGINS
        said = {"type": found["type"], "message": found["message"] or ""}
        one = _Found("exception", line, (line.begin + indent, len(line.text)), said, weight)
        one.mild = self._is_mild(line)
        return one

    # All others

    def _by_rule(self, line: Text) -> _Found | None:
        text = line.text
        if "NCCL INFO" in text:
            self._unwinds(line)
            return None
        if self._what(line) or not any(word in text for word in _WORDS):
            return None
        for rule in _RULES:
            if any(word in text for word in rule.words) and (match := rule.match.search(text)):
                said = {name: value for name, value in match.groupdict().items() if value}
                found = _Found(rule.kind, line, match.span(), said, rule.weight)
                if rule.kind in {"exit", "signal", "killed", "crash"} and not self._judge_exit(found):
                    continue
                found.mild = self._is_mild(line) and rule.kind in _LOGGED
                if rule.kind == "nccl-warning":
                    found.mild = not _NCCL_ENDS.search(said["message"])
                    found.weight = Weight.WEAK if found.mild else Weight.BEGINS
                if rule.kind == "segfault":
                    found.mild = not _PLAIN.match(said.get("process") or said.get("who", ""))
                return found
        return None

    def _is_mild(self, line: Text) -> bool:
        head = line.text[: line.begin + 60]
        return bool(_LEVEL.search(head)) and not _BAD.search(head)

    @staticmethod
    def _judge_exit(found: _Found) -> bool:
        """Whether it tells of a failure, and how much."""
        said = found.said
        if found.kind == "exit":
            given = next(said[name] for name in ("status", "code", "number", "exitcode") if name in said)
            number = -int(given) if said.get("how") in {"killed", "dumped"} else int(given)
            if number == 0:
                return False
            said["exit"] = str(number)
            sent = -number if number < 0 else number - 128
        else:
            sent = int(said.get("number") or said.get("other") or 0)
        if sent in _NATIVE or said.get("signal") in _NATIVE_NAMES:
            found.weight = Weight.BEGINS
        elif sent in {1, 2, 15}:
            found.weight = Weight.WEAK
        return True

    def _unwinds(self, line: Text) -> None:
        """NCCL tells, call by call, that it gives up after a warning."""
        result = _NCCL_FAILED.search(line.text)
        if result is None:
            return
        for one in reversed(self._found[-8:]):
            if one.kind == "nccl-warning" and line.number - one.at.number <= UNWINDS and one.at.writer == line.writer:
                one.weight, one.mild = Weight.BEGINS, self._stopped
                one.said["result"] = result["result"]
                return

    def _what(self, line: Text) -> bool:
        """Whether it is the `what():` after `terminate called`."""
        last = self._found[-1] if self._found else None
        if last is None or last.kind != "abort" or "what():" not in line.text or line.number > last.at.number + 3:
            return False
        last.said["message"] = line.text.partition("what():")[2].strip()
        return True

    def _panics(self, line: Text) -> bool:
        """Whether it is the message of a panic of Rust, which comes on the line after the place."""
        last = self._found[-1] if self._found else None
        if last is None or last.kind != "panic" or line.number != last.at.number + 1 or "more" in last.said:
            return False
        if not last.said["message"].endswith(":"):
            return False
        last.until, last.said["more"] = line.number, line.body.strip()
        return True

    def _errno(self, line: Text) -> _Found | None:
        if ": " not in line.text:
            return None
        found = _ERRNO.search(line.text)
        if found is None:
            return None
        one = _Found("errno", line, found.span("errno"), {"errno": found["errno"]}, Weight.WEAK)
        one.mild = self._is_mild(line)
        return one

    def _error(self, line: Text) -> _Found | None:
        found = _BAD.search(line.text[: line.begin + 80]) or _SAYS_ERROR.match(line.body)
        if found is None or self._is_mild(line):
            return None
        one = _Found("error", line, (line.begin, len(line.text)), {"message": line.body}, Weight.WEAK)
        one.mild = True
        return one

    def first(self) -> Sign | None:
        if len(self._daemons) >= JOURNAL:
            for found in self._found:
                found.mild = found.mild or (found.kind in _ANYBODY and not _CONCERNS.search(found.at.text))
        signs = [found.sign() for found in self._found]
        grave = [sign for sign in signs if not sign.mild] or signs
        if not grave:
            return None
        first = min(grave, key=lambda sign: (sign.weight, sign.line))
        return _behind(first, signs)


_NATIVE_NAMES = frozenset({"SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGSEGV", "SIGSYS"})


def _behind(first: Sign, signs: Sequence[Sign]) -> Sign:
    """What NCCL warned of last, when the first sign only says that NCCL failed; what aborted, when it says by which
    signal."""
    if first.kind in {"nccl", "python", "exception"} and "NCCL" in first.text + first.said.get("message", ""):
        for sign in reversed(signs):
            if sign.kind == "nccl-warning" and sign.line < first.line:
                return msgspec.structs.replace(sign, weight=first.weight, mild=first.mild)
    return first


def _is_code(text: str) -> bool:
    return ("raise " in text or 'File "' in text) and bool(_CODE.search(text[:LONG]))


def _says_more(found: _Found, before: Sequence[_Found]) -> bool:
    """Whether it is the second line of a message whose first, `x.cu:97: CUDA error`, has only the place."""
    last = before[-1] if before else None
    if last is None or last.kind != found.kind or found.kind != "cuda" or found.at.number > last.at.number + 3:
        return False
    return last.said["message"].strip() == "CUDA error"


def _is_exception(name: str) -> bool:
    last = name.rpartition(".")[2]
    return (
        "." in name
        or last.endswith(_EXCEPTION_WORDS)
        or (last[:1].isupper() and last.isidentifier() and not last.isupper())
    )


def _telling(frames: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    """The deepest frame of the program itself, or of the library that it uses; else the deepest."""
    return next((frame for frame in reversed(frames) if not _LIBRARY.search(frame[0])), frames[-1])


def numbered(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """In their order, of lines given backwards."""
    return list(lines)[::-1]
