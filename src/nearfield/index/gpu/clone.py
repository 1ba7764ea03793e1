"""Copies a finished index of FAISS's from the processor to a card, with options chosen before: see limits.py.

Knows FAISS's two kinds of index; runs on the thread that owns the card.
"""

from __future__ import annotations

from typing import Any

from nearfield.index import _faiss
from nearfield.index.base import Kind
from nearfield.index.gpu.limits import Options
from nearfield.index.gpu.owner import Held


def clone(held: Held, index: Any, kind: Kind, options: Options) -> Any:
    """The index on the card, without what comes before it: a transform is applied by the host.

    Args:
        held: what the thread holds.
        index: a trained index of FAISS's; it is read, not changed, and must outlive the clone of a graph.
        kind: which.
        options: how it is kept there. Nothing is reserved for later: FAISS allots a finished index's lists exactly, and heeds
            `reserveVecs` for an empty one alone.
    """
    faiss = _faiss.faiss
    _, inner = _faiss.untransformed(index)
    copied = faiss.GpuClonerOptions()
    copied.use_cuvs, copied.useFloat16 = options.use_cuvs, options.useFloat16
    copied.indicesOptions = faiss.INDICES_32_BIT if options.id_bytes == 4 else faiss.INDICES_64_BIT
    source = flattened(inner) if options.flat_centroids else inner
    return faiss.index_cpu_to_gpu(held.resources, held.device, source, copied)


def flattened(index: Any) -> Any:
    """The same lists behind centroids that are all compared: they are shared with `index`, which must outlive this.

    A graph of centroids is searched nearly exactly, so the lists read are the same ones, or nearer.
    """
    faiss = _faiss.faiss
    lists, dim, compared = int(index.nlist), int(index.d), index.metric_type
    nearest = faiss.downcast_index(index.quantizer)
    flat = faiss.IndexFlat(dim, compared)
    flat.add(nearest.reconstruct_n(0, lists))
    if isinstance(index, faiss.IndexIVFPQ):
        out = faiss.IndexIVFPQ(flat, dim, lists, index.pq.M, index.pq.nbits, compared)
        out.pq, out.by_residual, out.use_precomputed_table = index.pq, index.by_residual, 0
    elif isinstance(index, faiss.IndexIVFScalarQuantizer):
        out = faiss.IndexIVFScalarQuantizer(flat, dim, lists, index.sq.qtype, compared, index.by_residual)
        out.sq = index.sq
    else:
        out = faiss.IndexIVFFlat(flat, dim, lists, compared)
    out.own_fields = True
    flat.this.disown()
    out.replace_invlists(index.invlists, False)
    out.ntotal, out.is_trained = index.ntotal, True
    return out
