"""What a collection remembers of its embedder, and how another is told from it.

The declared part is compared without loading anything; the probes, a few fixed texts and pictures, are embedded when the
embedder is first used, and decide: another hash with the same vectors is the same model in another file, another vector is
another model whatever it is called.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfield.core.errors import ModelMismatch
from nearfield.core.metric import Vectors
from nearfield.embed import probes
from nearfield.embed.base import Embedder, SeesPictures, takes

PROBES = (
    "the quick brown fox jumps over the lazy dog",
    "Moons and tides",
    "How do I reset my password?",
    "Ein Vogel singt; 鸟在唱歌; un oiseau chante.",
    "def area(r): return 3.14159 * r ** 2",
)
LEAST = 0.999
"""Cosine between a stored and a new probe vector from which they count as the same."""
STRETCHED = 0.02
"""The most that a probe vector's length may differ, as a part of it: dot products and L2 distances depend on lengths."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The declared part, and float32 (n, dim) vectors of the probes.

    Of texts, where the embedder takes them, first as documents, then as queries; then those of probes.pictures(), likewise.
    """

    declared: dict[str, Any]
    probes: Vectors

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        packed = base64.b64encode(np.ascontiguousarray(self.probes, "<f4").tobytes()).decode()
        return {"declared": self.declared, "dim": int(self.probes.shape[1]), "probes": packed}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Fingerprint:
        """The fingerprint of `to_dict`."""
        flat = np.frombuffer(base64.b64decode(value["probes"]), "<f4").astype(np.float32)
        return cls(value["declared"], flat.reshape(-1, value["dim"]))


def take(embedder: Embedder) -> Fingerprint:
    """Embeds the probes."""
    vectors = []
    if "text" in takes(embedder):
        vectors += [np.asarray(embedder.encode(PROBES, kind=kind), np.float32) for kind in ("document", "query")]
    if isinstance(embedder, SeesPictures):
        pictures = [(lambda pixels=pixels: pixels) for pixels in probes.pictures()]
        vectors.append(np.asarray(embedder.encode_images(pictures), np.float32))
    return Fingerprint(embedder.declared(), np.concatenate(vectors))


def _label(probe: int, n: int) -> str:
    """The name of a probe among `n`: pictures come last."""
    texts = n - len(probes.NAMES) if n != 2 * len(PROBES) else n
    return repr(PROBES[probe % len(PROBES)]) if probe < texts else f"the picture of {probes.NAMES[probe - texts]}"


def compare_declared(stored: Fingerprint, embedder: Embedder) -> None:
    """Raises ModelMismatch if an embedder says of itself that it makes other vectors: another dim, or another model.

    Another hash of the weights alone is left for the probes to judge.
    """
    now = embedder.declared()
    if embedder.dim != stored.probes.shape[1]:
        raise ModelMismatch(
            "the embedder makes vectors of another dimension than those stored",
            field="embedder",
            expected=f"dim {stored.probes.shape[1]}",
            received=f"dim {embedder.dim}",
        )
    differing = [key for key in ("model", "pooling", "prompts", "salt") if now.get(key) != stored.declared.get(key)]
    if differing:
        key = differing[0]
        raise ModelMismatch(
            f"the embedder's {key} is not that of the stored vectors; open with the model that made them, or load the texts "
            "into a new collection",
            field="embedder",
            expected=repr(stored.declared.get(key)),
            received=now.get(key),
        )


def compare_probes(stored: Fingerprint, now: Fingerprint) -> bool:
    """Raises ModelMismatch unless every probe has the direction and length it had.

    Returns:
        Whether the declared part is the same too.
    """
    if stored.probes.shape != now.probes.shape:
        raise ModelMismatch(
            "the embedder makes vectors of another shape", expected=str(stored.probes.shape), received=str(now.probes.shape)
        )
    a, b = stored.probes.astype(np.float64), now.probes.astype(np.float64)
    was, is_now = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    cosine = np.einsum("ij,ij->i", a, b) / (was * is_now + 1e-30)
    worst = int(np.argmin(cosine))
    if not cosine[worst] >= LEAST:
        raise ModelMismatch(
            "the embedder has the stored model's name but makes other vectors (other weights?); put the model back that made "
            "them, or load the texts into a new collection",
            field="embedder",
            expected=f"cosine >= {LEAST} on probe {_label(worst, len(a))}",
            received=f"{cosine[worst]:.4f}",
        )
    longest = int(np.argmax(np.abs(is_now - was) / (was + 1e-30)))
    if not abs(is_now[longest] - was[longest]) <= STRETCHED * was[longest]:
        raise ModelMismatch(
            "the embedder makes vectors of the same directions but other lengths (is one of the two normalised?)",
            field="embedder",
            expected=f"length {was[longest]:.4f} on probe {_label(longest, len(a))}",
            received=f"{is_now[longest]:.4f}",
        )
    return stored.declared == now.declared
