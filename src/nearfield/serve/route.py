"""One route: its path and method, who may use it, what goes in and out. The list of all routes is the API's one description."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from starlette.requests import Request

from nearfield.core.errors import InvalidInput
from nearfield.serve import body
from nearfield.serve.failures import Refused, from_validation

if TYPE_CHECKING:
    from nearfield.serve.service import Service

T = TypeVar("T")
Right = Literal["open", "read", "write"]
JSON = "application/json"


@dataclass(slots=True)
class Call:
    """One request on its way: the service, what came, when, and under which id."""

    service: Service
    request: Request
    id: str
    most: int
    """Bytes that its JSON body may have."""
    arrived: float = field(default_factory=time.monotonic)
    notes: dict[str, Any] = field(default_factory=dict)
    """What the log line of this request says besides."""
    reading: float = 0.0
    """Seconds that reading and parsing the body took."""
    share: body.Share = field(init=False)
    """What it holds of the bytes that bodies may take."""

    def __post_init__(self) -> None:
        self.share = body.Share(self.service.bodies)

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    @property
    def media_type(self) -> str:
        """The body's type, without parameters; "" where none is said."""
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self, kind: type[T]) -> T:
        """The body as JSON of a type; an empty one where the type can do without.

        A body must say that it is JSON: what does not, pages of other origins can send without asking first.

        Raises:
            Refused, InvalidInput: too large, too slow, not JSON, or not of the type; the field is named.
        """
        start = time.perf_counter()
        said = self.media_type
        if said not in (JSON, ""):
            raise Refused("unsupported_media_type", "not a type this route takes", field="content-type", received=said)
        raw = await body.whole(self.request, self.service.limits, self.share, self.most)
        if raw and not said:
            raise Refused("unsupported_media_type", "the body does not say what it is", field="content-type", expected=JSON)
        out = decoded(raw or b"{}", kind)
        self.reading = time.perf_counter() - start
        self.service.telemetry.observe("stage_seconds", self.reading, "read")
        return out


_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}


def decoded(raw: bytes, kind: type[T]) -> T:
    """JSON of a type."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        return decoder.decode(raw)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise from_validation(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("malformed", f"not JSON: {error}", field="body") from None
    except RecursionError:
        raise InvalidInput("nested too deeply", field="body") from None


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """A route.

    Attributes:
        method: GET, POST, DELETE.
        path: with parameters in braces.
        handler: returns a wire type, or a Response.
        right: who may use it; "open" needs no key.
        takes: the type of the body; None: no body.
        gives: the type of the answer; None: what `media` says.
        status: of success.
        fails: codes of errors that may come, besides those that any route may give.
        query: parameters of the query string: name and description.
        accepts: other types of bodies than JSON, with a line about each.
        media: the answer's type.
        nothing: what an answer of 204, without a body, means; "": there is none.
        owner: only the process that writes knows the answer; what needs a key that may write always goes there.
    """

    method: str
    path: str
    handler: Handler
    right: Right
    about: str
    takes: type | None = None
    gives: type | None = None
    status: int = 200
    fails: tuple[str, ...] = ()
    query: dict[str, str] = field(default_factory=dict)
    accepts: dict[str, str] = field(default_factory=dict)
    media: str = JSON
    nothing: str = ""
    owner: bool = False

    @property
    def name(self) -> str:
        """Its method and path."""
        return f"{self.method} {self.path}"

    @property
    def owned(self) -> bool:
        """Whether a process that only reads passes it on."""
        return self.owner or self.right == "write"
