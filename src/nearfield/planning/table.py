"""A plan for people: rows of words, aligned text, and what the numbers mean. Knows a finished plan; computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from nearfield.core.config import format_size
from nearfield.planning.gpu import GpuPlan, GpuRecipe
from nearfield.planning.plan import Plan, Recipe
from nearfield.planning.predict import FACTOR, MEMORY_SHARE, SEGMENT_ROWS, K

COLUMNS = (
    "",
    "index",
    "FAISS calls it",
    "vectors",
    "memory",
    "index files",
    "to build",
    "build time",
    "one query",
    "recall@10",
)
UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))
LEGEND = "Marks: * proposed; + does what was asked; - does not, see below."
NOT_MEASURED = "None of it is measured: what is built is, before it is used."
RIGHT = ("vectors", "memory", "index files", "to build", "build time", "one query")

GPU_COLUMNS = ("", "on a card", "FAISS calls it", "vectors", "bytes there", "each", "raw vectors", "needs", "recall@10")
GPU_RIGHT = ("vectors", "bytes there", "each")


def rows(plan: Plan) -> list[tuple[str, ...]]:
    """The cells of each recipe, in the plan's order: "*" the proposal, "+" does what was asked, "-" does not."""
    return [_cells(plan, recipe) for recipe in plan.recipes]


def _cells(plan: Plan, recipe: Recipe) -> tuple[str, ...]:
    mark = "*" if recipe is plan.best else "+" if recipe.feasible else "-"
    return (
        mark,
        recipe.name,
        recipe.factory,
        f"{recipe.n:,}",
        _interval(*recipe.resident),
        format_size(recipe.disk),
        format_size(recipe.building),
        "-" if recipe.kind is None else _about(*recipe.build_seconds),
        _about(*recipe.latency),
        "1" if recipe.recall.low == 1 else f"{recipe.recall.low:.2f} to {recipe.recall.high:g}",
    )


def _interval(least: int, most: int) -> str:
    """Bytes, or from how many to how many."""
    return format_size(most) if least == most else f"{format_size(least)} to {format_size(most)}"


def _about(least: float, most: float) -> str:
    """From how many seconds to how many, in readable units."""
    (low, unit), (high, other) = _unit(least), _unit(most)
    return f"{low} to {high} {unit}" if unit == other else f"{low} {unit} to {high} {other}"


def _unit(seconds: float) -> tuple[str, str]:
    """A number of seconds in the largest unit of which there is one at least."""
    name, size = next(((u, s) for u, s in UNITS if seconds >= s), UNITS[-1])
    value = seconds / size
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}", name


def gpu_rows(plan: GpuPlan) -> list[tuple[str, ...]]:
    """The cells of each recipe for a card, in the plan's order, with the same marks."""
    return [
        (
            "*" if recipe is plan.best else "+" if recipe.feasible else "-",
            recipe.name,
            recipe.factory,
            f"{recipe.n:,}",
            _interval(*recipe.nbytes) if recipe.nbytes[1] else "-",
            f"{recipe.nbytes[1] / recipe.n:,.0f} B" if recipe.n and recipe.nbytes[1] else "-",
            recipe.raw,
            "FAISS with cuVS" if recipe.cuvs else "PyTorch" if recipe.kind is None else "FAISS",
            "1" if recipe.recall.low == 1 else f"{recipe.recall.low:.2f} to {recipe.recall.high:g}",
        )
        for recipe in plan.recipes
    ]


def gpu_notes(plan: GpuPlan) -> list[str]:
    """The proposal for a card, why others will not do, and what the bytes are."""
    out = [f"For a card: {plan.best.name}. {_sentence(plan.reason)}" if plan.best else f"For a card: {plan.reason}."]
    out += [f"- {recipe.name} on a card: {'; '.join(recipe.problems)}" for recipe in plan.recipes if not recipe.feasible]
    out.append(
        "Bytes on a card: of the layouts themselves; to work in, searches need up to "
        f"{format_size(max(recipe.work for recipe in plan.recipes))} once, and the driver keeps some hundred MB. "
        "The least time of an exact query is the bytes it reads over the card's bandwidth."
    )
    return out


def question(plan: Plan) -> str:
    """What was asked, in a line."""
    what = f"{plan.n:,} vectors" if plan.n is not None else "How many vectors fit"
    limits = [
        f"{name} {format_size(size)}"
        for name, size in (
            ("memory", plan.memory),
            ("disk", plan.disk),
            ("a card of", None if plan.gpu is None else plan.gpu.memory),
        )
        if size is not None
    ]
    limits.append(f"recall {plan.recall:g}")
    if plan.latency is not None:
        limits.append(f"one query within {plan.latency * 1e3:.3g} ms")
    return f"{what}, {plan.dim} dimensions, {plan.metric}; {', '.join(limits)}"


def notes(plan: Plan) -> list[str]:
    """The proposal, why others will not do, and where numbers come from."""
    if not plan.recipes and plan.gpu is not None:
        return [*gpu_notes(plan.gpu), _beside(plan), *_recalls(plan.gpu.recipes), NOT_MEASURED]
    out = [f"Proposed: {plan.best.name}. {_sentence(plan.reason)}" if plan.best else f"Nothing proposed: {plan.reason}."]
    if plan.best and (effort := plan.best.effort.to_dict()):
        setting = ", ".join(f"{key}={value}" for key, value in effort.items())
        out.append(f"Its query is timed at {setting}: what recall {plan.recall:g} usually takes, a rule of thumb.")
    out += [f"- {recipe.name}: {'; '.join(recipe.problems)}" for recipe in plan.recipes if not recipe.feasible]
    out += gpu_notes(plan.gpu) if plan.gpu is not None else []
    out.append(_beside(plan))
    out.append(
        f"Bytes: computed from the files' formats; memory of fast-scan codes lies in an interval that the lists' sizes decide. "
        f"An index may take {MEMORY_SHARE:.0%} of memory. Every {SEGMENT_ROWS:,} vectors have an index of their own."
    )
    out.append(
        f"Times: predicted for {K} hits on this machine ({plan.machine.name}), expect a factor of {FACTOR:g} "
        "either way; a query alone, its index in memory."
    )
    on_card = () if plan.gpu is None else plan.gpu.recipes
    return [*out, *_recalls([*plan.recipes, *on_card]), NOT_MEASURED]


def _beside(plan: Plan) -> str:
    """What the raw vectors take."""
    if plan.n is None:
        return f"Raw vectors take {4 * plan.dim:,} bytes each of disk beside every index; documents come on top."
    raw = format_size(4 * plan.n * plan.dim)
    return f"Raw vectors take {raw} of disk beside every index; documents, and room to merge, come on top."


def _recalls(recipes: Sequence[Recipe | GpuRecipe]) -> list[str]:
    """Where the ranges of recall come from."""
    sources: dict[str, list[str]] = {}
    for recipe in recipes:
        family = recipe.name.split("(")[0].split(",")[0]
        if family not in sources.setdefault(recipe.recall.source, []):
            sources[recipe.recall.source].append(family)
    return [f"Recall of {', '.join(names)}: {source}." for source, names in sources.items()]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def text(plan: Plan) -> str:
    """The plan as plain text. Where the number of vectors was given, no column repeats it."""
    keep = [i for i, name in enumerate(COLUMNS) if plan.n is None or name != "vectors"]
    cells = [[row[i] for i in keep] for row in rows(plan)]
    lines = [*aligned([COLUMNS[i] for i in keep], cells, RIGHT), LEGEND, ""] if cells else []
    if plan.gpu is not None:
        keep = [i for i, name in enumerate(GPU_COLUMNS) if plan.n is None or name != "vectors"]
        cells = [[row[i] for i in keep] for row in gpu_rows(plan.gpu)]
        lines += [*aligned([GPU_COLUMNS[i] for i in keep], cells, GPU_RIGHT), LEGEND, ""]
    return "\n".join([question(plan), "", *lines, *notes(plan)])


def aligned(columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> list[str]:
    """Lines of a table, columns apart by two spaces."""
    widths = [max(len(row[i]) for row in (columns, *cells)) for i in range(len(columns))]
    out = []
    for row in (columns, *cells):
        shown = [c.rjust(w) if name in right else c.ljust(w) for c, w, name in zip(row, widths, columns, strict=True)]
        out.append("  ".join(shown).rstrip())
    return out
