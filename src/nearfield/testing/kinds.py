"""The contract of an index kind: subclass KindContract, set `kind`, and pytest runs every test here on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nearfield.core.errors import Corrupt
from nearfield.core.metric import Metric, prepare, scores
from nearfield.index import calibrate, decode_kind, encode_kind, exact
from nearfield.index.base import Allow, Effort, Kind
from nearfield.index.build import STEM, Built, run_build
from nearfield.index.curve import Curve

N, DIM = 3000, 24


class KindContract:
    """What every kind must do. Data is clustered, seeded; the index is built as the product builds it."""

    kind: ClassVar[Kind]
    metrics: ClassVar[Sequence[Metric]] = tuple(Metric)

    @staticmethod
    def data(metric: Metric, n: int = N, seed: int = 0) -> Any:
        """Prepared clustered vectors (n, DIM)."""
        rng = np.random.default_rng(seed)
        centres = rng.standard_normal((40, DIM))
        x = centres[rng.integers(0, 40, n)] + 0.4 * rng.standard_normal((n, DIM))
        return prepare(x.astype(np.float32), metric)[0]

    def built(self, directory: Path, metric: Metric, x: Any) -> Built:
        """Builds an index of `x` in `directory`."""
        x.tofile(directory / "x")
        into = directory / "into"
        into.mkdir()
        return run_build(directory / "x", len(x), DIM, self.kind, metric, into, nice=0, seed=1)

    def opened(self, directory: Path, metric: Metric, x: Any) -> tuple[Any, Built]:
        """The built index, opened, and what the build said."""
        built = self.built(directory, metric, x)
        return self.kind.open(directory / "into" / STEM, metric, x), built

    def highest(self) -> Effort:
        """The highest effort."""
        return replace(list(self.kind.efforts(N))[-1], oversampling=list(self.kind.oversamplings)[-1])

    def test_round_trips_as_json(self) -> None:
        """A kind is stored as its fields."""
        assert decode_kind(encode_kind(self.kind)) == self.kind

    def test_answers_are_positions_with_their_scores(self, tmp_path: Path) -> None:
        """Positions, not the library's own ids; at the highest effort nearly all are the true ones."""
        for metric in self.metrics:
            place = tmp_path / metric.value
            place.mkdir()
            x = self.data(metric)
            index, _ = self.opened(place, metric, x)
            queries = self.data(metric, 50, seed=5)
            answer = index.search(queries, 10, self.highest())
            rough, found = answer.scores, answer.positions
            _, true = exact.search(queries, x, 10, metric)
            assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]) > 0.9
            for query, row, values in zip(queries, found, rough, strict=True):
                assert np.allclose(values, scores(query, x[row], metric), rtol=1e-3, atol=1e-3)
                assert list(values) == sorted(values, reverse=True)

    def test_only_allowed_positions_come_back(self, tmp_path: Path) -> None:
        """A bitmap is over positions, whatever order the index keeps."""
        x = self.data(Metric.L2)
        index, _ = self.opened(tmp_path, Metric.L2, x)
        allow = np.random.default_rng(3).random(N) < 0.3
        found = index.search(x[:40], 10, self.highest(), Allow(np.packbits(allow, bitorder="little"), 0.3)).positions
        assert allow[found[found >= 0]].all()
        _, true = exact.search(x[:40], x, 10, Metric.L2, allow)
        assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]) > 0.8

    def test_bytes_are_known_before_building(self, tmp_path: Path) -> None:
        """`nbytes` is within 5 % of the files, and `resident` holds what an opened index takes."""
        x = self.data(Metric.L2)
        index, built = self.opened(tmp_path, Metric.L2, x)
        least, most = self.kind.resident(N, DIM, Metric.L2)
        assert 0.9 * least <= index.resident_bytes <= 1.1 * most + 4096
        size = sum(path.stat().st_size for path in (tmp_path / "into").iterdir())
        assert built.suffixes
        assert abs(self.kind.nbytes(N, DIM) - size) <= 0.05 * size + 4096

    def test_recall_was_measured_on_rows_held_out(self, tmp_path: Path) -> None:
        """The curve rises with effort, and its bounds lie under its means."""
        _, built = self.opened(tmp_path, Metric.COSINE, self.data(Metric.COSINE))
        points = [p for p in built.curve.points if p.k == 10 and p.share == 1]
        assert points
        assert all(p.bound <= p.recall <= 1 and p.source == calibrate.HELD_OUT for p in points)
        assert points[-1].bound >= points[0].bound
        assert Curve.from_dict(built.curve.to_dict()) == built.curve

    def test_a_damaged_file_is_refused(self, tmp_path: Path) -> None:
        """A cut file is Corrupt, never a crash."""
        x = self.data(Metric.L2)
        built = self.built(tmp_path, Metric.L2, x)
        for suffix in built.suffixes:
            path = tmp_path / "into" / f"{STEM}{suffix}"
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            try:
                self.kind.open(tmp_path / "into" / STEM, Metric.L2, x)
            except Corrupt:
                path.write_bytes(whole)
                continue
            raise AssertionError(f"a cut {suffix} file was opened")
