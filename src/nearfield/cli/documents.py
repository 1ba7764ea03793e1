"""Folders and files of documents into a collection: text, Markdown, HTML, PDF, DOCX, mail, and tables in folders.

What is read and how is in nearfield.extract; this writes it in batches, names what fails, passes over what is there unchanged.
Pictures in folders are handed on where the collection's model takes them: that is the one place where both meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nearfield.cli import show
from nearfield.core.errors import InvalidInput, ModelMismatch

if TYPE_CHECKING:
    from nearfield.cli.adding import Counts
    from nearfield.cli.rows import Row
    from nearfield.collection import Collection
    from nearfield.extract.documents import FileRead
    from nearfield.extract.results import Failed
    from nearfield.extract.walking import Found, Walk
    from nearfield.extract.worker import Extractor

SHOWN = 20
"""Failures that are printed as they come; all are in what --json prints."""
FORMATS = ("markdown", "html", "pdf", "docx", "mail", "mbox")
"""What --format can say of a file besides the formats of rows."""
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Tally:
    """What happened besides writing.

    Attributes:
        failed: files, rows and messages that were not read or not written, with the reason.
        others: files of kinds that are not read, by the end of their names.
        empty: files with nothing in them.
        deleted: documents of files, or of parts of files, that are gone.
        replaced_others: files whose ids had documents of another folder.
        read: files looked at.
    """

    failed: list[Failed] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    deleted: int = 0
    replaced_others: int = 0
    read: int = 0

    def fail(self, one: Failed) -> None:
        """Counts a failure, and says it."""
        self.failed.append(one)
        if len(self.failed) <= SHOWN:
            show.note(f"not read: {one}")
        elif len(self.failed) == SHOWN + 1:
            show.note("not read: and more, which are counted at the end")

    def to_dict(self) -> dict[str, object]:
        """For --json."""
        failed = [{"file": f.path, "number": f.number, "reason": f.reason} for f in self.failed]
        return {"failed": failed, "passed_over": dict(self.others), "empty": self.empty, "deleted": self.deleted}

    def notes(self) -> list[str]:
        """What is said of it at the end."""
        out = []
        if self.others:
            kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in self.others.most_common(5))
            out.append(f"passed over {sum(self.others.values()):,} files of other kinds ({kinds})")
        if self.empty:
            out.append(f"passed over {self.empty:,} empty files")
        if self.deleted:
            out.append(f"deleted {self.deleted:,} documents whose files, or parts of files, are gone")
        if self.replaced_others:
            out.append(
                f"{self.replaced_others:,} files replaced documents of another folder; --prefix NAME keeps folders apart"
            )
        if self.failed:
            out.append(f"not read: {len(self.failed):,}, named above; mend them and run the same command again")
        return out


def takes(given: str, format: str | None) -> bool:
    """Whether `add` reads this as documents, not as rows: folders, and files whose name or --format says so."""
    from nearfield.extract import kind_of
    from nearfield.extract.kinds import TABLES

    if format is not None:
        return format in FORMATS
    from nearfield.pictures.folder import SUFFIXES

    kind = kind_of(given)
    return Path(given).is_dir() or given.lower().endswith(SUFFIXES) or (kind is not None and kind not in TABLES)


def found_in(root: Path, prefix: str, format: str | None) -> Walk:
    """The files of a folder, or the one that `root` is; --format picks those of one kind, or says the kind of the one."""
    from nearfield.extract.documents import check_root
    from nearfield.extract.walking import Found, Walk, walk

    check_root(root)
    if format is not None and not root.is_dir():
        name = f"{prefix}/{root.name}" if prefix else root.name
        return Walk([Found(name, root, format)])  # type: ignore[arg-type]
    found = walk(root, prefix)
    if format is not None:
        return Walk([one for one in found.files if one.kind == format], found.others, found.failed)
    return found


def check(collection: Collection) -> None:
    """Raises InvalidInput for a collection that embeds neither texts nor pictures."""
    if not collection.takes:
        raise InvalidInput(
            "this collection was created without an embedder, and documents bring no vectors",
            field="FILE",
            expected="rows with vectors: .jsonl, .parquet, .npy",
        )


@dataclass(frozen=True, slots=True)
class Documents:
    """A folder or a file of documents, as a FILE of `add`.

    Attributes:
        name: as given.
        root: where it is.
        found: what is in it.
        prefix: what ids begin with.
    """

    name: str
    root: Path
    found: Walk
    prefix: str

    @property
    def total(self) -> int:
        """Files that are read."""
        return len(self.found.files)

    def add(self, collection: Collection, counts: Counts, tally: Tally, batch: int | None, progress: Progress) -> None:
        """Writes what is new or changed, updating `counts` and `tally` after each durable batch."""
        from nearfield.extract.walking import mark_of
        from nearfield.extract.worker import Extractor

        check(collection)
        for one in self.found.failed:
            tally.fail(one)
        tally.others.update(self.found.others)
        if "text" in collection.takes:
            with Extractor() as extractor:
                mark = mark_of(self.root, self.prefix)
                add_files(collection, self.found.files, mark, counts, tally, extractor, batch, progress)
        else:
            tally.others.update(one.path.suffix.lower() for one in self.found.files)
        add_pictures(collection, self.root, self.prefix, counts, tally, lambda at, _: progress(at, counts.seen))


def open_documents(given: str, format: str | None, prefix: str) -> Documents:
    """The documents that `given` names: those of a folder, or one file.

    Raises:
        NotFound: nothing is there.
        InvalidInput: a folder without a file that is read.
    """
    root = Path(given)
    found = found_in(root, prefix, format)
    if root.is_dir() and not found.files and not found.failed and not found.others:
        raise InvalidInput("the folder has no files", field=given, expected="files such as .txt, .md, .html, .pdf, .docx")
    return Documents(given, root, found, prefix)


def add_files(
    collection: Collection,
    files: Iterable[Found],
    mark: str,
    counts: Counts,
    tally: Tally,
    extractor: Extractor,
    batch: int | None,
    progress: Progress,
) -> None:
    """Writes what is new or changed of some files, updating `counts` and `tally` after each durable batch.

    Args:
        collection: where to.
        files: which.
        mark: of their folder.
        counts: what was done, also right after an error or an interruption.
        tally: what else happened.
        extractor: what reads files.
        batch: most documents in a batch.
        progress: called with (files looked at, documents done).
    """
    from nearfield.cli.adding import BATCH_BYTES, TEXTS
    from nearfield.cli.rows import batches
    from nearfield.extract.documents import read_files

    before = counts.seen

    def rows() -> Iterator[Row]:
        for at, read in enumerate(read_files(files, extractor, mark, collection), 1):
            yield from _taken(collection, read, counts, tally, at)
            progress(at, counts.seen - before)

    for some in batches(rows(), batch or TEXTS, BATCH_BYTES):
        _write(collection, some, counts, tally)


def _taken(collection: Collection, read: FileRead, counts: Counts, tally: Tally, at: int) -> list[Row]:
    """Counts what came of a file and deletes what it no longer has; its documents, to be written."""
    from nearfield.cli.rows import Row

    tally.read += 1
    counts.unchanged += read.unchanged
    tally.empty += read.empty
    tally.replaced_others += read.replaces
    for one in read.failed:
        tally.fail(one)
    if read.stale:
        tally.deleted += collection.delete(read.stale).deleted
    return [Row(d.id, d.text, d.metadata, None, d.id, at) for d in read.documents]


def _write(collection: Collection, rows: list[Row], counts: Counts, tally: Tally) -> None:
    """Writes a batch; where it is refused, one by one, so that only what is wrong is left out and named."""
    from nearfield.cli.adding import write
    from nearfield.extract.results import Failed

    try:
        write(collection, rows, counts)
    except ModelMismatch:
        raise
    except InvalidInput as error:
        if len(rows) == 1:
            tally.fail(Failed(rows[0].id, str(error)))
            return
        for row in rows:
            _write(collection, [row], counts, tally)


def add_pictures(
    collection: Collection,
    root: Path,
    prefix: str,
    counts: Counts,
    tally: Tally,
    progress: Callable[[int, int | None], None],
) -> None:
    """Pictures of a folder, or the one that `root` is, where the collection's model takes them; else they stay passed over."""
    from nearfield import PicturesAdded
    from nearfield.extract.results import Failed
    from nearfield.pictures.folder import SUFFIXES

    wanted = [suffix for suffix in tally.others if suffix in SUFFIXES]
    if not wanted or "image" not in collection.takes:
        return
    for suffix in wanted:
        tally.read += tally.others.pop(suffix)
    done = PicturesAdded()
    try:
        collection.add_pictures(root, prefix=prefix, progress=progress, done=done)
    finally:
        counts.added, counts.replaced = counts.added + done.added, counts.replaced + done.replaced
        counts.unchanged += done.unchanged
    for path, why in done.broken:
        tally.fail(Failed(path, why))
