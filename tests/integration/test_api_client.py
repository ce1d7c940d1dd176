"""The blocking client of the command line: what a person reads when the daemon is not there."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.api.client import (
    ApiClient,
    ApiError,
    NoAnswerError,
    NoPermissionError,
    NotASocketError,
    NotRunningError,
    RefusedError,
)

DEADLINE_S = 20
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"done": 1}'


@contextmanager
def listening(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """A server that takes one request a connection, answers with the given octets and hangs up."""
    requests: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(path))
    listener.listen()
    listener.settimeout(DEADLINE_S)

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(DEADLINE_S)
                requests.append(connection.recv(65_536))
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield requests
    finally:
        thread.join()
        listener.close()


def test_the_daemon_does_not_run(tmp_path: Path) -> None:
    """No socket, and a socket that nobody serves: both say how to start the gateway."""
    path = tmp_path / "api.sock"
    for _ in range(2):
        with pytest.raises(NotRunningError, match=r"does not run.*hotline run"):
            ApiClient(path).get("/v1/status")
        if not path.exists():
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(os.fspath(path))


def test_the_path_is_no_socket(tmp_path: Path) -> None:
    """A file in place of the socket is named as such."""
    path = tmp_path / "api.sock"
    path.write_text("x")
    with pytest.raises(NotASocketError, match="is no socket"):
        ApiClient(path).get("/v1/status")


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """A path that no socket can have is a clear error too."""
    with pytest.raises(ApiError, match="cannot be used"):
        ApiClient(tmp_path / ("x" * 200)).get("/v1/status")


@contextmanager
def as_nobody() -> Iterator[None]:
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("group", "remedy"),
    [("daemon", "usermod -aG daemon nobody"), ("root", "run it as root, or set .api. group")],
)
def test_no_permission_names_the_group(group: str, remedy: str) -> None:
    """Who may not connect is told which group to join; never that of root."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        Path(folder).chmod(0o755)
        path = Path(folder) / "api.sock"
        listener.bind(os.fspath(path))
        path.chmod(0o660)
        shutil.chown(path, group=group)
        listener.listen()
        with as_nobody(), pytest.raises(NoPermissionError, match=remedy):
            ApiClient(path).get("/v1/status")


def test_the_daemon_hangs_up(tmp_path: Path) -> None:
    """A connection that ends without an answer says so, and where to look."""
    path = tmp_path / "api.sock"
    with listening(path, b""), pytest.raises(NoAnswerError, match="did not answer"):
        ApiClient(path).get("/v1/status")


def test_a_request_with_an_id_is_repeated_once(tmp_path: Path) -> None:
    """A daemon that dies over a submission is asked once more, under the same request id."""
    path = tmp_path / "api.sock"
    with listening(path, b"", OK) as requests, ApiClient(path) as client:
        assert client.post("/v1/notices", {"a": 1}, request_id="r-1") == {"done": 1}
    assert [b"Idempotency-Key: r-1" in request for request in requests] == [True, True]


def test_a_request_without_an_id_is_not_repeated(tmp_path: Path) -> None:
    """Without a request id nothing is sent twice."""
    path = tmp_path / "api.sock"
    with (
        listening(path, b"") as requests,
        ApiClient(path) as client,
        pytest.raises(NoAnswerError),
    ):
        client.post("/v1/notices/2-0001-1/taken")
    assert len(requests) == 1


def test_an_idle_connection_that_was_closed_is_opened_again(tmp_path: Path) -> None:
    """The daemon may close a kept connection at any moment; the next request does not notice."""
    path = tmp_path / "api.sock"
    with listening(path, OK, OK), ApiClient(path) as client:
        assert client.get("/v1/status") == {"done": 1}
        assert client.get("/v1/status") == {"done": 1}


def test_a_refusal(tmp_path: Path) -> None:
    """The problem document becomes one sentence: where, what, what to do."""
    body = b'{"code": "full", "field": "x", "problem": "is full", "remedy": "wait"}'
    answer = b"HTTP/1.1 429 Busy\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    path = tmp_path / "api.sock"
    with (
        listening(path, answer),
        ApiClient(path) as client,
        pytest.raises(RefusedError) as caught,
    ):
        client.get("/v1/status")
    assert (caught.value.status, caught.value.code) == (429, "full")
    assert str(caught.value) == "x: is full; wait"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<p>no</p>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
    ],
)
def test_what_is_no_gateway(tmp_path: Path, answer: bytes) -> None:
    """Something else on the socket, or half an answer, is one sentence and no traceback."""
    path = tmp_path / "api.sock"
    with listening(path, answer), pytest.raises(ApiError):
        ApiClient(path).get("/v1/status")


def test_a_stream_that_ends(tmp_path: Path) -> None:
    """Events are read until the daemon ends the stream, which is an error with a remedy."""
    stream = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        b': life\n\nevent: state\nid: 7\ndata: {"a": 1}\n\nevent: status\ndata: {}\n\n'
    )
    path = tmp_path / "api.sock"
    with listening(path, stream):
        events = ApiClient(path).events()
        first, second = next(events), next(events)
        with pytest.raises(NoAnswerError, match="start again"):
            next(events)
    assert (first.name, first.offset, first.document) == ("state", 7, {"a": 1})
    assert (second.name, second.offset) == ("status", None)
