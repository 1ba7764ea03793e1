"""What a request may ask for. All limits are on by default; `nearfield serve --help` and docs/SERVICE.md list them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from nearfield.core.config import parse_size, parse_time
from nearfield.core.errors import InvalidInput

BYTES = ("body", "file", "query", "bodies", "line", "filter_bytes", "answer", "image")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request or of the server.

    Attributes:
        body: bytes of a JSON body that writes.
        file: bytes of a file that is sent.
        extract: seconds that reading such a file may take, from when its turn comes.
        query: bytes of a JSON body that only reads: large vectors are shorter as base64.
        bodies: bytes of bodies that are held at once, those of all requests together; beyond, 429.
        line: bytes of one NDJSON line, or of one Arrow batch.
        k: hits of a search, offset included.
        queries: queries of one search_many, texts of one embeddings call.
        hits: hits of all queries of one search_many, offsets included.
        fields: metadata keys that a request may pick.
        answer: bytes of an answer, but for streams.
        documents: documents of one JSON upsert, or of one file; ids of one get or delete.
        duplicates: documents that one request for groups of near-duplicates compares; a job may compare more.
        compare: seconds that such a request may take; a job may take longer.
        filter_bytes: bytes of a filter as JSON.
        text: characters of a query or of an embedded text.
        image: bytes of a picture's file, before base64; a search's body is limited by `query` too.
        pixels: width times height of a picture, looked at before it is decoded: it takes up to 12 bytes each for a moment.
        timeout: seconds that a search may take, waiting included; also what a request may ask for at most.
        chat: seconds that an answer by the chat model may take.
        read: seconds for the body to arrive, for each MiB of it.
        queue: searches, and embeddings, that may wait.
        collections: how many there may be.
        connections: open connections; fewer where the limit on open files (ulimit -n) leaves fewer.
        jobs: jobs that may wait.
    """

    body: int = 32 << 20
    file: int = 32 << 20
    extract: float = 60.0
    query: int = 8 << 20
    bodies: int = 256 << 20
    line: int = 16 << 20
    k: int = 10_000
    queries: int = 1_000
    hits: int = 100_000
    fields: int = 1_000
    answer: int = 64 << 20
    documents: int = 10_000
    duplicates: int = 200_000
    compare: float = 120.0
    filter_bytes: int = 1 << 20
    text: int = 100_000
    image: int = 16 << 20
    pixels: int = 25_000_000
    timeout: float = 30.0
    chat: float = 120.0
    read: float = 20.0
    queue: int = 1_024
    collections: int = 1_000
    connections: int = 16_384
    jobs: int = 16

    @classmethod
    def parse(cls, told: Iterable[str]) -> Limits:
        """Limits from texts such as "k=100", "body=1MB", "timeout=5s"; raises InvalidInput."""
        known = {f.name: f.default for f in fields(cls)}
        given: dict[str, Any] = {}
        for text in told:
            name, _, value = text.partition("=")
            if name not in known or not value:
                expected = f"NAME=VALUE, NAME one of: {', '.join(known)}"
                raise InvalidInput("not a limit", field="limit", expected=expected, received=text)
            if isinstance(known[name], float):
                given[name] = parse_time(value, f"limit {name}")
            elif name in BYTES:
                given[name] = parse_size(value, f"limit {name}")
            elif value.isdecimal() and int(value):
                given[name] = int(value)
            else:
                raise InvalidInput("not a limit", field="limit", expected="a whole number above 0", received=text)
        return cls(**given)

    def check(self, field: str, value: float, limit: str) -> None:
        """Raises InvalidInput if `value` is above the limit of that name."""
        most = getattr(self, limit)
        if value > most:
            raise InvalidInput("more than this server allows", field=field, expected=f"at most {most:,}", received=value)

    def to_dict(self) -> dict[str, Any]:
        """For GET /v1/limits."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
