"""A served database from elsewhere: the same collections, over HTTP. Made by `nearfield.connect`.

Answers are the library's own types and errors are its own classes, so that code does not see where a collection lives.
"""

from __future__ import annotations

from nearfield.core.errors import InvalidInput
from nearfield.remote.collection import RemoteCollection
from nearfield.remote.database import RemoteDatabase


def connect(url: str, *, key: str | None = None, timeout: float = 60.0) -> RemoteDatabase:
    """Speaks to a server that `nearfield serve` runs.

    Args:
        url: such as "http://127.0.0.1:8000".
        key: an API key; needed where the server has keys.
        timeout: seconds that one request may take.

    Raises:
        InvalidInput: not an http or https address.
    """
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InvalidInput("not an address", field="url", expected='such as "http://127.0.0.1:8000"', received=url)
    return RemoteDatabase(url, key, timeout)


__all__ = ["RemoteCollection", "RemoteDatabase", "connect"]
