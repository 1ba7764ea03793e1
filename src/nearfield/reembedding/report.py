"""What `reembed` reports: what was done, how far the two models agree, which is better, how to go back. Knows numbers only."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from nearfield.evaluate.report import Evaluation


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many of the first k hits by the old model are among those by the new one.

    Attributes:
        k: hits compared; fewer where the collection has fewer.
        mean: the share, 0 to 1, over the queries; both models searched exactly.
        low, high: its 95 % interval (percentile bootstrap over the queries).
        queries: how many were asked.
        source: "given queries" or "documents' texts".
    """

    k: int
    mean: float
    low: float
    high: float
    queries: int
    source: str


@dataclass(frozen=True)
class ReembedReport:
    """What was done; also of a way back.

    Attributes:
        collection: its name.
        model, before: names of the new and of the old embedder; None: vectors were brought.
        documents: in the new generation.
        embedded: texts embedded in this run; the others were there from an earlier run, or unchanged.
        removed: documents taken out again that were deleted while it was built.
        rounds: how often it caught up with what was written meanwhile.
        held: seconds for which writes waited at the switch; 0 without one.
        seconds: in all.
        switched: whether the new generation is live.
        overlap: None where it was not measured; `notes` say why.
        evaluation: both models judged by the qrels that were given, or None.
        kept: the directory of the generation that is not live: the old one, or without a switch the new one.
        until: when that is removed, in seconds since 1970.
        notes: what else is to be known, in sentences.
    """

    collection: str
    model: str | None
    before: str | None
    documents: int
    embedded: int
    removed: int
    rounds: int
    held: float
    seconds: float
    switched: bool
    overlap: Overlap | None
    evaluation: Evaluation | None
    kept: str
    until: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("overlap", "evaluation")}
        overlap = None if self.overlap is None else asdict(self.overlap)
        evaluation = None if self.evaluation is None else self.evaluation.to_dict()
        return {**found, "notes": list(self.notes), "overlap": overlap, "evaluation": evaluation}

    def text(self) -> str:
        """Lines for people."""
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.until))
        out = [
            f"{self.collection}: {self.documents:,} documents by {self.model or 'vectors brought'}, "
            f"before by {self.before or 'vectors brought'}; {self.embedded:,} texts embedded, {self.seconds:.1f} s"
        ]
        if self.overlap is not None:
            o = self.overlap
            out.append(
                f"overlap@{o.k}: {o.mean:.3f} [{o.low:.3f}, {o.high:.3f}] of {o.queries:,} {o.source}: the share of the old "
                "model's hits that are among the new one's"
            )
        if self.evaluation is not None:
            out.append(self.evaluation.table())
        if self.switched:
            out.append(f"Switched; writes waited {1000 * self.held:.0f} ms. The one before is kept until {until}: {self.kept}")
        else:
            out.append(f"Not switched. What was built is kept until {until}, and goes on when this is run again: {self.kept}")
        return "\n".join([*out, *self.notes])
