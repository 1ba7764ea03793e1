"""Every error nearfield raises, as one tree, with whose move it is.

    NearfieldError
      InvalidInput          the caller's input: names field, expected, received
        ModelMismatch       another embedder than the one that made the stored vectors
        DimensionMismatch   a vector of another length than the collection's
        FilterError         a filter that does not parse
      NotFound              no such collection, document or file
      AlreadyExists         the name or id is taken
      Overloaded            try again: too much is waiting
      DeadlineExceeded      try again: the time given was too short
      Locked                try again: another process holds the directory for writing
      ReadOnly              opened read-only, or read-only after a failed write to disk: reopen
      Closed                the database was closed, or is used after a fork: open it again
      Corrupt               the operator's move: bytes on disk are not what was written
      OutOfSpace            the operator's move: the disk is full
      MissingDependency     the operator's move: the message has the command that installs it

Nothing here knows HTTP or the command line; they map the classes to status codes and exit codes.
"""

from __future__ import annotations


class NearfieldError(Exception):
    """The root of all errors raised on purpose.

    Attributes:
        message: what went wrong, and the remedy, in one or two sentences.
        field: the input's name, as the caller wrote it, or None.
        expected: what would have been accepted, or None.
        received: what came, shortened for display, or None.
        committed: documents made durable before the error, for operations that proceed in chunks, or None.
        retry_after: seconds after which another try is worthwhile, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        received: object = None,
        committed: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.field = field
        self.expected = expected
        self.received = None if received is None else shorten(received)
        self.committed = committed
        self.retry_after = retry_after
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.received is not None:
            parts.append(f"received {self.received}")
        text = "; ".join(parts)
        if self.field is not None:
            text = f"{self.field}: {text}"
        if self.committed is not None:
            text += f" ({self.committed:,} documents were committed before this and are safe)"
        return text


def shorten(value: object, limit: int = 120) -> str:
    """Shows `value` on one line of at most `limit` characters."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text[: 4 * limit].split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


class InvalidInput(NearfieldError):
    """The caller's input is not acceptable; nothing was written."""


class ModelMismatch(InvalidInput):
    """The embedder differs from the one that made the stored vectors."""


class DimensionMismatch(InvalidInput):
    """A vector's length is not the collection's dimension."""


class FilterError(InvalidInput):
    """A filter does not parse; the message names the operator or path."""


class NotFound(NearfieldError):
    """No such collection, document or file."""


class AlreadyExists(NearfieldError):
    """The name or id is taken."""


class Overloaded(NearfieldError):
    """Too much is waiting; try again after `retry_after` seconds."""


class DeadlineExceeded(NearfieldError):
    """The time given was too short."""


class Locked(NearfieldError):
    """Another process holds the directory for writing."""


class ReadOnly(NearfieldError):
    """A write to something opened read-only, or made read-only by a failed fsync."""


class Closed(NearfieldError):
    """The database was closed, or crossed a fork."""


class Corrupt(NearfieldError):
    """Bytes on disk are not what was written."""


class OutOfSpace(NearfieldError):
    """The disk is full; nothing was acknowledged that is not safe."""


class MissingDependency(NearfieldError):
    """An optional package is needed; the message has the command that installs it."""
