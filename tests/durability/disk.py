"""A disk that loses power: records every step towards the disk, and rebuilds what is left after any of them.

What was written but not synced is dropped, or torn: each unsynced write kept, lost or cut, each unsynced name kept or lost.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from nearfield.store import files, sqlite

SYNCS = ("sync", "sync_directory")


@dataclass(frozen=True)
class Event:
    step: str
    path: Path
    detail: Any = None


class Recorder(apsw.VFS):
    """Records files.observer's steps and those of SQLite, in one order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._lock = threading.Lock()
        self.name = f"recorder-{id(self)}"
        super().__init__(self.name, "")

    def note(self, step: str, path: Path, detail: Any = None) -> None:
        with self._lock:
            self.events.append(Event(step, Path(path), detail))

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return RecordedFile(self, name, flags)

    def xDelete(self, name: str, sync_directory: bool) -> None:
        super().xDelete(name, sync_directory)
        self.note("remove", Path(name))


class RecordedFile(apsw.VFSFile):
    def __init__(self, recorder: Recorder, name: Any, flags: list[int]) -> None:
        path = name if isinstance(name, str) or name is None else name.filename()
        self.path = None if path is None else Path(path)
        self.recorder = recorder
        new = self.path is not None and not self.path.exists()
        super().__init__("", name, flags)
        if new and self.path is not None and self.path.exists():
            recorder.note("create", self.path)

    def xWrite(self, data: Any, offset: int) -> None:
        super().xWrite(data, offset)
        if self.path is not None:
            self.recorder.note("write", self.path, (offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        if self.path is not None:
            self.recorder.note("truncate", self.path, size)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self.path is not None:
            self.recorder.note("sync", self.path)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Everything that goes towards the disk meanwhile is recorded."""
    recorder = Recorder()
    files.observer, sqlite.vfs = recorder.note, recorder.name
    try:
        yield recorder
    finally:
        files.observer = sqlite.vfs = None
        recorder.unregister()


@dataclass
class Inode:
    synced: bytes = b""
    waiting: list[tuple[str, int, bytes]] = field(default_factory=list)

    def content(self, random_: random.Random | None) -> bytes:
        """What is left: the synced bytes, and with `random_` some of what waits, some of it cut."""
        out = bytearray(self.synced)
        for step, at, data in self.waiting if random_ is not None else ():
            luck = random_.random() if random_ is not None else 0
            if step == "truncate" and luck < 0.5:
                del out[at:]
            elif step == "write" and luck < 0.7:
                kept = data if luck < 0.4 else data[: random_.randrange(len(data) + 1)] if random_ is not None else b""
                out += bytes(max(0, at - len(out)))
                out[at : at + len(kept)] = kept
        return bytes(out)

    def sync(self) -> None:
        out = bytearray(self.synced)
        for step, at, data in self.waiting:
            if step == "truncate":
                del out[at:]
            else:
                out += bytes(max(0, at - len(out)))
                out[at : at + len(data)] = data
        self.synced, self.waiting = bytes(out), []


class Disk:
    """The names and bytes under `root`, as they are now and as a power cut would leave them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now: dict[Path, Inode | None] = {}
        self.durable: dict[Path, Inode | None] = {}

    def apply(self, event: Event) -> None:
        path = event.path
        if event.step == "mkdir":
            self.now[path] = None
        elif event.step == "create":
            self.now[path] = Inode()
        elif event.step in ("write", "truncate"):
            at, data = event.detail if event.step == "write" else (event.detail, b"")
            self.inode(path).waiting.append((event.step, at, data))
        elif event.step == "sync":
            self.inode(path).sync()
            if ".sqlite" in path.name:  # SQLite syncs the directory of a journal that it made
                self.durable[path] = self.now[path]
        elif event.step == "rename":
            self.now[event.detail] = self.now.pop(path)
        elif event.step == "remove":
            for name in [n for n in self.now if n == path or path in n.parents]:
                del self.now[name]
        elif event.step == "sync_directory":
            for name in [n for n in self.durable if n.parent == path and n not in self.now]:
                self._forget(name)
            self.durable |= {n: inode for n, inode in self.now.items() if n.parent == path}

    def _forget(self, path: Path) -> None:
        for name in [n for n in self.durable if n == path or path in n.parents]:
            del self.durable[name]

    def inode(self, path: Path) -> Inode:
        found = self.now[path]
        assert found is not None
        return found

    def after_power_cut(self, target: Path, random_: random.Random | None) -> None:
        """Writes into `target` what is left under `root`: with `random_` torn, else with all unsynced dropped."""
        names = dict(self.durable)
        if random_ is not None:
            for name, inode in self.now.items():
                if name not in names and random_.random() < 0.5:
                    names[name] = inode
        target.mkdir()
        for name in sorted(names):
            relative = name.relative_to(self.root)
            place = target / relative
            if not place.parent.is_dir():
                continue
            inode = names[name]
            if inode is None:
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(inode.content(random_))
