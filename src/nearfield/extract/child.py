"""The process that reads files' bytes: `python -m nearfield.extract.child`, started by extract.worker and by nobody else.

It takes requests from standard input, one after the other, and answers on standard output, until standard input closes. A timer
of the system ends it where a file takes too long, whatever it is doing then and whether or not anybody waits. It is given bytes
and no path, may write no file, and has a limit of memory.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

import msgspec

from nearfield.core.errors import MissingDependency
from nearfield.extract import framing
from nearfield.extract.framing import Answer, Request
from nearfield.extract.reading import read
from nearfield.extract.results import Limits, Unreadable

DEEPEST = 1_000


def main() -> None:
    """Answers requests until there are no more."""
    limits = msgspec.json.decode(sys.argv[1], type=Limits)
    _bound(limits)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    while (frame := framing.receive(sys.stdin.buffer)) is not None:
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        answer = answered(frame, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        framing.send(answers, answer)


def _bound(limits: Limits) -> None:
    """Sets what the system holds this process to."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))
    sys.setrecursionlimit(DEEPEST)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def answered(frame: bytes, limits: Limits) -> bytes:
    """The answer to a request."""
    try:
        request = msgspec.msgpack.decode(frame, type=Request)
        del frame
        return _encoded(Answer(contents=read(request.kind, request.data, limits)), limits)
    except Unreadable as error:
        return _encoded(Answer(reason=error.message), limits)
    except MissingDependency as error:
        return _encoded(Answer(reason=error.message, missing=True), limits)
    except MemoryError:
        return _encoded(Answer(reason=too_much(limits)), limits)
    except RecursionError:
        return _encoded(Answer(reason="it is nested too deeply"), limits)
    except Exception as error:  # whatever a file does to its reader, the next one is read
        return _encoded(Answer(reason=f"its reader failed ({type(error).__name__}: {error})"[:500]), limits)


def too_much(limits: Limits) -> str:
    """What is said of a file that took too much memory."""
    return f"reading it takes more than {limits.memory >> 20} MiB of memory; split it"


def _encoded(answer: Answer, limits: Limits) -> bytes:
    found = msgspec.msgpack.encode(answer)
    if len(found) > 4 * limits.text:
        return msgspec.msgpack.encode(Answer(reason=f"its texts and metadata are more than {limits.text >> 18} MiB; split it"))
    return found


if __name__ == "__main__":
    main()
