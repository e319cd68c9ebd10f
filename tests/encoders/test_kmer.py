from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scllmda import encoders
from scllmda.encoders import KmerEncoder, _kmer

dna = st.text(alphabet="ACGTNacgtn-U\n é🧬", max_size=60)
COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def reverse_complement(sequence: str) -> str:
    return sequence.translate(COMPLEMENT)[::-1]


def one_by_one(encoder: KmerEncoder, sequence: str) -> list[float]:
    """Compute the vector as its definition reads."""
    folded = sequence.upper()
    windows = [folded[i : i + encoder.k] for i in range(len(folded) - encoder.k + 1)]
    counts = Counter(min(w, reverse_complement(w)) for w in windows if set(w) <= set("ACGT"))
    total = max(counts.total(), 1)
    known = [base for base in folded if base in "ACGT"]
    gc = sum(base in "GC" for base in known) / max(len(known), 1)
    return [*(math.sqrt(counts[w] / total) for w in encoder.feature_names[:-2]), gc, math.log1p(len(sequence))]


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@settings(max_examples=40, deadline=None)
@given(sequences=st.lists(dna, max_size=5))
def test_equals_definition(k: int, sequences: list[str]) -> None:
    encoder = KmerEncoder(k)
    vectors = encoder.encode(sequences)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(sequences), encoder.n_dims)
    expected = np.array([one_by_one(encoder, s) for s in sequences]).reshape(vectors.shape)
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(sequence=dna)
def test_strands_give_identical_vectors(sequence: str) -> None:
    forward, reverse = KmerEncoder(4).encode([sequence, reverse_complement(sequence)])
    np.testing.assert_array_equal(forward, reverse)


@pytest.mark.parametrize("budget", [1, 700, 5000])
def test_same_vectors_for_any_chunks(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, budget: int) -> None:
    sequences = ["".join(rng.choice(list("ACGTN"), n)) for n in rng.integers(0, 300, 60)]
    encoder = KmerEncoder(4)
    whole = encoder.encode(sequences)
    monkeypatch.setattr(_kmer, "_CHUNK_CELLS", budget)
    np.testing.assert_array_equal(encoder.encode(sequences), whole)
    np.testing.assert_array_equal(np.vstack([encoder.encode([s]) for s in sequences]), whole)


def test_windows_do_not_cross_sequences_or_unknown_bases() -> None:
    encoder = KmerEncoder(2)
    apart = encoder.encode(["A", "C", "ANC", "ACN"])
    ac = encoder.feature_names.index("AC")
    np.testing.assert_array_equal(apart[:, ac], [0, 0, 0, 1])
    np.testing.assert_array_equal(apart[:3, :-2], 0)


@pytest.mark.parametrize("sequence", ["", "A", "NNNNNNNNNN", "ACGTNCGTAN"])
def test_no_window_gives_zeros(sequence: str) -> None:
    vector = KmerEncoder().encode([sequence])[0]
    assert not vector[:-2].any()
    assert vector[-1] == pytest.approx(math.log1p(len(sequence)))


def test_default_has_512_kmers_of_unit_norm(rng: np.random.Generator) -> None:
    encoder = encoders.get("kmer")
    assert isinstance(encoder, encoders.PeakEncoder)
    assert encoder.n_dims == 514
    vectors = encoder.encode(["".join(rng.choice(list("ACGT"), 500)) for _ in range(5)])
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :-2], axis=1), 1, rtol=1e-6)


def test_revision_tells_k_apart() -> None:
    assert KmerEncoder(4).revision != KmerEncoder(5).revision


@pytest.mark.parametrize("k", [0, 9])
def test_k_out_of_range(k: int) -> None:
    with pytest.raises(ValueError, match=rf"k={k} found, expected 1 to 8"):
        KmerEncoder(k)
