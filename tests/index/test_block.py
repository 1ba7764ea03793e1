"""A block of coded rows answers exactly or not at all; the codec keeps whole numbers as they are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.core.metric import Metric, prepare, scores
from nearfield.index.block import Block
from nearfield.index.codec import Codec


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(1, 400), st.integers(1, 20), st.sampled_from([Metric.COSINE, Metric.L2]), st.booleans()
)
def test_a_block_is_exact_or_says_that_it_cannot_decide(seed: int, count: int, k: int, metric: Metric, outlier: bool) -> None:
    rng = np.random.default_rng(seed)
    raw = (rng.standard_normal((600, 12)) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)
    raw[5] *= 1000 if outlier else 1
    x, query = prepare(raw, metric)[0], prepare(raw[:1] * np.float32(1.01) + raw[1:2] * np.float32(0.1), metric)[0][0]
    positions = np.sort(rng.choice(600, count, replace=False))
    found = Block(x, positions, metric).search(query, k)
    if found is None:
        return
    final = scores(query, x[positions], metric)
    order = np.lexsort((positions, -final))[:k]
    assert found[0].tolist() == final[order].tolist()
    assert found[1].tolist() == positions[order].tolist()


def test_whole_numbers_are_coded_without_loss(rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (100, 16)).astype(np.float32)
    codec = Codec.fit(x)
    assert np.array_equal(codec.encode(x), x)
    assert np.array_equal(codec.decode(codec.encode(x)), x)


def test_codes_are_near_what_they_stand_for(rng: np.random.Generator) -> None:
    x = (rng.standard_normal((5000, 16)) + np.arange(16)).astype(np.float32)
    codec = Codec.fit(x, kept=1.0)
    assert np.abs(codec.decode(codec.encode(x)) - x).max() <= 0.5001 / codec.scale
