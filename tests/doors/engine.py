"""A stand-in for dockerd where Docker cannot run: HTTP over a Unix socket, answers in the form of Engine API 1.51.

Only the answers are made up; the SDK and the door are the real ones. tests/lab asks a real engine.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

VERSION = {"Version": "28.5.1", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "arm64"}


def frame(stream: int, text: bytes) -> bytes:
    """As the engine tells stdout (1) from stderr (2) in one response (Engine API, "Stream format")."""
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


class Chunks:
    """An answer that is sent piece by piece, as the engine sends the log of a container that runs."""

    def __init__(self, *texts: bytes, broken: bool = False) -> None:
        """`broken`: the connection is lost where the end would be."""
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        self._broken = broken
        self.asked = ""
        """Path and query."""
        for text in texts:
            self.put(text)

    def put(self, text: bytes) -> None:
        self._waiting.put(text)

    def end(self) -> None:
        self._waiting.put(None)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked = handler.path
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        with suppress(BrokenPipeError):  # who asked has read enough
            while (text := self._waiting.get()) is not None:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            if not self._broken:
                handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True


@contextmanager
def engine(folder: Path, answers: Mapping[str, Any]) -> Iterator[str]:
    """Serve `answers` by path (`/containers/json`), a missing one as 404; the value is DOCKER_HOST."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix("/v1.51")
            status, answer = answers.get(path, (404, {"message": f"No such thing: {path}"}))
            if isinstance(answer, Chunks):
                return answer.send(self)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    path = str(folder / "docker.sock")
    with Server(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()
