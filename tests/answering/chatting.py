"""A chat server on loopback that answers as it is told and ends by itself."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Told:
    """What the server answers, and what it was asked."""

    text: str = "The moon moves the sea [1]. Bread is made of flour [2, 9]."
    form: str = "stream"
    """"stream"; "whole"; "broken": no end; "cut": the connection ends; "raw": the text as it is, as
    JSON; "events": as an event."""
    statuses: list[int] = field(default_factory=list)
    drip: float = 0.0
    finish: str = "stop"
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def chatting(told: Told | None = None) -> Iterator[Told]:
    """Serves http://127.0.0.1:PORT/v1/chat/completions while the block runs."""
    told = told or Told()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            told.keys.append(self.headers.get("Authorization"))
            told.paths.append(self.path)
            if told.statuses:
                self.send_error(told.statuses.pop(0))
                return
            self.send_response(200)
            kind = "application/json" if told.form in ("whole", "raw") else "text/event-stream"
            self.send_header("Content-Type", kind)
            if told.form == "cut":
                self.send_header("Content-Length", "1000000")
            self.end_headers()
            try:
                for piece in pieces(told):
                    self.wfile.write(piece)
                    self.wfile.flush()
                    time.sleep(told.drip)
            except OSError:
                pass

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pieces(told: Told) -> Iterator[bytes]:
    if told.form == "raw":
        yield told.text.encode()
    elif told.form == "events":
        yield event(json.loads(told.text))
    elif told.form == "whole":
        message = {"role": "assistant", "content": told.text}
        yield json.dumps({"model": "m-1", "choices": [{"message": message, "finish_reason": told.finish}]}).encode()
    else:
        yield b": a comment\r\n\r\n"
        for i in range(0, len(told.text), 7):
            yield event({"choices": [{"delta": {"content": told.text[i : i + 7]}}], "model": "m-1"})
        if told.form == "stream":
            yield event({"choices": [{"delta": {}, "finish_reason": told.finish}]})
            yield b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
