"""API keys: who may read, who may write. Compared in constant time; read again on SIGHUP."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nearfield.core.errors import InvalidInput

Right = Literal["read", "write"]
LEAST = 16


@dataclass(frozen=True, slots=True)
class Key:
    """A key's SHA-256 and what it allows: the key itself is not kept."""

    digest: bytes
    right: Right


class Keys:
    """The keys in force.

    Args:
        path: a file with a key on each line, "read KEY" or "write KEY"; blank lines and lines beginning with # do not count.
        given: more keys, by right.
    """

    def __init__(self, path: Path | None = None, given: dict[Right, str] | None = None) -> None:
        self._path = path
        self._given = [_key(key, right) for right, key in (given or {}).items()]
        self._keys: list[Key] = []
        self.reload()

    def __bool__(self) -> bool:
        return bool(self._keys)

    def reload(self) -> None:
        """Reads the file again; a file that is bad leaves the keys as they were and raises InvalidInput."""
        found = [*self._given, *(_read(self._path) if self._path is not None else [])]
        if self._path is not None and not found:
            raise InvalidInput(
                "the file of keys has none, and without keys everyone may write",
                field="key_file",
                expected='at least one line "read KEY" or "write KEY"',
                received=str(self._path),
            )
        self._keys = found

    def right_of(self, header: str | None) -> Right | None:
        """What an Authorization header allows; None: nothing. Every key is compared, whichever matches."""
        if not self._keys:
            return "write"
        scheme, _, token = (header or "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found: Right | None = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest) and found != "write":
                found = key.right
        return found if scheme.lower() == "bearer" else None


def _read(path: Path) -> list[Key]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the file of keys cannot be read: {error}", field="key_file", expected="a readable text file", received=str(path)
        ) from None
    keys = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) != 2 or parts[0] not in ("read", "write"):
            raise InvalidInput(
                f"line {number} of the file of keys is not a key", field="key_file", expected='"read KEY" or "write KEY"'
            )
        keys.append(_key(parts[1], "write" if parts[0] == "write" else "read"))
    return keys


def _key(text: str, right: Right) -> Key:
    if len(text) < LEAST or text != text.strip() or not text.isascii():
        raise InvalidInput(
            "a key is too short, or not ASCII",
            field=f"{right} key",
            expected=f"at least {LEAST} characters, such as: openssl rand -hex 24",
        )
    return Key(hashlib.sha256(text.encode()).digest(), right)
