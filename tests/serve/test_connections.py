"""Connections that would never end a head, a body or an answer: each is ended, and others are served meanwhile."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

import nearfield as nf
from nearfield.serve import connections, server
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The service on a free port, with little patience; the collection c has 8 documents of 1 MB."""
    for name, value in (("REST", 0.5), ("STALLED", 0.5), ("HEAD", 1.0)):
        monkeypatch.setattr(connections, name, value)
    with nf.open(tmp_path / "db") as database, socket.socket() as listening:
        c = database.create("c", embedder=None, dim=2)
        c.upsert([nf.Document(str(i), text="x" * 1_000_000) for i in range(8)], vectors=[[1.0, 0.0]] * 8)
        service = Service(database, Limits(read=0.5), models=(), recall_share=0)
        listening.bind(("127.0.0.1", 0))
        config = server._config(server.Options(tmp_path / "db"), make(service, Keys()))
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        while not running.started:
            time.sleep(0.005)
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join(40)
        assert not thread.is_alive()
        service.close()


def opened(port: int) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port))
    found.settimeout(20)
    return found


def sent_until_it_ends(s: socket.socket, piece: bytes, most: int = 40_000_000) -> int:
    """Bytes sent before the other side ended the connection."""
    size = 0
    try:
        while size < most:
            s.sendall(piece)
            size += len(piece)
    except (ConnectionError, TimeoutError):
        pass
    return size


def ended(s: socket.socket) -> bytes:
    """What came until the other side ended the connection."""
    out = b""
    try:
        while piece := s.recv(1 << 16):
            out += piece
    except ConnectionResetError:
        pass
    return out


def alive(port: int) -> bool:
    with opened(port) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return ended(s).startswith(b"HTTP/1.1 200")


HEAD = b"POST /v1/collections/c/count HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n", b"a: b\r\n" * 5000),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\na: ", b"b" * 30_000),
        (b"GET /", b"b" * 30_000),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"a: b\r\n" * 5000),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\na: ", b"b" * 30_000),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n2;", b"x" * 30_000),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 5000),
    ],
    ids=["headers", "header", "url", "trailers", "trailer", "chunk extension", "trailers after the answer"],
)
def test_what_is_no_body_is_bounded(port: int, begin: bytes, piece: bytes) -> None:
    with opened(port) as s:
        s.sendall(begin)
        assert sent_until_it_ends(s, piece) < 10_000_000
    assert alive(port)


def test_a_large_head_that_ends_is_answered(port: int) -> None:
    with opened(port) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\na: " + b"b" * 30_000 + b"\r\n\r\n")
        assert ended(s).startswith(b"HTTP/1.1 200")


def test_a_body_in_tiny_chunks_is_read(port: int) -> None:
    with opened(port) as s:
        s.sendall(HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        for byte in b"{}" + b" " * 100:
            s.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        s.sendall(b"0\r\n\r\n")
        assert json.loads(ended(s).partition(b"\r\n\r\n")[2]) == {"count": 8}


def test_many_requests_of_one_connection_with_large_bodies(port: int) -> None:
    """What counts as fruitless begins anew with each of them."""
    body = json.dumps({"filter": {"a": {"$in": ["x" * 1000] * 300}}}).encode()
    with opened(port) as s:
        for _ in range(20):
            s.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            got = b""
            while b'{"count":0}' not in got:
                piece = s.recv(1 << 16)
                assert piece, got
                got += piece


def test_a_request_that_goes_on_after_its_answer_is_ended(port: int) -> None:
    with opened(port) as s:
        s.sendall(b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n")
        start = time.monotonic()
        try:
            while time.monotonic() - start < 15:
                s.sendall(b"x")
                time.sleep(0.02)
        except ConnectionError:
            pass
        assert time.monotonic() - start < 14


def test_an_answer_that_nobody_takes_is_given_up(port: int) -> None:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", port))
        s.settimeout(20)
        body = b'{"ids": ["0", "1", "2", "3", "4", "5", "6", "7"]}'
        s.sendall(HEAD.replace(b"/count", b"/get") + b"content-length: %d\r\n\r\n" % len(body) + body)
        time.sleep(3)
        assert len(ended(s)) < 8_000_000
    assert alive(port)
