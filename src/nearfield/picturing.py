"""How pictures become documents: decoded one by one, embedded, written with their thumbnails; and whole folders of them.

Part of the collection layer. Knows an engine, an embedder and files; nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield import intake
from nearfield.core import inputs
from nearfield.core.errors import InvalidInput, NearfieldError, NotFound
from nearfield.core.metric import Vectors, prepare
from nearfield.core.types import Document, Written
from nearfield.embedding import BoundEmbedder
from nearfield.engine.local import LocalEngine
from nearfield.intake import Checked
from nearfield.pictures import decoding, folder
from nearfield.pictures.folder import Found

if TYPE_CHECKING:
    from nearfield.collection import Collection

BATCH = 64
"""Pictures of a folder that are written together: what an interruption loses."""

Broken = Callable[[str, str], None]
"""Called with (id or path, why) of a picture that cannot be read."""


def upsert(
    engine: LocalEngine,
    embedder: BoundEmbedder,
    documents: Sequence[Document],
    checked: Checked,
    vectors: Vectors | None,
    if_exists: str,
    broken: Broken | None,
) -> Written:
    """Writes documents of which some bring pictures; see Collection.upsert.

    Args:
        engine: of the collection.
        embedder: of the collection.
        documents: what to write.
        checked: the same, checked.
        vectors: float32 (n, dim), or None: a picture decides its document's vector, else the text does.
        if_exists: "replace", "skip" or "error".
        broken: told of pictures that cannot be read, whose documents are left out; None: the first is an error.
    """
    for document in documents:
        if document.image is not None and not decoding.is_picture(document.image):
            expected = "a path, bytes, uint8 (height, width, 3) or a Pillow image"
            received = type(document.image).__name__
            raise InvalidInput("not a picture", field=f"image of {document.id!r}", expected=expected, received=received)
    work = _Pictures(documents, broken is not None)
    there = [None] * len(documents) if if_exists != "skip" else engine.get(checked.ids, vectors=True)
    wanted = [i for i, d in enumerate(documents) if d.image is not None and there[i] is None]
    if vectors is not None:
        out = vectors
        for i in wanted:
            work.opener(i)()
    else:
        out = np.zeros((len(documents), engine.dim), np.float32)
        if wanted:
            out[wanted] = embedder.encode_images([work.opener(i) for i in wanted])
        rest = [i for i, d in enumerate(documents) if d.image is None]
        if rest:
            out[rest] = intake.embed(engine, embedder, _some(checked, rest), if_exists)
        for i, old in enumerate(there):
            if old is not None and old.vector is not None:
                out[i] = old.vector
    for i in sorted(work.failed):
        if broken is not None:
            broken(documents[i].id, work.failed[i])
    keep = [i for i in range(len(documents)) if i not in work.failed]
    if not keep:
        return Written(commit=engine.snapshot.commit)
    ready = out if len(keep) == len(documents) else out[keep]
    kept = checked if len(keep) == len(documents) else _some(checked, keep)
    return intake.write(engine, kept, *prepare(ready, engine.metric), if_exists, [work.thumbnails[i] for i in keep])


def _some(checked: Checked, which: Sequence[int]) -> Checked:
    ids, texts, metadata = checked.ids, checked.texts, checked.metadata
    return Checked([ids[i] for i in which], [texts[i] for i in which], [metadata[i] for i in which])


class _Pictures:
    """Opens pictures when their turn comes and keeps their thumbnails."""

    def __init__(self, documents: Sequence[Document], lenient: bool) -> None:
        self._documents, self._lenient = documents, lenient
        self.thumbnails: list[bytes | None] = [None] * len(documents)
        self.failed: dict[int, str] = {}

    def opener(self, i: int) -> Callable[[], decoding.Pixels | None]:
        """Decodes picture `i`; called once, in any thread."""

        def work() -> decoding.Pixels | None:
            document = self._documents[i]
            try:
                found = decoding.decode(document.image, f"image of {document.id!r}")
            except (InvalidInput, NotFound) as error:
                if not self._lenient:
                    raise
                self.failed[i] = _why(error)
                return None
            self.thumbnails[i] = found.thumbnail
            return found.pixels

        return work


def _why(error: NearfieldError) -> str:
    parts = [error.message, error.expected and f"expected {error.expected}", error.received and f"received {error.received}"]
    return "; ".join(part for part in parts if part)


def see(embedder: BoundEmbedder, images: Sequence[Any]) -> Vectors:
    """float32 (m, dim) of pictures that are asked about."""
    if isinstance(images, (str, bytes)) or not hasattr(images, "__len__"):
        raise InvalidInput("not a list of pictures", field="images", expected="a list", received=type(images).__name__)
    for i, image in enumerate(images):
        if not decoding.is_picture(image):
            expected = "a path, bytes, uint8 (height, width, 3) or a Pillow image"
            raise InvalidInput("not a picture", field=f"images[{i}]", expected=expected, received=type(image).__name__)
    name = "image" if len(images) == 1 else "images"
    return embedder.encode_images([partial(decoding.pixels, image, name) for image in images])


@dataclass(slots=True)
class PicturesAdded:
    """What reading a folder of pictures did.

    Attributes:
        added, replaced: documents written.
        unchanged: files that were there already, by size and time; they were not opened.
        broken: (path, why) of each file that is no picture that can be read; it was passed over.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)


def check(collection: Collection) -> None:
    """Raises InvalidInput unless the collection's model takes pictures."""
    if "image" not in collection.takes:
        raise InvalidInput(
            "this collection's model takes no pictures",
            field="embedder",
            expected="a model of pictures, such as a CLIP, SigLIP or ViT",
            received=collection.embedder,
        )


def add_folder(
    collection: Collection,
    root: Path,
    *,
    prefix: str = "",
    done: PicturesAdded | None = None,
    batch: int = BATCH,
    progress: Callable[[int, int | None], None] | None = None,
) -> PicturesAdded:
    """Writes the pictures below a folder that are new or changed, batch by batch, each durable before the next is read.

    Args:
        collection: where to.
        root: a folder, or one picture.
        prefix: what ids begin with.
        done: counts to go on from; kept up to date, so that it is right after an interruption too.
        batch: pictures written together.
        progress: called with (files done, files in all).
    """
    files, out = folder.find(root, prefix), PicturesAdded() if done is None else done
    for start in range(0, len(files), batch):
        some = files[start : start + batch]
        _add(collection, some, out)
        if progress is not None:
            progress(start + len(some), len(files))
    return out


def _add(collection: Collection, files: Sequence[Found], out: PicturesAdded) -> None:
    documents: list[Document] = []
    broken: list[tuple[str, str]] = []
    unchanged = 0
    named = []
    for file in files:
        try:
            inputs.document_id(file.id)
        except InvalidInput as error:
            broken.append((file.id, _why(error)))
            continue
        named.append(file)
    for file, old in zip(named, collection.get([file.id for file in named]), strict=True):
        if file.is_stored(None if old is None else old.metadata):
            unchanged += 1
            continue
        try:
            facts = decoding.facts(file.path)
        except (InvalidInput, NotFound) as error:
            broken.append((file.id, _why(error)))
            continue
        kept = {} if old is None else {k: v for k, v in old.metadata.items() if k not in ("taken", *folder.STAMP)}
        text = None if old is None else old.text
        documents.append(Document(file.id, text, {**kept, **file.metadata(facts)}, image=file.path))
    if documents:
        failed: dict[str, str] = {}
        written = collection.upsert(documents, broken=lambda name, why: failed.update({name: why}))
        out.added, out.replaced = out.added + written.added, out.replaced + written.replaced
        broken += failed.items()
    out.unchanged += unchanged
    out.broken += sorted(broken)
