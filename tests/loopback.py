"""A small HTTP server on the loopback address that misbehaves on request."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass
class Served:
    """A body and how it is served; the defaults behave."""

    body: bytes
    ranges: bool = True  # whether a Range header is honoured
    whole_as_range: bool = False  # answer a Range with all of it, and say so
    break_after: int | None = None  # close the connection after so many bytes, `breaks` times
    breaks: int = 1
    stall_after: int | None = None  # send nothing from this byte on; 0: not even headers
    declared: bool = True  # whether there is a Content-Length
    delay: float = 0.0  # wait so long (s) before the answer
    drip: float | None = None  # send a byte at a time, and wait so long (s) after each
    chunked: bool = False  # declare chunks, and let the length of the first one drip

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass
class Loopback:
    """Serves ``files`` by path until closed; notes each request with the Range it asked for."""

    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def __enter__(self) -> Self:
        outer = self
        self.closing = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, path: str, body: bytes, **how: object) -> str:
        """Serve ``body`` at ``path`` from now on; return its address."""
        self.files[path] = Served(body, **how)  # type: ignore[arg-type]
        return f"{self.root}{path}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append((handler.path, wanted))
        served = self.files.get(handler.path)
        if served is None:
            handler.send_error(404)
            return
        self.closing.wait(served.delay)
        if served.stall_after == 0:
            self.closing.wait()
            return
        body, start = served.body, 0
        if wanted and served.ranges:
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert match is not None, wanted
            start = 0 if served.whole_as_range else int(match[1])
            if start >= len(body):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.send_response(200)
        if served.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif served.declared:
            handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        self._send(handler, served, start)

    def _send(self, handler: BaseHTTPRequestHandler, served: Served, start: int) -> None:
        limit = None
        if served.break_after is not None and served.breaks > 0:
            served.breaks -= 1
            limit = served.break_after
        try:
            if served.drip is not None:
                for byte in b"0" * 10**6 if served.chunked else served.body[start:]:
                    handler.wfile.write(bytes([byte]))
                    if self.closing.wait(served.drip):
                        return
            if served.stall_after is not None:
                handler.wfile.write(served.body[start : served.stall_after])
                self.closing.wait()
                return
            handler.wfile.write(served.body[start:][:limit])
        except ConnectionError:
            pass  # the client went away; some tests make it go
