"""A connection to a server, for the body of one file. Nothing is waited for without a limit."""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

from stemsplit.errors import CheckpointError
from stemsplit.stall_timeout import StallTimeout
from stemsplit.version import __version__

CHUNK = 1 << 20  # bytes
#: Seconds to wait until a server answers at all, and for the next bytes of a body.
ANSWER_SECONDS = 6.0
BODY_SECONDS = 15.0


class Broken(Exception):
    """The connection ended early; what came so far is kept."""


def open_body(address: str, offset: int) -> http.client.HTTPResponse:
    """Return the answer to a GET of ``address`` from ``offset`` on.

    The name look-up and the connection to each of a host's addresses have time-outs of their own or
    none, so the whole is waited for on another thread: a network that swallows packets costs
    `ANSWER_SECONDS`, however many addresses a host has. Raises ``CheckpointError``.
    """
    headers = {"User-Agent": f"stemsplit/{__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    request = urllib.request.Request(address, headers=headers)
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()
    abandoned = threading.Event()

    def ask() -> None:
        try:
            response = urllib.request.urlopen(request, timeout=BODY_SECONDS)
        except Exception as exc:  # raised again by the thread that waits
            answers.put(exc)
            return
        answers.put(response)
        if abandoned.is_set():
            response.close()

    threading.Thread(target=ask, daemon=True, name="stemsplit-download").start()
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        abandoned.set()
        with contextlib.suppress(queue.Empty):  # it came between the two lines above
            late = answers.get_nowait()
            if isinstance(late, http.client.HTTPResponse):
                late.close()
        raise CheckpointError(f"no answer in {ANSWER_SECONDS:g} s") from None
    if isinstance(answer, urllib.error.HTTPError):
        with answer:
            if answer.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
                return open_body(address, 0)
            raise CheckpointError(f"HTTP {answer.code} {answer.reason}") from answer
    if isinstance(answer, OSError | http.client.HTTPException | ValueError):
        raise CheckpointError(_reason(answer)) from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def continues(response: http.client.HTTPResponse, offset: int) -> bool:
    """Return whether the body goes on at ``offset``: a server may ignore what it was asked for."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body as it comes. Raises `Broken` when the connection breaks or nothing comes."""

    def hang_up() -> None:
        # The time-out of a socket is for each of its bytes, and one read may wait for many: the
        # length of a piece is a line of its own.
        kind = socket.AF_INET, socket.SOCK_STREAM
        with contextlib.suppress(OSError), socket.fromfd(response.fileno(), *kind) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    with contextlib.closing(StallTimeout(2 * BODY_SECONDS, hang_up)) as timeout:
        while True:
            try:
                with timeout.waiting():
                    chunk = response.read1(CHUNK)
                if timeout.expired:
                    raise Broken(f"stalled: no data came for {timeout.seconds:g} s")
            except TimeoutError as exc:
                raise Broken(f"stalled: nothing came for {BODY_SECONDS:g} s") from exc
            except (OSError, http.client.HTTPException, ValueError) as exc:
                raise Broken(f"the connection broke: {_reason(exc)}") from exc
            if not chunk:
                return
            yield chunk


def _reason(exc: BaseException) -> str:
    """Return why a connection failed, without the wrapping."""
    inner = getattr(exc, "reason", exc)
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner) or type(inner).__name__
