"""The Triton kernels compute what plain PyTorch does: Triton's interpreter runs them without a card."""

import os
import subprocess
import sys

import pytest

from nearfield.device import kernel, layout

triton = pytest.importorskip("triton", reason="Triton is made for Linux alone")


def test_the_kernels_agree_with_plain_pytorch() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.device.interpreted"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the kernels agree" in done.stdout


def test_kernels_are_for_cards_alone() -> None:
    assert not kernel.usable("cpu")


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", layout.DTYPES)
@pytest.mark.parametrize("batch", [1, 64, 1024])
def test_the_kernels_compile_for_cards(capability: int, dtype: str, batch: int) -> None:
    """Ahead of time, for cards that are not here: within their shared memory, without spilling registers to memory."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from nearfield.device import _kernels

    wide, step, warps, stages = kernel._shape(batch)
    flags = {"SCALED": dtype == "int8", "BIASED": True, "MASKED": True, "GROUP": layout.GROUP, "STEP": step}
    for made, more in (
        (_kernels.maxima, {"WIDE": wide, "TILE": layout.TILE, "WHOLE": True}),
        (_kernels.rows_of, {"ROWS": layout.TILE}),
    ):
        fixed = {"DIMS": 384, **flags, **more}
        types = {"codes": "*fp16" if dtype == "float16" else "*i8", "bits": "*u8", "q": "*fp16", "groups": "*i64"}
        types |= dict.fromkeys(("n", "batch", "several", "wanted"), "i32")
        signature = {a: "constexpr" if a in fixed else types.get(a, "*fp32") for a in made.arg_names}
        aligned = {(i,): [["tt.divisibility", 16]] for i, a in enumerate(made.arg_names) if signature[a].startswith("*")}
        source = ASTSource(made, signature, {(made.arg_names.index(a),): v for a, v in fixed.items()}, aligned)
        options = {"num_warps": warps, "num_stages": stages, "enable_fp_fusion": True}
        done = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        assert done.metadata.shared <= 160 << 10
        assert ".local" not in done.asm["ptx"]
        if made is _kernels.maxima:
            assert ("mma.sync" in done.asm["ptx"]) or ("wgmma" in done.asm["ptx"]), "the matrix units are not used"
