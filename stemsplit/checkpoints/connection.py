"""An HTTP connection for the body of one file. Every wait has a time limit."""

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
#: Seconds to wait for a server's first answer, and for the next bytes of a body.
ANSWER_SECONDS = 6.0
BODY_SECONDS = 15.0


class Broken(Exception):
    """The connection ended early; the data received so far is kept."""


def open_body(address: str, offset: int) -> http.client.HTTPResponse:
    """Return the response to a GET of ``address`` that starts at byte ``offset``.

    The name lookup, and connecting to each of a host's addresses, have timeouts of their own or
    none. So all of it runs on another thread: a network that drops packets costs `ANSWER_SECONDS`,
    however many addresses a host has. Raises ``CheckpointError``.
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
        with contextlib.suppress(queue.Empty):  # it arrived between the two lines above
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
    """Return whether the body starts at ``offset``: a server may ignore the requested range."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body as it arrives. Raises `Broken` if the connection breaks or stalls."""

    def hang_up() -> None:
        # A socket's timeout applies to each receive, and one read may need many of them, because
        # the length of an HTTP chunk is a line that may arrive byte by byte.
        kind = socket.AF_INET, socket.SOCK_STREAM
        with contextlib.suppress(OSError), socket.fromfd(response.fileno(), *kind) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    with contextlib.closing(StallTimeout(2 * BODY_SECONDS, hang_up)) as timeout:
        while True:
            try:
                with timeout.waiting():
                    chunk = response.read1(CHUNK)
                if timeout.expired:
                    raise Broken(f"stalled: no data for {timeout.seconds:g} s")
            except TimeoutError as exc:
                raise Broken(f"stalled: no data for {BODY_SECONDS:g} s") from exc
            except (OSError, http.client.HTTPException, ValueError) as exc:
                raise Broken(f"the connection broke: {_reason(exc)}") from exc
            if not chunk:
                return
            yield chunk


def _reason(exc: BaseException) -> str:
    """Return why a connection failed, from the innermost exception."""
    inner = getattr(exc, "reason", exc)
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner) or type(inner).__name__
