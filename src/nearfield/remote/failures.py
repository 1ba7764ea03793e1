"""What a server said was wrong, as the library's own errors. Knows no address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nearfield.core import errors
from nearfield.core.errors import NearfieldError

CLASSES: dict[str, type[NearfieldError]] = {
    "invalid_input": errors.InvalidInput, "malformed": errors.InvalidInput, "too_large": errors.InvalidInput,
    "unsupported_media_type": errors.InvalidInput, "dimension_mismatch": errors.DimensionMismatch,
    "filter_error": errors.FilterError, "not_found": errors.NotFound, "no_route": errors.NotFound,
    "already_exists": errors.AlreadyExists, "model_mismatch": errors.ModelMismatch, "overloaded": errors.Overloaded,
    "deadline_exceeded": errors.DeadlineExceeded, "locked": errors.Locked, "read_only": errors.ReadOnly,
    "unauthorized": errors.ReadOnly, "forbidden": errors.ReadOnly, "closed": errors.Closed, "not_ready": errors.Closed,
    "corrupt": errors.Corrupt, "out_of_space": errors.OutOfSpace, "missing_dependency": errors.MissingDependency,
}  # fmt: skip
"""The class of each code; other codes are NearfieldError."""


def failure(status: int, body: bytes) -> NearfieldError:
    """The error that an answer tells of."""
    try:
        return told(msgspec.json.decode(body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return NearfieldError(f"the server answered {status}, not in nearfield's form: is it one?", field="url")


def told(error: Mapping[str, Any]) -> NearfieldError:
    """An error as the server describes it."""
    more = {name: error[name] for name in ("field", "expected", "received", "retry_after") if error.get(name) is not None}
    return CLASSES.get(error["code"], NearfieldError)(error["message"], **more)
