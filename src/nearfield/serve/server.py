"""Runs the application: uvicorn, signals, TLS, one process or several.

SIGTERM and SIGINT finish what was accepted; SIGHUP reads the keys again and opens the log of slow queries anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

import nearfield as nf
from nearfield.core.errors import InvalidInput, NearfieldError
from nearfield.serve import logs
from nearfield.serve.allowed import Allowed, chat_of
from nearfield.serve.app import make
from nearfield.serve.budgets import Budgets, decide
from nearfield.serve.connections import Impatient, allowed
from nearfield.serve.forward import Forward
from nearfield.serve.keys import Keys, Right
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service
from nearfield.serve.threads import cores, share_threads
from nearfield.serve.tracing import Traces
from nearfield.serve.workers import Place, Supervisor, deaf_to_hangups, follow_supervisor

log = logging.getLogger("nearfield.serve")
GRACE = 30
"""Seconds that requests in flight have after SIGTERM."""
BACKLOG = 4096
"""Connections that the system may hold until they are accepted."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `nearfield serve` was told.

    Attributes:
        directory: of the database; `read_only`: nothing is written.
        host, port: where to listen; an address that is not loopback needs a key. Port 0 takes a free one.
        tls_cert, tls_key: PEM files; both or none.
        preload, models, backups, recall_share: see Service.
        rerankers: that requests may name; see Allowed.
        chat_url, chat_model: an OpenAI-compatible API, and the model there that answers questions; both or none.
        slow_log: a file for searches that took `slow` seconds or longer.
        key_file: see Keys; `limits`: see Limits.
        workers: processes; beyond one, worker 0 writes and the others read.
        log_level: of the log on standard error.
        traces: address of an OpenTelemetry collector (OTLP over HTTP), or None.
        gpu_memory, memory, device, spread: which segments may be kept on cards and in memory; see budgets.decide.
    """

    directory: Path
    read_only: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    tls_cert: Path | None = None
    tls_key: Path | None = None
    preload: tuple[str, ...] | None = None
    models: tuple[str, ...] = ("minilm",)
    rerankers: tuple[str, ...] = ()
    chat_url: str | None = None
    chat_model: str | None = None
    backups: Path | None = None
    recall_share: float = 0.02
    slow_log: Path | None = None
    slow: float = 0.1
    key_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    log_level: str = "info"
    traces: str | None = None
    gpu_memory: str = "auto"
    memory: str | None = None
    device: str = "auto"
    spread: str = "shard"

    def allowed(self) -> Allowed:
        """Rerankers and the chat model; raises InvalidInput."""
        return Allowed(self.rerankers, chat_of(self.chat_url, self.chat_model))

    def budgets(self) -> Budgets:
        """What the database is opened with; raises InvalidInput."""
        return decide(self.gpu_memory, self.memory, self.device, self.spread, self.workers)


def check(options: Options, keys: Keys) -> None:
    """Raises InvalidInput for an address open to others without a key, half of TLS, or budgets that cannot be kept."""
    if not keys and not _loopback(options.host):
        raise InvalidInput(
            "others could read and write all of it: without a key only this machine may be served",
            field="host",
            expected="a loopback address such as 127.0.0.1, or --key-file",
            received=options.host,
        )
    if (options.tls_cert is None) != (options.tls_key is None):
        raise InvalidInput("TLS needs a certificate and its key", field="tls-cert", expected="both --tls-cert and --tls-key")
    options.budgets()
    options.allowed()


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(options: Options) -> int:
    """Serves a directory until a signal; returns the exit code. Raises Locked if another process writes to it."""
    logs.start(options.log_level)
    if threading.current_thread() is threading.main_thread():
        deaf_to_hangups()
    keys = keys_of(options)
    check(options, keys)
    listening = _bind(options)
    try:
        if options.workers == 1:
            _work(options, keys, listening, None)
            return 0
        command = [sys.executable, "-P", "-m", "nearfield.serve.server", msgspec.json.encode(options, enc_hook=str).decode()]
        return Supervisor(command, options.workers, listening, GRACE).run()
    finally:
        listening.close()


def keys_of(options: Options) -> Keys:
    """The keys of a file and of two variables; never of options, which others see in a list of processes."""
    names: dict[Right, str] = {"read": "NEARFIELD_READ_KEY", "write": "NEARFIELD_WRITE_KEY"}
    given = {right: os.environ[name] for right, name in names.items() if os.environ.get(name)}
    return Keys(options.key_file, given)


def _bind(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((options.host, options.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise InvalidInput(
            f"cannot listen there: {error.strerror}",
            field="port",
            expected="a free port",
            received=f"{options.host}:{options.port}",
        ) from None
    return listening


def _work(options: Options, keys: Keys, listening: socket.socket, place: Place | None) -> None:
    """One process: the only one, the one that writes, or one that reads and passes writes on."""
    reader = place is not None and place.number > 0
    share_threads(1 if place is None else options.workers)
    alone = max(1, cores() // 2)
    budgets = options.budgets()
    with nf.open(
        options.directory, read_only=options.read_only or reader, build_threads=alone, gpu_memory=budgets.gpu_memory,
        memory=budgets.memory, device=budgets.device, spread=budgets.spread,
    ) as database:  # fmt: skip
        if not reader:
            _tell(database, budgets)
            scheme = "https" if options.tls_cert else "http"
            log.warning("listening on %s://%s:%d", scheme, options.host, listening.getsockname()[1])
        service = Service(
            database, options.limits, options.preload, options.models, options.backups, 0.0 if reader else options.recall_share
        )
        service.allowed = options.allowed()
        if reader and place is not None:
            service.forward = Forward(place.socket)
        service.traces = None if options.traces is None else Traces(options.traces)
        service.slow = None if options.slow_log is None else logs.SlowQueries(options.slow_log, options.slow)
        try:
            _serve(service, options, keys, listening, place)
        finally:
            service.close()


def _tell(database: nf.Database, budgets: Budgets) -> None:
    """What became of the budgets, into the log."""
    found = database.tiers()
    for alarm in found.alarms:
        log.warning("%s", alarm)
    if budgets.reason:
        log.warning("%s", budgets.reason)
    elif found.devices or found.memory is not None:
        log.info("budgets: %s", found.text())


def _serve(service: Service, options: Options, keys: Keys, listening: socket.socket, place: Place | None) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has stopped in good order
            signal.signal(number, _stopped)
    threading.Thread(target=service.warming.run, name="nearfield-warm", daemon=True).start()
    config = _config(options, make(service, keys, options.host))
    server = uvicorn.Server(config)
    runner = asyncio.Runner(loop_factory=config.get_loop_factory())
    with runner:
        runner.run(_both(server, service, options, keys, listening, place))


def _stopped(number: int, frame: Any) -> None:
    """A signal that has done its work."""


async def _both(
    server: uvicorn.Server, service: Service, options: Options, keys: Keys, listening: socket.socket, place: Place | None
) -> None:
    """Serves the port; the worker that writes serves its Unix socket too, a worker that reads keeps itself fresh."""
    if threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _again, service, keys)
    beside: list[asyncio.Task[None]] = []
    inner: uvicorn.Server | None = None
    if place is not None and place.number == 0:
        plain = replace(options, tls_cert=None, tls_key=None)
        inner = _Inner(_config(plain, make(service, keys, options.host, trusted=True), str(place.socket)))
        beside.append(asyncio.create_task(inner.serve()))
    fresh = asyncio.create_task(service.freshness.keep(service.forward)) if service.database.read_only else None
    try:
        await server.serve([listening])
    finally:
        if inner is not None:
            inner.should_exit = True
        if fresh is not None:
            fresh.cancel()
            beside.append(fresh)
        await asyncio.gather(*beside, return_exceptions=True)
        if service.forward is not None:
            await service.forward.close()


def _again(service: Service, keys: Keys) -> None:
    """What SIGHUP asks for; it runs between two callbacks of the loop, never within one."""
    try:
        keys.reload()
        log.warning("keys read again")
    except InvalidInput as error:
        log.error("keys stay as they were: %s", error)
    if service.slow is not None:
        try:
            service.slow.reopen()
        except OSError as error:
            log.error("the log of slow queries stays as it was: %s", error)


class _Inner(uvicorn.Server):
    """A second server of the process: signals are the first one's affair."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def _config(options: Options, app: Any, uds: str | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        uds=uds,
        loop="uvloop",
        http=Impatient,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        limit_concurrency=allowed(options.limits.connections),
        backlog=BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=64 << 10,
        ssl_certfile=None if options.tls_cert is None else str(options.tls_cert),
        ssl_keyfile=None if options.tls_key is None else str(options.tls_key),
    )


def _main(told: str, where: str) -> None:
    """A worker of a supervisor: its options and its place, as JSON."""
    options = msgspec.json.decode(told, type=Options, dec_hook=lambda kind, value: kind(value))
    place = msgspec.json.decode(where, type=Place)
    logs.start(options.log_level)
    follow_supervisor()
    with socket.socket(fileno=place.descriptor) as listening:
        _work(options, keys_of(options), listening, place)


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:3])
    except NearfieldError as error:
        sys.exit(f"error: {error}")
