"""Run by test_kernel.py with Triton's interpreter on: the kernels against plain PyTorch, on the processor."""

import itertools

import numpy as np
import torch

from nearfield.core.metric import Metric, prepare
from nearfield.device import blocks, kernel, layout
from nearfield.device.codes import ask, encode
from nearfield.device.scan import Scan
from nearfield.index import exact


def close(name: str, one: torch.Tensor, other: torch.Tensor) -> None:
    assert torch.equal(torch.isinf(one), torch.isinf(other)), name
    both = ~torch.isinf(other)
    torch.testing.assert_close(one[both], other[both], rtol=1e-4, atol=1e-3, msg=name)


def main() -> None:
    assert kernel.usable("cpu")
    rng = np.random.default_rng(0)
    for metric, dtype, dim, batch in itertools.product(Metric, layout.DTYPES, (20, 64), (1, 17)):
        n = 300
        x = prepare(rng.standard_normal((n, dim)).astype(np.float32), metric)[0]
        codes = encode(x, metric, "cpu", dtype)
        asked = ask(prepare(rng.standard_normal((batch, dim)).astype(np.float32), metric)[0], codes)
        bits = torch.from_numpy(np.packbits(rng.random(codes.rows) < 0.4, bitorder="little"))
        for group, some in itertools.product((layout.GROUP, layout.TILE), (None, bits)):
            name = f"{metric} {dtype} {dim} {batch} {group} {some is not None}"
            close(name, kernel.maxima(codes, asked, some, group), blocks.maxima(codes, asked, some, group))
            groups = torch.from_numpy(rng.integers(0, codes.rows // group, (batch, 3)))
            close(name, kernel.rows_of(codes, asked, some, groups, group), blocks.rows_of(codes, asked, some, groups, group))
    x = prepare(rng.standard_normal((900, 48)).astype(np.float32), Metric.L2)[0]
    allow = rng.random(900) < 0.5
    for dtype in layout.DTYPES:
        scan = Scan(encode(x, Metric.L2, "cpu", dtype), x, passes=kernel)
        found = scan.search(x[:3], 10, np.packbits(allow, bitorder="little"))
        wanted = exact.search(x[:3], x, 10, Metric.L2, allow)
        np.testing.assert_array_equal(found[1], wanted[1])
        np.testing.assert_array_equal(found[0], wanted[0])
    print("the kernels agree")


if __name__ == "__main__":
    main()
