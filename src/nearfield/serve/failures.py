"""Errors as answers: for each error its stable code, its HTTP status and whose move it is."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from nearfield.core import errors
from nearfield.core.errors import InvalidInput, NearfieldError
from nearfield.serve.wire import ErrorOut, Failed


@dataclass(frozen=True, slots=True)
class Failure:
    """How one kind of error is answered."""

    code: str
    status: int
    remedy: str


class Refused(NearfieldError):
    """An error of the protocol, not of the library: no key, too large, not ready. `code` is one of `PROTOCOL`."""

    def __init__(self, code: str, message: str, **more: object) -> None:
        super().__init__(message, **more)  # type: ignore[arg-type]
        self.code = code


def too_large(size: int, most: int, what: str = "the body") -> Refused:
    """The refusal of something larger than allowed, in bytes."""
    return Refused("too_large", f"{what} is too large", expected=f"at most {most:,} bytes", received=f"{size:,} bytes or more")


LIBRARY: dict[type[NearfieldError], Failure] = {
    errors.ModelMismatch: Failure("model_mismatch", 422, "use the embedder that the collection was made with"),
    errors.DimensionMismatch: Failure("dimension_mismatch", 400, "send vectors of the collection's dimension"),
    errors.FilterError: Failure("filter_error", 400, "mend the filter; docs/FILTERS.md has every operator"),
    errors.InvalidInput: Failure("invalid_input", 400, "mend the field named and send the request again"),
    errors.NotFound: Failure("not_found", 404, "look up the name: GET /v1/collections lists the collections"),
    errors.AlreadyExists: Failure("already_exists", 409, "choose another name, or write with if_exists=replace"),
    errors.Overloaded: Failure("overloaded", 429, "send it again after Retry-After seconds"),
    errors.DeadlineExceeded: Failure("deadline_exceeded", 504, "allow more time, or ask for fewer hits or less recall"),
    errors.Locked: Failure("locked", 423, "another process writes to this directory; stop it or wait"),
    errors.ReadOnly: Failure("read_only", 403, "the server was opened read-only, or after a failed write: see its log"),
    errors.Closed: Failure("closed", 503, "the server is stopping; send it again to the next one"),
    errors.Corrupt: Failure("corrupt", 500, "the operator runs: nearfield repair"),
    errors.OutOfSpace: Failure("out_of_space", 507, "the operator frees disk space"),
    errors.MissingDependency: Failure("missing_dependency", 501, "the operator installs the package named"),
}

PROTOCOL: dict[str, Failure] = {
    "malformed": Failure("malformed", 400, "send valid JSON of the documented shape"),
    "unauthorized": Failure("unauthorized", 401, "send a key: Authorization: Bearer KEY"),
    "forbidden": Failure("forbidden", 403, "use a key that may write"),
    "no_route": Failure("no_route", 404, "see GET /docs"),
    "method_not_allowed": Failure("method_not_allowed", 405, "see GET /docs"),
    "request_timeout": Failure("request_timeout", 408, "send the whole body in time"),
    "answer_too_large": Failure("answer_too_large", 400, "ask for fewer documents, fewer fields, or none of them"),
    "too_large": Failure("too_large", 413, "send less at once, or stream NDJSON or Arrow"),
    "unsupported_media_type": Failure("unsupported_media_type", 415, "send application/json, or a type that is documented"),
    "internal": Failure("internal", 500, "report it with the request id; the server's log has the details"),
    "upstream": Failure("upstream", 502, "try again; the operator finds in the log what the model's server said"),
    "not_ready": Failure("not_ready", 503, "wait until GET /readyz answers 200"),
}

CODES: dict[str, Failure] = {f.code: f for f in [*LIBRARY.values(), *PROTOCOL.values()]}


def failure_of(error: BaseException) -> Failure:
    """How an error is answered; unknown ones are internal."""
    if isinstance(error, Refused):
        return PROTOCOL[error.code]
    for kind, failure in LIBRARY.items():
        if isinstance(error, kind):
            return failure
    return PROTOCOL["internal"]


def described(error: BaseException, request_id: str | None = None) -> ErrorOut:
    """An error as it goes over the wire; of an internal one no detail does."""
    failure = failure_of(error)
    if not isinstance(error, NearfieldError) or failure.code == "internal":
        return ErrorOut(code="internal", message="something failed in the server", remedy=failure.remedy, request_id=request_id)
    return ErrorOut(
        code=failure.code,
        message=error.message,
        field=error.field,
        expected=error.expected,
        received=error.received,
        remedy=failure.remedy,
        retry_after=error.retry_after,
        request_id=request_id,
    )


def answer(error: BaseException, request_id: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for an error."""
    told = described(error, request_id)
    headers = {}
    if told.retry_after is not None or told.code in ("overloaded", "not_ready", "closed"):
        headers["retry-after"] = str(max(1, round(told.retry_after or 1)))
    if told.code == "unauthorized":
        headers["www-authenticate"] = "Bearer"
    return CODES[told.code].status, headers, msgspec.json.encode(Failed(error=told))


def from_validation(error: msgspec.ValidationError) -> InvalidInput:
    """What msgspec says of a body, as our error: "Expected `int`, got `str` - at `$.k`"."""
    text = str(error)
    what, _, where = text.partition(" - at `")
    field = where.rstrip("`").removeprefix("$").lstrip(".") or "body"
    expected = None
    if what.startswith("Expected `"):
        expected = what[len("Expected `") :].split("`")[0]
    return InvalidInput(what[:1].lower() + what[1:], field=field, expected=expected)
