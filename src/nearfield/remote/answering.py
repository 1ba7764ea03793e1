"""A server's answer to a question, as the library's own type. Knows its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nearfield.answering.answer import Answer
from nearfield.answering.citations import Citation
from nearfield.answering.prompt import Quote


def answer(told: Mapping[str, Any]) -> Answer:
    """The answer that POST .../ask tells."""
    return Answer(
        told["question"],
        tuple(msgspec.convert(one, Quote) for one in told["passages"]),
        told["answer"],
        tuple(msgspec.convert(one, Citation) for one in told["citations"]),
        told["model"],
        told["finish"],
    )
