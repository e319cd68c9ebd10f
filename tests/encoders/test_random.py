from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scllmda import encoders
from scllmda.encoders import RandomEncoder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_same_sequence_same_vector_in_any_order_batch_or_case() -> None:
    sequences = ["ACGT", "TTTT", "", "ACGTN", "acgt"]
    encoder = RandomEncoder()
    vectors = encoder.encode(sequences)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 768)
    np.testing.assert_array_equal(encoder.encode(sequences[::-1]), vectors[::-1])
    np.testing.assert_array_equal(np.vstack([encoder.encode([s]) for s in sequences]), vectors)
    np.testing.assert_array_equal(vectors[0], vectors[4])
    assert len(np.unique(vectors[:4], axis=0)) == 4


def test_standard_normal_and_unrelated(rng: np.random.Generator) -> None:
    vectors = RandomEncoder().encode(["".join(rng.choice(list("ACGT"), 50)) for _ in range(200)])
    assert abs(vectors.mean()) < 0.02
    assert abs(vectors.std() - 1) < 0.02
    correlation = np.corrcoef(vectors)[np.triu_indices(200, 1)]
    assert np.abs(correlation).max() < 6 / np.sqrt(768)


def test_vectors_stay_those_of_the_revision() -> None:
    encoder = RandomEncoder(n_dims=3)
    assert encoder.revision == "1-d3"
    np.testing.assert_allclose(encoder.encode(["ACGT"]), [[0.6619987, -0.920911, 0.2554199]], rtol=1e-5)


def test_empty_list() -> None:
    assert RandomEncoder().encode([]).shape == (0, 768)


def test_is_registered() -> None:
    encoder = encoders.get("random")
    assert isinstance(encoder, encoders.PeakEncoder)
    assert encoder.n_dims == 768


@pytest.mark.parametrize("n_dims", [0, -1, 10**12, 2.0, 2.5, float("nan"), float("inf"), "768", None, True, [3]])
def test_n_dims_out_of_range(n_dims: Any) -> None:
    with pytest.raises(ValueError, match=r"^n_dims=.* found, expected a whole number from 1 to 1,048,576"):
        RandomEncoder(n_dims=n_dims)
