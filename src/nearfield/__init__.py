"""nearfield: texts and vectors in, a measured, durable, millisecond search service out.

The only public door. Importing it loads nothing heavy: every name is fetched when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from nearfield.core.metric import Metric
    from nearfield.core.types import Document, Hit, Hits, Written
    from nearfield.database import Database, open
    from nearfield.engine.explain import Explanation
    from nearfield.index.base import Effort
    from nearfield.index.cagra import Cagra
    from nearfield.index.flat import Flat
    from nearfield.index.hnsw import Hnsw
    from nearfield.index.ivf import Ivf
    from nearfield.index.ivfpq import IvfPq
    from nearfield.index.rabitq import Rabitq
    from nearfield.index.usearch import Usearch
    from nearfield.maintain.calibrating import Calibration
    from nearfield.planning.front import Front
    from nearfield.planning.gpu import GpuPlan, GpuRecipe
    from nearfield.planning.plan import Plan, Recipe, plan
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
    "Cagra": "index.cagra",
    "Calibration": "maintain.calibrating",
    "Collection": "collection",
    "Database": "database",
    "Document": "core.types",
    "Effort": "index.base",
    "Explanation": "engine.explain",
    "Flat": "index.flat",
    "Front": "planning.front",
    "GpuPlan": "planning.gpu",
    "GpuRecipe": "planning.gpu",
    "Hit": "core.types",
    "Hits": "core.types",
    "Hnsw": "index.hnsw",
    "Ivf": "index.ivf",
    "IvfPq": "index.ivfpq",
    "Metric": "core.metric",
    "Plan": "planning.plan",
    "Rabitq": "index.rabitq",
    "Usearch": "index.usearch",
    "Recipe": "planning.plan",
    "Written": "core.types",
    "connect": "remote",
    "open": "database",
    "plan": "planning.plan",
    "restore": "store.backup",
}

__all__ = [
    "AlreadyExists",
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
    "Explanation",
    "FilterError",
    "Flat",
    "Front",
    "GpuPlan",
    "GpuRecipe",
    "Hit",
    "Hits",
    "Hnsw",
    "InvalidInput",
    "Ivf",
    "IvfPq",
    "Locked",
    "Metric",
    "MissingDependency",
    "ModelMismatch",
    "NearfieldError",
    "NotFound",
    "OutOfSpace",
    "Overloaded",
    "Plan",
    "Rabitq",
    "ReadOnly",
    "Recipe",
    "Usearch",
    "Written",
    "connect",
    "open",
    "plan",
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
