"""The contract of an embedder: subclass EmbedderContract, give `embedder()`, and pytest runs every test here on it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nearfield.embed import fingerprint
from nearfield.embed.base import Embedder


class EmbedderContract:
    """What every embedder must do."""

    def embedder(self) -> Embedder:
        """The embedder under test."""
        raise AssertionError("give the contract an embedder()")

    def test_shape_type_and_order(self) -> None:
        """float32 (n, dim), a row for each text, in their order."""
        embedder = self.embedder()
        texts = ["short", "a much longer text about the tides of the sea " * 5, "moon", "short"]
        found = embedder.encode(texts, kind="document")
        assert found.shape == (4, embedder.dim)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert np.allclose(found[0], found[3], atol=1e-5)
        for i, text in enumerate(texts):
            assert np.allclose(found[i], embedder.encode([text], kind="document")[0], atol=1e-4)

    def test_nothing_in_nothing_out(self) -> None:
        """No texts give (0, dim)."""
        assert self.embedder().encode([]).shape == (0, self.embedder().dim)

    def test_progress_ends_at_all(self) -> None:
        """Progress never goes back, and its last word is the number of texts."""
        seen: list[int] = []
        self.embedder().encode(["a word"] * 70, progress=lambda done, total: seen.append(done))
        assert seen == sorted(seen)
        assert seen[-1] == 70

    def test_threads_get_the_same_vectors(self) -> None:
        """Safe to call from many threads at once."""
        embedder = self.embedder()
        texts = [f"{'tides ' * (i % 7)}of moon {i}" for i in range(12)]
        alone = embedder.encode(texts)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _: embedder.encode(texts), range(8)):
                assert np.allclose(found, alone, atol=1e-5)

    def test_declares_itself_as_json(self) -> None:
        """What decides the vectors can be stored."""
        embedder = self.embedder()
        assert json.loads(json.dumps(embedder.declared())) == embedder.declared()

    def test_its_fingerprint_is_its_own(self) -> None:
        """The same embedder passes both comparisons."""
        embedder = self.embedder()
        stored = fingerprint.Fingerprint.from_dict(json.loads(json.dumps(fingerprint.take(embedder).to_dict())))
        fingerprint.compare_declared(stored, embedder)
        assert fingerprint.compare_probes(stored, fingerprint.take(embedder))
