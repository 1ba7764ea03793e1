"""Vectors go from a model to an index on the device that both are on, without the host between them."""

import numpy as np
import pytest

from nearfield.core.metric import Metric
from nearfield.device.scan import Scan
from nearfield.embed.text import TextEmbedder


@pytest.mark.slow
def test_an_embedders_vectors_are_indexed_and_searched_where_they_are() -> None:
    embedder = TextEmbedder.named("minilm", device="cpu")
    texts = ["the moon pulls the sea", "apples grow in small gardens", "a court of law", "tides rise and fall"]
    made = Scan.put(embedder.encode_on_device(texts), Metric.COSINE, "cpu", raw=True)
    values, where = made.nearest(embedder.encode_on_device(["what moves the water on the coast?"], "query"), 2)
    assert set(where[0].tolist()) == {0, 3}
    plain = embedder.encode(texts) @ embedder.encode(["what moves the water on the coast?"], "query")[0]
    np.testing.assert_allclose(values[0].numpy(), np.sort(plain)[::-1][:2], atol=1e-5)
