"""A chat model behind an OpenAI-compatible URL: messages in, text out, piece by piece. Knows HTTP; no passages, no citations.

Ollama, llama.cpp, vLLM, text-generation-inference, LM Studio and most paid services speak this form.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nearfield.core.config import plain_url
from nearfield.core.errors import DeadlineExceeded, InvalidInput, MissingDependency, NearfieldError, Overloaded

KEY = "NEARFIELD_CHAT_API_KEY"
"""The environment variable that holds the API key."""
PATH = "/chat/completions"
TRIES = 3
MOST = 4 << 20
"""Bytes of an answer, with all that stands around its text."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model answered.

    Attributes:
        text: all of it.
        finish: why it ended, as the server says: "stop"; "length": it was cut; None: it did not say.
        model: which model, as the server says.
    """

    text: str
    finish: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat model.

    Attributes:
        url: the API's base, such as http://127.0.0.1:11434/v1; with or without /chat/completions.
        model: its name there.
        key: the API key, or None; it is shown nowhere.
        timeout: seconds that a whole answer may take.
    """

    url: str
    model: str
    key: str | None = None
    timeout: float = 120.0

    @classmethod
    def of(cls, url: str, model: str | None, timeout: float = 120.0) -> Chat:
        """Checked; the key comes from the variable NEARFIELD_CHAT_API_KEY. Raises InvalidInput."""
        if not isinstance(url, str) or not url.startswith(("http://", "https://")) or not url.partition("://")[2]:
            raise InvalidInput("not an address", field="url", expected="http(s)://HOST/v1", received=url)
        if not isinstance(model, str) or not model:
            raise InvalidInput("say which model answers", field="model", expected="its name at that address", received=model)
        if not timeout > 0:
            raise InvalidInput("not a time", field="timeout", expected="seconds above 0", received=timeout)
        return cls(url.rstrip("/").removesuffix(PATH).rstrip("/"), model, os.environ.get(KEY) or None, timeout)

    def __repr__(self) -> str:
        return f"Chat({self.shown!r}, {self.model!r})"

    @property
    def shown(self) -> str:
        """The address without a name and password in it: errors and logs tell this."""
        return plain_url(self.url)

    def ask(
        self,
        messages: Sequence[dict[str, str]],
        *,
        most: int | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Said:
        """The answer to messages.

        Args:
            messages: {"role", "content"} each.
            most: tokens of the answer; the server's own limit by default.
            on_text: called with each piece as it comes.

        Raises:
            Overloaded: the server cannot be reached, or says that it is busy, after three tries.
            DeadlineExceeded: the answer did not end in time.
            NearfieldError: the server refuses, or answers in another form, or breaks off.
        """
        body: dict[str, Any] = {"model": self.model, "messages": list(messages), "stream": True}
        if most is not None:
            body["max_tokens"] = most
        ends = time.monotonic() + self.timeout
        problem = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(0.2 * 2**attempt)
            said, problem = self._once(body, ends, on_text)
            if said is not None:
                return said
        raise Overloaded(f"{self.shown} does not answer ({problem})", field="url", retry_after=5.0)

    def _once(self, body: dict[str, Any], ends: float, on_text: Callable[[str], None] | None) -> tuple[Said | None, str]:
        """The answer, or None and why another try may do."""
        try:
            import httpx
        except ImportError as error:
            raise MissingDependency("asking needs httpx; run: pip install httpx", field="url") from error
        headers = {"Accept": "text/event-stream, application/json"} | (
            {"Authorization": f"Bearer {self.key}"} if self.key else {}
        )
        left = ends - time.monotonic()
        if left <= 0:
            raise self._late()
        pieces: list[str] = []

        def heard(text: str) -> None:
            pieces.append(text)
            if on_text is not None:
                on_text(text)

        try:
            with httpx.stream("POST", self.url + PATH, json=body, headers=headers, timeout=left) as answer:
                if answer.status_code == 429 or answer.status_code >= 500:
                    return None, f"HTTP {answer.status_code}"
                if answer.status_code != 200:
                    said = b"".join(self._bytes(answer, ends))[:300].decode(errors="replace")
                    raise NearfieldError(f"{self.shown} refused: HTTP {answer.status_code}: {said}", field="url")
                if "text/event-stream" in answer.headers.get("content-type", ""):
                    return self._streamed(answer, ends, pieces, heard), ""
                return self._whole(b"".join(self._bytes(answer, ends)), heard), ""
        except httpx.TimeoutException:
            raise self._late() from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if pieces:
                raise NearfieldError(f"{self.shown} broke off in the middle of its answer ({error})", field="url") from error
            return None, f"{type(error).__name__}: {error}"

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"{self.shown} did not end its answer in time", field="timeout", expected=f"{self.timeout:g} s")

    def _bytes(self, answer: Any, ends: float) -> Iterator[bytes]:
        size = 0
        for piece in answer.iter_bytes():
            size += len(piece)
            if size > MOST:
                raise NearfieldError(f"{self.shown} answers with too much", field="url", expected=f"at most {MOST:,} bytes")
            if time.monotonic() > ends:
                raise self._late()
            yield piece

    def _streamed(self, answer: Any, ends: float, pieces: list[str], heard: Callable[[str], None]) -> Said:
        """An answer that comes as server-sent events: lines "data: {...}", the last one "data: [DONE]"."""
        finish = model = None
        held = b""
        for piece in self._bytes(answer, ends):
            *lines, held = (held + piece).split(b"\n")
            for line in lines:
                data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                if data == b"[DONE]":
                    return Said("".join(pieces), finish, model)
                if not data:
                    continue
                event = self._parsed(data)
                model = _text(event.get("model")) or model
                try:
                    for choice in event.get("choices") or []:
                        finish = _text(choice.get("finish_reason")) or finish
                        text = _text((choice.get("delta") or {}).get("content"))
                        if text:
                            heard(text)
                except (AttributeError, TypeError) as error:
                    raise self._form(error) from error
        if finish is None:
            raise NearfieldError(f"{self.shown} broke off in the middle of its answer", field="url")
        return Said("".join(pieces), finish, model)

    def _whole(self, raw: bytes, heard: Callable[[str], None]) -> Said:
        """An answer in one piece."""
        found = self._parsed(raw)
        try:
            choice = found["choices"][0]
            text = _text(choice["message"]["content"])
            if text is None:
                raise TypeError("its content is no text")
        except (KeyError, IndexError, TypeError) as error:
            raise self._form(error) from error
        heard(text)
        return Said(text, _text(choice.get("finish_reason")), _text(found.get("model")))

    def _parsed(self, raw: bytes) -> dict[str, Any]:
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise self._form(error) from error
        if not isinstance(found, dict):
            raise self._form(TypeError("not an object"))
        if found.get("error"):
            raise NearfieldError(f"{self.shown} failed: {str(found['error'])[:300]}", field="url")
        return found

    def _form(self, error: Exception) -> NearfieldError:
        return NearfieldError(f"{self.shown} did not answer in the form of OpenAI's chat ({error})", field="url")


def _text(value: object) -> str | None:
    """A string of valid Unicode; None for what is no string: what a server says beside its answer is nobody's promise."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
