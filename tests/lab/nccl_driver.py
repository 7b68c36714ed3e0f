"""Drives NCCL's own network code on a machine without a GPU. Runs in a guest: standard library only.

    nccl_driver.py LIBRARY rank 0|1 --master HOST [--port N] [--size BYTES] [--limit SECONDS] [--pools N]
    nccl_driver.py LIBRARY select < cases.jsonl

`rank` does what one of two ranks does when a communicator is made, less what needs a GPU:
choose the bootstrap interface (ncclGetUniqueId), meet at the master's address, reach the
bootstrap root, open the shared memory of N communicators, choose the network (ncclNetInit),
then connect every RDMA device to the peer's, register memory and send data both ways. NCCL's
log goes to standard output untouched, one JSON object with the outcome to standard error.

`select` answers, for each line {"env": {...}}, what NCCL chooses on this machine alone, in a
forked child a case since NCCL reads its variables once. Each answer is one JSON line with
NCCL's log in it.

The functions are those of the wheel's libnccl.so.2, found by name in its symbol table, which
is not stripped. Layouts: NVIDIA/nccl src/include/nccl_net.h (tag v2.23.4-1: ncclNet_v8_t),
src/include/plugin/net/net_v11.h (v2.28.9-1) and net_v12.h (v2.30.7-1).
"""

from __future__ import annotations

import argparse
import ctypes as C
import json
import os
import selectors
import socket
import struct
import sys
import threading
import time
from typing import TextIO

RESULTS = ("ncclSuccess", "ncclUnhandledCudaError", "ncclSystemError", "ncclInternalError", "ncclInvalidArgument",
           "ncclInvalidUsage", "ncclRemoteError", "ncclInProgress")  # fmt: skip
HANDLE = 128
"""NCCL_NET_HANDLE_MAXSIZE and NCCL_UNIQUE_ID_BYTES."""
PTR_HOST = 1
TAG = 7
COMM = 8 << 20
"""Bytes, more than any version's struct ncclComm (some are larger than 1 MiB)."""
POOL = 9_637_888
"""Bytes, about sizeof(struct ncclProxyOpsPool), src/include/proxy.h (v2.30.7-1)."""
BOOTSTRAP = 1
"""ncclSocketTypeBootstrap, src/include/socket.h."""

WITHOUT_GPU = {"NCCL_GIN_TYPE": "0"}
"""Networking that the GPU itself starts is chosen with the network (2.28), and needs one."""

V8 = ("init", "devices", "getProperties", "listen", "connect", "accept", "regMr", "regMrDmaBuf", "deregMr", "isend",
      "irecv", "iflush", "test", "closeSend", "closeRecv", "closeListen", "getDeviceMr", "irecvConsumed")  # fmt: skip
V11 = (*V8, "makeVDevice", "finalize", "setNetAttr")


class Failed(Exception):
    """A step did not succeed: its name, and NCCL's result or what happened instead."""

    def __init__(self, step: str, result: str) -> None:
        super().__init__(f"{step}: {result}")
        self.step = step
        self.result = result


def result(code: int) -> str:
    return RESULTS[code] if 0 <= code < len(RESULTS) else str(code)


def expect(step: str, code: int) -> None:
    if code:
        raise Failed(step, result(code))


def symbols(path: str) -> dict[str, tuple[int, int]]:
    """Address and size of every function and object in an ELF-64 file's .symtab (elf(5))."""
    with open(path, "rb") as file:
        header = file.read(64)
        (table,) = struct.unpack_from("<Q", header, 40)
        (count,) = struct.unpack_from("<H", header, 60)
        file.seek(table)
        sections = [struct.unpack("<IIQQQQIIQQ", file.read(64)) for _ in range(count)]
        symtab = next(section for section in sections if section[1] == 2)
        file.seek(symtab[4])
        entries = file.read(symtab[5])
        names = sections[symtab[6]]
        file.seek(names[4])
        strings = file.read(names[5])
    found = {}
    for name, info, _, _, value, size in struct.iter_unpack("<IBBHQQ", entries):
        if info & 15 in (1, 2) and size:
            found[strings[name : strings.index(b"\0", name)].decode()] = (value, size)
    return found


def load_address(path: str) -> int:
    """Where this process has the library."""
    wanted = os.path.realpath(path)
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split()
            if len(fields) == 6 and fields[5] == wanted and int(fields[2], 16) == 0:
                return int(fields[0].split("-")[0], 16)
    raise OSError(f"{wanted} is not mapped")


class Nccl:
    """The library and those of its functions that no header exports."""

    def __init__(self, path: str) -> None:
        self.library = C.CDLL(path)
        self.base = load_address(path)
        self.symbols = symbols(path)
        self.getenv = C.CDLL(None).getenv
        self.getenv.restype = C.c_char_p

    def version(self) -> int:
        value = C.c_int()
        expect("ncclGetVersion", self.library.ncclGetVersion(C.byref(value)))
        return value.value

    def function(self, prefix: str) -> C._CFunctionType:
        """A function by the start of its mangled name."""
        (name,) = (name for name in self.symbols if name.startswith(prefix) and ".cold" not in name)
        return C.CFUNCTYPE(C.c_int)(self.base + self.symbols[name][0])

    def unique_id(self) -> bytes:
        """ncclGetUniqueId: chooses the bootstrap interface and opens a bootstrap root on it."""
        buffer = C.create_string_buffer(HANDLE)
        expect("bootstrap interface", self.library.ncclGetUniqueId(buffer))
        return buffer.raw

    def reach_root(self, unique_id: bytes) -> None:
        """Connect to the bootstrap root, as sendToRoot of src/bootstrap.cc does.

        A unique id is ncclBootstrapHandle: 8 bytes magic, then the address.
        """
        (magic,) = struct.unpack_from("<Q", unique_id)
        sock = C.create_string_buffer(1 << 12)
        address = C.create_string_buffer(unique_id[8:], HANDLE)
        begin = self.function("_Z14ncclSocketInitP10ncclSocket")
        expect("bootstrap root", begin(sock, address, C.c_uint64(magic), BOOTSTRAP, None, 0, 0))
        expect("bootstrap root", self.function("_Z17ncclSocketConnectP10ncclSocket")(sock))

    def shared_memory(self, pools: int) -> None:
        """Open as many pools as that many communicators have: ncclProxyProgressCreate, src/proxy.cc (2.24 and newer)."""
        path, pointer, handle = C.create_string_buffer(len("/dev/shm/nccl-XXXXXX") + 1), C.c_void_p(), C.c_void_p()
        for _ in range(pools):
            path.value = b""
            code = self.function("_Z11ncclShmOpenPcmm")(
                path, C.c_size_t(len(path)), C.c_size_t(POOL), C.byref(pointer), None, 1, C.byref(handle)
            )
            expect("shared memory", code)

    def choose_net(self) -> str:
        """ncclNetInit on an empty communicator: which network is used, `IB` or `Socket`.

        The communicator's config.netName is the value of NCCL_NET (envConfigOverride,
        src/init.cc). Where that field lies differs with the version, so a name goes into
        every field; ncclNetInit reads no other pointer, and where it stored its choice is
        seen from the address.
        """
        name = self.getenv(b"NCCL_NET")
        text = C.create_string_buffer(name or b"")
        comm = C.create_string_buffer(COMM)
        if name is not None:
            C.memmove(comm, struct.pack("<Q", C.addressof(text)) * (COMM // 8), COMM)
        expect("network", self.function("_Z11ncclNetInitP8ncclComm")(comm))
        stored = memoryview(comm).cast("B").cast("Q")
        for net in ("IB", "Socket"):
            if self.base + self.symbols[Net.TABLE[net]][0] in stored:
                return net
        raise Failed("network", "neither IB nor Socket")


class Net:
    """One of NCCL's two built-in networks, through its function table."""

    TABLE = {"IB": "ncclNetIb", "Socket": "ncclNetSocket"}  # noqa: RUF012

    def __init__(self, nccl: Nccl, name: str) -> None:
        self.name = name
        value, size = nccl.symbols[self.TABLE[name]]
        names = {8 * (len(V8) + 1): V8, 8 * (len(V11) + 1): V11}.get(size)
        if names is None:
            raise Failed("layout", f"ncclNet_t of {size} bytes is of no version known here")
        self.new = names is V11
        table = (C.c_void_p * (size // 8)).from_address(nccl.base + value)
        self.call = {name: C.CFUNCTYPE(C.c_int)(table[at] or 0) for at, name in enumerate(names, 1)}
        self.context = C.c_void_p()
        self.config = C.c_int(-1)  # NCCL_NET_TRAFFIC_CLASS_UNDEF
        self.silent = C.CFUNCTYPE(None)(lambda: None)
        """The logger argument: both networks ignore it and use NCCL's own."""

    def devices(self) -> list[dict[str, object]]:
        """init, devices and getProperties. An empty list is not an error of NCCL's."""
        if self.new:
            code = self.call["init"](C.byref(self.context), C.c_uint64(1), C.byref(self.config), self.silent, None)
        else:
            code = self.call["init"](self.silent)
        expect(f"{self.name} init", code)
        count = C.c_int()
        expect(f"{self.name} devices", self.call["devices"](C.byref(count)))
        return [self._properties(at) for at in range(count.value)]

    def _properties(self, at: int) -> dict[str, object]:
        buffer = C.create_string_buffer(512)
        expect(f"{self.name} getProperties", self.call["getProperties"](at, buffer))
        speed, port = struct.unpack_from("<ii", buffer, 36 if self.new else 32)
        name = C.c_char_p.from_buffer(buffer).value or b""
        return {"name": name.decode(), "port": port, "speed": speed}

    def listen(self, at: int) -> tuple[C.c_void_p, bytes]:
        handle, comm = C.create_string_buffer(HANDLE), C.c_void_p()
        first = (self.context,) if self.new else ()
        expect(f"{self.name} listen", self.call["listen"](*first, at, handle, C.byref(comm)))
        return comm, handle.raw

    def connecting(self, at: int, handle: bytes) -> Pending:
        buffer, comm, device = C.create_string_buffer(handle, HANDLE), C.c_void_p(), C.c_void_p()
        first = (self.context,) if self.new else ()
        return Pending(
            f"{self.name} connect",
            lambda: self.call["connect"](*first, at, buffer, C.byref(comm), C.byref(device)),
            comm,
        )

    def accepting(self, listening: C.c_void_p) -> Pending:
        comm, device = C.c_void_p(), C.c_void_p()
        return Pending(
            f"{self.name} accept", lambda: self.call["accept"](listening, C.byref(comm), C.byref(device)), comm
        )

    def register(self, comm: C.c_void_p, buffer: C.Array[C.c_char]) -> C.c_void_p:
        handle = C.c_void_p()
        code = self.call["regMr"](comm, buffer, C.c_size_t(len(buffer)), PTR_HOST, C.byref(handle))
        expect(f"{self.name} register memory", code)
        return handle

    def sending(self, comm: C.c_void_p, buffer: C.Array[C.c_char], memory: C.c_void_p) -> Pending:
        request = C.c_void_p()
        extra = (None,) if self.new else ()
        return Pending(
            f"{self.name} send",
            lambda: self.call["isend"](comm, buffer, C.c_size_t(len(buffer)), TAG, memory, *extra, C.byref(request)),
            request,
        )

    def receiving(self, comm: C.c_void_p, buffer: C.Array[C.c_char], memory: C.c_void_p) -> Pending:
        request = C.c_void_p()
        data, memories = (C.c_void_p * 1)(C.addressof(buffer)), (C.c_void_p * 1)(memory.value)
        sizes = (C.c_size_t * 1)(len(buffer)) if self.new else (C.c_int * 1)(len(buffer))
        tags, extra = (C.c_int * 1)(TAG), (None,) if self.new else ()
        return Pending(
            f"{self.name} receive",
            lambda: self.call["irecv"](comm, 1, data, sizes, tags, memories, *extra, C.byref(request)),
            request,
        )

    def finishing(self, request: C.c_void_p, step: str) -> Pending:
        done, sizes = C.c_int(), (C.c_int * 8)()
        return Pending(step, lambda: self.call["test"](request, C.byref(done), sizes), done)


class Pending:
    """A call that NCCL wants repeated until it has an outcome."""

    def __init__(self, step: str, again: object, outcome: C.c_void_p | C.c_int) -> None:
        self.step = step
        self.again = again
        self.outcome = outcome

    def poll(self) -> bool:
        if not self.outcome.value:
            expect(self.step, self.again())  # type: ignore[operator]
        return bool(self.outcome.value)


def finish(limit: float, *pending: Pending) -> None:
    """Poll until all have an outcome. Raises Failed for an error, or after `limit` seconds."""
    end = time.monotonic() + limit
    while waiting := [one for one in pending if not one.poll()]:
        if time.monotonic() > end:
            raise Failed(waiting[0].step, f"not done after {limit:.0f} s")
        time.sleep(0.001)


class Rendezvous:
    """Where two ranks meet: stands in for the TCPStore that torch opens at MASTER_ADDR:MASTER_PORT."""

    def __init__(self, rank: int, master: str, port: int, limit: float) -> None:
        self.said = threading.Event()
        """Rank 1 has all that rank 0 said."""
        self.serving = threading.Thread(target=self._serve, args=(port,), daemon=True)
        if rank == 0:
            self.serving.start()
        end = time.monotonic() + limit
        while True:
            try:
                self.socket = socket.create_connection((master, port), limit)
                self.stream = self.socket.makefile("rw")
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise Failed("rendezvous", f"{master}:{port}: {error}") from error
                time.sleep(0.1)
        self._send({"rank": rank})

    def exchange(self, mine: dict[str, object]) -> dict[str, object]:
        """Give the peer an object, get the peer's."""
        self._send(mine)
        try:
            line = self.stream.readline()
        except OSError as error:
            raise Failed("rendezvous", f"no answer from the peer: {error}") from error
        if not line:
            raise Failed("rendezvous", "the peer is gone")
        answer: dict[str, object] = json.loads(line)
        return answer

    def leave(self, limit: float) -> None:
        """Go, once the peer has all that was said: rank 0 first.

        NCCL's bootstrap root in rank 0 would say `Connection closed by remote peer` of a rank 1 that goes before it.
        """
        if self.serving.is_alive():
            self.socket.shutdown(socket.SHUT_WR)
            self.said.wait(limit)
            return
        end = time.monotonic() + limit
        try:
            while time.monotonic() < end:  # until the kernel resets the connection to a process that is gone
                self.socket.sendall(b"\n")
                time.sleep(0.01)
        except OSError:
            pass

    def _send(self, mine: dict[str, object]) -> None:
        self.stream.write(json.dumps(mine) + "\n")
        self.stream.flush()

    def _serve(self, port: int) -> None:
        """Hand each rank the other's lines, in order; when one leaves, close the other's stream."""
        server = socket.create_server(("", port), backlog=4)
        streams: dict[int, tuple[socket.socket, TextIO]] = {}
        while len(streams) < 2:
            connection = server.accept()[0]
            stream = connection.makefile("rw")
            streams[json.loads(stream.readline())["rank"]] = (connection, stream)

        def relay(source: int, target: int) -> None:
            try:
                while line := streams[source][1].readline():
                    streams[target][1].write(line)
                    streams[target][1].flush()
            except OSError:
                pass  # the target left first: the same end as the source leaving
            streams[target][0].shutdown(socket.SHUT_WR)

        back = threading.Thread(target=relay, args=(1, 0), daemon=True)
        back.start()
        relay(0, 1)
        self.said.set()
        back.join()


def run_rank(nccl: Nccl, asked: argparse.Namespace) -> dict[str, object]:
    """All steps of one rank; returns what was chosen. Raises Failed."""
    chosen: dict[str, object] = {"version": nccl.version()}
    unique_id = nccl.unique_id()
    store = Rendezvous(asked.rank, asked.master, asked.port, asked.limit)
    theirs = store.exchange({"id": unique_id.hex()})
    if asked.rank == 1:
        nccl.reach_root(bytes.fromhex(str(theirs["id"])))
    nccl.shared_memory(asked.pools)
    net = Net(nccl, nccl.choose_net())
    devices = net.devices()
    chosen |= {"net": net.name, "devices": devices, "bytes": 0}
    if net.name == "Socket":  # its connections have buffers that CUDA allocates
        store.exchange({"net": "Socket"})
        store.leave(asked.limit)
        return chosen
    listening = [net.listen(at) for at in range(len(devices))]
    theirs = store.exchange({"handles": [handle.hex() for _, handle in listening]})
    handles = [bytes.fromhex(handle) for handle in theirs["handles"]]  # type: ignore[attr-defined]
    for at, (comm, _) in enumerate(listening[: len(handles)]):
        to, back = net.connecting(at, handles[at]), net.accepting(comm)
        finish(asked.limit, to, back)
        _transfer(net, to.outcome, back.outcome, asked.rank, asked)  # type: ignore[arg-type]
        store.exchange({"done": at})
        chosen["bytes"] = asked.size * (at + 1)
    store.leave(asked.limit)
    return chosen


def _transfer(net: Net, to: C.c_void_p, back: C.c_void_p, rank: int, asked: argparse.Namespace) -> None:
    """Send a block to the peer and receive the peer's on one device. Raises Failed."""
    out = C.create_string_buffer(bytes([65 + rank]) * asked.size, asked.size)
    into = C.create_string_buffer(asked.size)
    out_memory, into_memory = net.register(to, out), net.register(back, into)
    sending, receiving = net.sending(to, out, out_memory), net.receiving(back, into, into_memory)
    finish(asked.limit, sending, receiving)
    finish(
        asked.limit,
        net.finishing(sending.outcome, sending.step),  # type: ignore[arg-type]
        net.finishing(receiving.outcome, receiving.step),  # type: ignore[arg-type]
    )
    if into.raw != bytes([66 - rank]) * asked.size:
        raise Failed(f"{net.name} receive", "other bytes than were sent")


def select_one(nccl: Nccl) -> dict[str, object]:
    """What NCCL chooses here: bootstrap, network, IB devices; a loopback connection shows each GID in the log."""
    steps: dict[str, object] = {}
    found: dict[str, object] = {"steps": steps}

    def attempt(step: str, act: object) -> object:
        try:
            value = act()  # type: ignore[operator]
            steps[step] = "ncclSuccess"
            return value
        except Failed as failed:
            steps[step] = failed.result if step == failed.step else f"{failed.step}: {failed.result}"
            return None

    if attempt("bootstrap interface", nccl.unique_id) is None:
        return found
    found["net"] = attempt("network", nccl.choose_net)
    ib = Net(nccl, "IB")
    found["devices"] = devices = attempt("IB init", ib.devices) or []
    for at in range(len(devices)):  # type: ignore[arg-type]

        def connect(at: int = at) -> None:
            comm, handle = ib.listen(at)
            finish(10, ib.connecting(at, handle), ib.accepting(comm))

        attempt(f"connect {at}", connect)
    return found


def run_select(nccl: Nccl) -> None:
    for line in sys.stdin:
        case = json.loads(line)
        log_end, log = os.pipe()
        answer_end, answer = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(log, 1)
            # NCCL reads libc's environment, which os.environ writes through to.
            for name in [name for name in os.environ if name.startswith("NCCL_")]:
                del os.environ[name]
            os.environ.update(WITHOUT_GPU | case["env"])
            os.write(answer, json.dumps(select_one(nccl)).encode())
            C.CDLL(None).fflush(None)
            os._exit(0)
        os.close(log)
        os.close(answer)
        texts = _read_all(log_end, answer_end)
        _, status = os.waitpid(child, 0)
        outcome = json.loads(texts[1]) if texts[1] else {"steps": {"crash": f"wait status {status}"}}
        print(json.dumps(outcome | {"log": texts[0].decode(errors="replace")}), flush=True)


def _read_all(*ends: int) -> list[bytes]:
    texts = {end: b"" for end in ends}
    with selectors.DefaultSelector() as selector:
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, 1 << 16)
                texts[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [texts[end] for end in ends]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("select")
    rank = modes.add_parser("rank")
    rank.add_argument("rank", type=int, choices=(0, 1))
    rank.add_argument("--master", required=True)
    rank.add_argument("--port", type=int, default=25000)
    rank.add_argument("--size", type=int, default=1 << 16)
    rank.add_argument("--limit", type=float, default=30)
    rank.add_argument("--pools", type=int, default=0)
    asked = parser.parse_args()
    os.environ.update(WITHOUT_GPU)
    nccl = Nccl(asked.library)
    if asked.mode == "select":
        run_select(nccl)
        return
    try:
        outcome = run_rank(nccl, asked)
    except Failed as failed:
        outcome = {"step": failed.step, "result": failed.result}
    print(json.dumps(outcome), file=sys.stderr, flush=True)
    C.CDLL(None).fflush(None)
    # NCCL's bootstrap root and proxy threads would outlive an orderly exit.
    os._exit(1 if "step" in outcome else 0)


if __name__ == "__main__":
    main()
