"""Arrow IPC streams from outside, cut into messages before they are parsed (arrow.apache.org/docs/format/Columnar.html).

What a message says of itself is looked at first: its size, whether it is compressed (12 kB can be 400 MB), whether it is a
batch at all. Metadata is a flatbuffer (https://flatbuffers.dev/internals/).
"""

from __future__ import annotations

import pyarrow as pa

from nearfield.core.errors import InvalidInput
from nearfield.serve.failures import too_large

SCHEMA_BYTES = 1 << 20
"""Bytes of a schema."""
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
"""Types of messages."""


class Stream:
    """Takes pieces of a stream, gives its messages and batches.

    Args:
        most: bytes of a message.
    """

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, bytearray()
        self._schema: pa.Schema | None = None
        self._ended = False

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._bytes)

    def feed(self, piece: bytes) -> None:
        """Takes a piece; what follows the end of the stream is dropped."""
        if not self._ended:
            self._bytes += piece

    def message(self) -> bytes | None:
        """The next whole message, or None until more came; raises InvalidInput, Refused."""
        held = self._bytes
        if self._ended or len(held) < 8:
            return None
        if held[:4] != b"\xff\xff\xff\xff":
            raise InvalidInput("not an Arrow IPC stream", field="body", expected="an Arrow stream (pyarrow.ipc.new_stream)")
        meta = int.from_bytes(held[4:8], "little")
        if meta == 0:
            self._ended = True
            held.clear()
            return None
        if meta > self._most:
            raise too_large(meta, self._most, "an Arrow message")
        if len(held) < 8 + meta:
            return None
        with _arrow():
            size = 8 + meta + _Message(bytes(held[8 : 8 + meta])).body_length
        if size > self._most:
            raise too_large(size, self._most, "an Arrow batch")
        if len(held) < size:
            return None
        found = bytes(held[:size])
        del held[:size]
        return found

    def batch(self, message: bytes) -> pa.RecordBatch | None:
        """The batch of a message, checked; None of the first, which is the schema."""
        with _arrow():
            about = _Message(message[8 : 8 + int.from_bytes(message[4:8], "little")])
            if self._schema is None:
                if len(message) > SCHEMA_BYTES:
                    raise too_large(len(message), SCHEMA_BYTES, "an Arrow schema")
                self._schema = pa.ipc.read_schema(pa.py_buffer(message))
                _check(self._schema)
                return None
            if about.kind != BATCH:
                raise pa.ArrowInvalid("a message that is no batch")
            if about.compressed:
                raise pa.ArrowInvalid("compressed; send it without compression")
            found = pa.ipc.read_record_batch(pa.py_buffer(message), self._schema)
            found.validate(full=True)
            return found

    def end(self) -> None:
        """Raises InvalidInput where the stream was cut short."""
        if self._schema is None or (self._bytes and not self._ended):
            raise InvalidInput("the Arrow stream was cut short", field="body", expected="a whole Arrow IPC stream")


def _check(schema: pa.Schema) -> None:
    names = schema.names
    twice = sorted({name for name in names if names.count(name) > 1}) if len(names) < 10_000 else names[:1]
    if twice:
        raise InvalidInput("columns of one name", field=twice[0], expected="each name once, and at most 10,000 columns")
    for field in schema:
        if pa.types.is_dictionary(field.type):
            wanted = f"a plain column: cast it to {field.type.value_type}"
            raise InvalidInput("dictionaries are not taken", field=field.name, expected=wanted)


class _Message:
    """What its metadata says: Message{version, header_type, header, bodyLength}; RecordBatch{.., .., .., compression}."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        root = self._unsigned(0, 4)
        at = self._field(root, 1)
        self.kind = self._unsigned(at, 1) if at else 0
        at = self._field(root, 3)
        self.body_length = int.from_bytes(self._bytes(at, 8), "little", signed=True) if at else 0
        if self.body_length < 0:
            raise pa.ArrowInvalid("bad length")
        at = self._field(root, 2)
        header = at + self._unsigned(at, 4) if at else 0
        self.compressed = self.kind == BATCH and bool(header) and self._field(header, 3) != 0

    def _bytes(self, at: int, size: int) -> bytes:
        if not 0 <= at <= len(self._raw) - size:
            raise pa.ArrowInvalid("bad metadata")
        return self._raw[at : at + size]

    def _unsigned(self, at: int, size: int) -> int:
        return int.from_bytes(self._bytes(at, size), "little")

    def _field(self, table: int, number: int) -> int:
        """Where a table's field is; 0: it has its default."""
        entries = table - int.from_bytes(self._bytes(table, 4), "little", signed=True)
        place = 4 + 2 * number
        if self._unsigned(entries, 2) < place + 2:
            return 0
        offset = self._unsigned(entries + place, 2)
        return table + offset if offset else 0


class _arrow:
    """Turns Arrow's complaints into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (pa.ArrowException, OSError, LookupError, ValueError)):
            raise InvalidInput(
                "not a valid Arrow IPC stream",
                field="body",
                expected="pyarrow.ipc.new_stream, uncompressed",
                received=str(error)[:100],
            ) from None
