"""docs/PLANNING.md: every number in it is computed here. `python -m tests.planning.test_page` writes it anew."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import nearfield as nf
from nearfield.core.config import format_size
from nearfield.core.metric import Metric
from nearfield.device import layout
from nearfield.index import coarse
from nearfield.index.base import Kind
from nearfield.index.gpu import limits, sizes
from nearfield.planning import predict
from nearfield.planning.candidates import candidates, effort_for, factory, spelled
from nearfield.planning.choose import EXACT_ROWS
from nearfield.planning.gpu import nbytes, on_a_card
from nearfield.planning.machine import Machine
from nearfield.planning.predict import Budget
from tests.planning.test_sizes import FILES, FILES_IN_BLOCKS, MEMORY

PAGE = Path(__file__).parent.parent.parent / "docs" / "PLANNING.md"
MILLION = 1_000_000
DIMS = (128, 384, 768, 1536)
CARD_MEMORY = 24 * 10**9
EXAMPLE = """```python
import nearfield as nf

plan = nf.plan(50_000_000, 768, memory="64GB", recall=0.95)
print(plan.table())  # every recipe: bytes, times, recall, and what does not fit by how much
print(plan.best.name, "-", plan.reason)  # plan.best.kind is for db.create(index=...)
most = nf.plan(dim=768, memory="64GB")  # how many vectors fit
print(f"{most.best.n:,}")
```
"""


def lines(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    out = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in out)


def names() -> str:
    kinds: list[tuple[str, str, str]] = [
        ("`IndexFlatL2`, `IndexFlatIP`", "`nf.Flat()`", "nothing"),
        ("`GpuIndexCagra`, `IndexHNSWCagra`", "`nf.Cagra()`", "graph_degree, intermediate_graph_degree: the same"),
        ("`IndexHNSWFlat`, `IndexHNSWSQ`", "`nf.Hnsw()`", "M = `links`, efConstruction = `build_effort`"),
        ("`IndexIVFFlat`, `IndexIVFScalarQuantizer`", "`nf.Ivf()`", "nlist = `lists`"),
        ("`IndexIVFPQ`, `IndexIVFPQFastScan`", "`nf.IvfPq()`", "nlist = `lists`, M = `subvectors`, nbits = `bits`"),
        ("`IndexIVFRaBitQFastScan`", "`nf.Rabitq()`", "nlist = `lists`, nb_bits = `bits`"),
    ]
    return lines(("FAISS", "here", "parameters"), kinds)


def list_rules() -> str:
    rows = []
    for n in (10**5, 10**6, 10**7):
        lists = coarse.count(0, n)
        probes = [effort_for(nf.Ivf(), recall, n).nprobe for recall in (0.9, 0.95, 0.99)]
        low, high = round(math.sqrt(n)), round(4 * math.sqrt(n))
        rows.append(
            (
                f"{n:,}",
                f"{low:,} to {high:,}",
                f"{lists:,}",
                f"{coarse.training_rows(lists):,}",
                f"{max(1, lists // 100):,} to {lists // 20:,}",
                ", ".join(f"{p:,} ({p / lists:.1%})" for p in probes),
            )
        )
    columns = (
        "n",
        "the rule: nlist sqrt(n) to 4 sqrt(n)",
        "nlist here",
        "training vectors here",
        "the rule: nprobe 1 to 5 % of nlist",
        "nprobe here for recall 0.90, 0.95, 0.99",
    )
    return lines(columns, rows)


def graph_rules() -> str:
    efforts = nf.Hnsw().efforts(MILLION)
    rows = []
    for n in (10**5, 10**6, 10**7):
        found = [effort_for(nf.Hnsw(), recall, n).efSearch for recall in (0.9, 0.95, 0.99, 0.998)]
        rows.append((f"{n:,}", "32 to 512", ", ".join(map(str, found))))
    table = lines(("n", "the rule: efSearch", "efSearch here for recall 0.90, 0.95, 0.99, 0.998"), rows)
    return (
        f"{table}\n\nA build measures efSearch from {efforts[0].efSearch} to {efforts[-1].efSearch:,} and keeps what is best."
    )


def parts() -> str:
    rows = []
    for dim in (*DIMS, 300, 1021):
        four, eight = nf.IvfPq().parts(dim), nf.IvfPq(bits=8).parts(dim)
        said = "too few: such vectors get Rabitq instead" if 8 * eight < dim else "divides"
        rows.append((dim, four, eight, said))
    return lines(("dim", "M here, 4 bits", "M here, 8 bits", "M must divide dim"), rows)


def each(kind: Kind | None, dim: int) -> str:
    """Bytes of files for each of a million vectors."""
    return f"{predict.sizes(kind, MILLION, dim, Metric.COSINE).disk / MILLION:,.0f}"


RULES = {
    "flat": "4 d",
    "hnsw": "(4, 2 or 1) d + 8 M (FAISS's wiki; levels and offsets add about 16)",
    "ivf": "(4, 2 or 1) d + 8",
    "ivfpq": "M bits / 8 + 8",
    "rabitq": "d bits / 8 + 8 for one bit, + 20 for more, + 8",
}


def bytes_table() -> str:
    known: dict[str, list[Kind]] = {}
    for dim in DIMS:
        for candidate in candidates(dim):
            if candidate.kind is not None and "subvectors" not in spelled(candidate.kind):
                known.setdefault(spelled(candidate.kind), []).append(candidate.kind)
    rows = []
    for name, kinds in known.items():
        rows.append((f"`nf.{name}`", RULES[kinds[0].name], *(each(kinds[0], dim) for dim in DIMS)))
    return lines(("kind", "the field's rule, bytes a vector", *(f"d = {dim}" for dim in DIMS)), rows)


def fitting() -> str:
    budget, rows = Budget(memory=64 * 10**9), []
    for candidate in candidates(768):
        n = predict.largest(candidate.kind, 768, Metric.COSINE, budget)
        found = predict.sizes(candidate.kind, n, 768, Metric.COSINE)
        least, most = map(format_size, found.resident)
        rows.append(
            (
                f"`{spelled(candidate.kind)}`",
                factory(candidate.kind, min(n, predict.SEGMENT_ROWS), 768),
                f"{n:,}",
                most if least == most else f"{least} to {most}",
                format_size(found.building),
                format_size(found.disk),
                format_size(found.raw),
            )
        )
    rows.sort(key=lambda row: int(row[2].replace(",", "")))
    return lines(("index", "FAISS calls it", "vectors at most", "memory", "to build", "index files", "raw vectors"), rows)


def on_cards() -> str:
    rows = []
    for dim in (768, 128):
        for recipe in on_a_card(None, dim, Metric.COSINE, CARD_MEMORY, 0.9).recipes:
            million = nbytes(recipe.kind, "int8" if "int8" in recipe.name else "float16", MILLION, dim, Metric.COSINE)[1]
            rows.append(
                (
                    dim,
                    f"`{recipe.name}`" if recipe.kind else recipe.name,
                    recipe.factory,
                    f"{recipe.n:,}",
                    format_size(million),
                    recipe.raw,
                    "FAISS with cuVS" if recipe.cuvs else "FAISS" if recipe.kind else "PyTorch",
                )
            )
    columns = ("dim", "on the card", "FAISS calls it", "vectors at most", "a million take", "raw vectors", "needs")
    return lines(columns, rows)


def on_a_card_wrong() -> str:
    kind = nf.IvfPq(subvectors=96, bits=8)
    most = nbytes(kind, "float16", MILLION, 768, Metric.COSINE)[1]
    lists = coarse.count(0, MILLION)
    return (
        f"*IVF-PQ takes 3 GB of a card for a million vectors of 768 dimensions.* That is the raw vectors: 4 x 768 x 1,000,000 "
        f"= {format_size(4 * 768 * MILLION)}. IVF-PQ does not keep them. It keeps a code of M bytes and an id of 4 for each "
        f"vector (FAISS by default 8), and once {lists:,} centroids of 4 x 768 bytes and the codebooks: with M = 96, the most "
        f"that FAISS's own kernels know, {format_size(most)} at most, {4 * 768 * MILLION / most:.0f} times less. The raw "
        f"vectors stay in their file on the host, where the candidates are scored again."
    )


def wrong() -> str:
    dim, m = 768, 12
    raw, code = 4 * dim, m * 8 // 8
    kind = nf.IvfPq(subvectors=m, bits=8)
    files = predict.sizes(kind, MILLION, dim, Metric.COSINE).disk
    return (
        f"- *IVF-PQ keeps 4 x dim bytes for each vector.* It does not: it keeps the code, M x bits / 8 bytes, and an id of 8. "
        f"At {dim} dimensions, M = {m} and 8 bits that is {code} + 8 bytes, not {raw:,}. A million such vectors take "
        f"{format_size(files)} of files here, lists' centroids and order included. (nearfield keeps the raw vectors too, "
        f"{format_size(raw * MILLION)}, in a file of its own, to score candidates again.)\n"
        f"- *{dim} dimensions at M = {m} and 8 bits are 80 times smaller than float32.* The code is {raw // code} times "
        f"smaller: {raw:,} / {code}; with the id {raw / (code + 8):.0f} times. Such short codes rank roughly; `nf.IvfPq()` "
        f"takes M = {nf.IvfPq().parts(dim)} of 4 bits, {raw // (nf.IvfPq().parts(dim) // 2)} times smaller."
    )


def page() -> str:
    """The whole page."""
    work, building = format_size(sizes.TEMPORARY), format_size(sizes.temporary(CARD_MEMORY))
    ten_million = on_a_card(10_000_000, 768, Metric.COSINE, CARD_MEMORY, 0.9).recipes[0].reads or 0
    sources = "\n".join(f"  - {source}" for source in dict.fromkeys(c.expected.source for c in candidates(768)))
    return f"""# Planning an index

`nf.plan` and `nearfield plan` say before anything is built which index suits so many vectors, or how many vectors fit. It is
arithmetic; what is built is measured afterwards (recall on held-out rows, see `stats`). This page is generated: `python -m
tests.planning.test_page` writes it, and a test holds every number to the code.

{EXAMPLE}
`nearfield plan --n 50000000 --dim 768 --memory 64GB`, or without `--n`: how many fit. Exit code 1: nothing will do.

## What it says, and how far to trust it

- **Bytes** come from the formulas of the kinds. Tests hold them to what is really built: files within {FILES:.0%} (4-bit
  codes and RaBitQ in short lists within {FILES_IN_BLOCKS:.0%}), memory within {MEMORY:.0%} or inside the interval that is
  shown. Fast-scan codes have an interval because lists' sizes decide how full their blocks and tables are.
- **Memory**: an index may take {predict.MEMORY_SHARE:.0%} of what you give, building it all of it. The raw vectors stay in
  their file, memory-mapped: kinds that store less than float32 read candidates there, from disk if memory does not hold them,
  and the reason says how many.
- **Segments**: every {predict.SEGMENT_ROWS:,} vectors have an index of their own; one query searches all of them.
- **Times** are what a search or a build touches over rates of your machine, timed in about two seconds and kept in the user's
  cache directory (`refresh=True`, `--refresh` times again). Expect a factor of {predict.FACTOR:g} either way. `latency=` rules
  out what is predicted to be slower.
- **Recall** is a range with its source, never a measurement on your vectors:

{sources}

- **The proposal** is the first that fits in an order measured elsewhere: a graph of one-byte vectors, 4-bit codes, RaBitQ of
  fewer bits; under `ip` lists come first. Up to {EXACT_ROWS:,} vectors are scanned. `index="auto"` chooses by
  the same function.
- **gpu_memory** says for each recipe for cards what it takes there: below.

## How many vectors fit into 64 GB

768 dimensions, cosine, by the rules above:

{fitting()}

## How many vectors fit on a card of 24 GB

`nf.plan(dim=768, gpu_memory="24GB").gpu` (an `nf.GpuPlan` of `nf.GpuRecipe`), or with `n` which of them fit. Cosine; the most
that fit beside what searches need to work in: up to {format_size(layout.WORKSPACE)} for the exact scans, {work} for FAISS
({building} while it builds there). The driver's own memory, some hundred MB, is not in it: give what is free. Bytes are
those of the layouts: tests hold the exact scans to their tensors and FAISS's indexes to its sources; where the lists' sizes
are not known, to the worst way to fill them.

{on_cards()}

- {on_a_card_wrong()}
- FAISS's own kernels know M = {", ".join(map(str, limits.NATIVE_PARTS))}, of 8 bits; more than 48 with tables in half
  precision. Other M, as `nf.IvfPq(bits=8)` takes at 768 dimensions, need FAISS with cuVS. k and nprobe go to
  {limits.NATIVE_SELECT:,} ({limits.CUVS_SELECT:,} with cuVS); beyond, the processor answers.
- Lists are rounded up to {sizes.GROUP} vectors (not product codes), every allocation to {sizes.ALIGN} bytes. Tables
  that are computed beforehand (nlist x M x 256 numbers) are not used.
- The least time of an exact query is the bytes of its vectors over the card's bandwidth (`reads` of a recipe): of 10,000,000
  x 768 in float16 {format_size(ten_million)}, so {ten_million / 3e12 * 1e3:.1f} ms at 3 TB/s.
- `pip install 'nearfield[gpu]'` is FAISS for cards without cuVS. For `nf.Cagra()` and other M:
  `pip uninstall -y faiss-cpu faiss-gpu`, then `pip install faiss-gpu-cuvs`. Only one FAISS can be installed: they overwrite
  each other.

## Names

{names()}

At query time nprobe and efSearch are `nf.Effort(nprobe=, efSearch=)`; normally `recall=` chooses them by measured curves.

## Rules of thumb, and what the formulas here give

Lists:

{list_rules()}

Graphs:

{graph_rules()}

Product quantisation:

{parts()}

Bytes of index files for each of a million vectors; the order of positions (4 bytes), centroids and padding included:

{bytes_table()}

## Two figures that circulate and are wrong

{wrong()}
"""


def test_the_page_is_of_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.planning.test_page"


def test_the_python_on_it_runs(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", EXAMPLE, re.M | re.S)
    exec(compile(block, "PLANNING.md", "exec"), {})
    assert "IvfPq(bits=4) - " in capsys.readouterr().out


def test_the_right_figures() -> None:
    assert "256 times smaller" in wrong()
    assert "12 + 8 bytes, not 3,072" in wrong()
    assert "= 3.1 GB" in on_a_card_wrong()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
