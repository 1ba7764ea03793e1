"""nearfield: texts and vectors in, a measured, durable, millisecond search service out.

The only public door. Importing it loads nothing heavy: every name is fetched when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.answering.answer import Answer
    from nearfield.collection import Collection
    from nearfield.core.errors import (
        AlreadyExists,
        Closed,
        Corrupt,
        DeadlineExceeded,
        DimensionMismatch,
        FilterError,
        InvalidInput,
        Locked,
        MissingDependency,
        ModelMismatch,
        NearfieldError,
        NotFound,
        OutOfSpace,
        Overloaded,
        ReadOnly,
    )
    from nearfield.core.fuse import Fusion
    from nearfield.core.keeping import KeepBy
    from nearfield.core.metric import Metric
    from nearfield.core.parts import Part, Passage, Passages, VectorField
    from nearfield.core.ranked import Group, Text
    from nearfield.core.types import Document, Hit, Hits, Written
    from nearfield.database import Database, open
    from nearfield.engine.explain import Explanation
    from nearfield.evaluate.report import Evaluation
    from nearfield.extract.documents import read_documents
    from nearfield.index.base import Effort
    from nearfield.index.cagra import Cagra
    from nearfield.index.flat import Flat
    from nearfield.index.hnsw import Hnsw
    from nearfield.index.ivf import Ivf
    from nearfield.index.ivfpq import IvfPq
    from nearfield.index.rabitq import Rabitq
    from nearfield.index.usearch import Usearch
    from nearfield.maintain.calibrating import Calibration
    from nearfield.picturing import PicturesAdded
    from nearfield.planning.front import Front
    from nearfield.planning.gpu import GpuPlan, GpuRecipe
    from nearfield.planning.plan import Plan, Recipe, plan
    from nearfield.reembedding.report import ReembedReport
    from nearfield.remote import connect
    from nearfield.store.backup import restore

__version__ = "0.1.0"

_ERRORS = [
    "AlreadyExists",
    "Closed",
    "Corrupt",
    "DeadlineExceeded",
    "DimensionMismatch",
    "FilterError",
    "InvalidInput",
    "Locked",
    "MissingDependency",
    "ModelMismatch",
    "NearfieldError",
    "NotFound",
    "OutOfSpace",
    "Overloaded",
    "ReadOnly",
]
_HOMES = {
    **dict.fromkeys(_ERRORS, "core.errors"),
    "Evaluation": "evaluate.report",
    "Answer": "answering.answer",
    "VectorField": "core.parts",
    "Passages": "core.parts",
    "Passage": "core.parts",
    "Part": "core.parts",
    "Cagra": "index.cagra",
    "Calibration": "maintain.calibrating",
    "Collection": "collection",
    "Database": "database",
    "Document": "core.types",
    "Effort": "index.base",
    "Explanation": "engine.explain",
    "Flat": "index.flat",
    "Front": "planning.front",
    "Fusion": "core.fuse",
    "GpuPlan": "planning.gpu",
    "GpuRecipe": "planning.gpu",
    "Group": "core.ranked",
    "Hit": "core.types",
    "Hits": "core.types",
    "Hnsw": "index.hnsw",
    "Ivf": "index.ivf",
    "IvfPq": "index.ivfpq",
    "KeepBy": "core.keeping",
    "Metric": "core.metric",
    "PicturesAdded": "picturing",
    "Plan": "planning.plan",
    "Rabitq": "index.rabitq",
    "Text": "core.ranked",
    "Usearch": "index.usearch",
    "Recipe": "planning.plan",
    "ReembedReport": "reembedding.report",
    "Written": "core.types",
    "connect": "remote",
    "open": "database",
    "plan": "planning.plan",
    "read_documents": "extract.documents",
    "restore": "store.backup",
}

__all__ = [
    "AlreadyExists",
    "Answer",
    "Cagra",
    "Calibration",
    "Closed",
    "Collection",
    "Corrupt",
    "Database",
    "DeadlineExceeded",
    "DimensionMismatch",
    "Document",
    "Effort",
    "Evaluation",
    "Explanation",
    "FilterError",
    "Flat",
    "Front",
    "Fusion",
    "GpuPlan",
    "GpuRecipe",
    "Group",
    "Hit",
    "Hits",
    "Hnsw",
    "InvalidInput",
    "Ivf",
    "IvfPq",
    "KeepBy",
    "Locked",
    "Metric",
    "MissingDependency",
    "ModelMismatch",
    "NearfieldError",
    "NotFound",
    "OutOfSpace",
    "Overloaded",
    "Part",
    "Passage",
    "Passages",
    "PicturesAdded",
    "Plan",
    "Rabitq",
    "ReadOnly",
    "Recipe",
    "ReembedReport",
    "Text",
    "Usearch",
    "VectorField",
    "Written",
    "connect",
    "open",
    "plan",
    "read_documents",
    "restore",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nearfield' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"nearfield.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
