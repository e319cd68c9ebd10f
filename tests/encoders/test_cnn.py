from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scllmda import encoders
from scllmda.encoders import CnnEncoder
from scllmda.encoders._cnn import _strands, _targets

COMPLEMENT = str.maketrans("ACGTacgtN", "TGCAtgcaN")


def reverse_complement(sequence: str) -> str:
    return sequence.translate(COMPLEMENT)[::-1]


@pytest.fixture(scope="module")
def data() -> tuple[list[str], sp.csr_matrix]:
    """Two kinds of cells; one of them opens the peaks with GATAAG."""
    rng = np.random.default_rng(0)
    bases = rng.choice(list("ACGT"), (900, 80))
    has_motif = np.arange(900) % 3 == 0
    for row in np.flatnonzero(has_motif):
        for at in rng.choice(10, 4, replace=False) * 8:
            bases[row, at : at + 6] = list("GATAAG" if rng.random() < 0.5 else "CTTATC")
    kind = np.arange(120) % 2
    openness = np.where(kind[:, None] & has_motif, 0.6, 0.15)
    X = sp.csr_matrix(rng.random((120, 900)) < openness, dtype=np.float32)
    return ["".join(row) for row in bases], X


@pytest.fixture(scope="module")
def fitted(data: tuple[list[str], sp.csr_matrix]) -> CnnEncoder:
    return CnnEncoder(n_dims=8, width=64, n_epochs=12).fit(*data)


def test_protocol(fitted: CnnEncoder) -> None:
    assert isinstance(CnnEncoder(), encoders.PeakEncoder)
    assert isinstance(CnnEncoder(), encoders.FittableEncoder)
    assert encoders.needs_fit(CnnEncoder())
    assert not encoders.needs_fit(fitted)
    assert not encoders.needs_fit(encoders.get("kmer"))
    assert encoders.get("cnn", device="cpu").name == "cnn"


def test_vectors_foretell_the_loadings_of_the_peaks(fitted: CnnEncoder, data: tuple[list[str], sp.csr_matrix]) -> None:
    vectors = fitted.encode(data[0])
    assert vectors.shape == (900, 8)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    has_motif = np.arange(900) % 3 == 0
    assert abs(np.corrcoef(vectors[:, 1], has_motif)[0, 1]) > 0.6


def test_peaks_it_was_trained_on_are_no_better_known_than_new_ones(
    data: tuple[list[str], sp.csr_matrix],
) -> None:
    sequences, X = data
    shuffled = X[:, np.random.default_rng(1).permutation(900)]
    encoder = CnnEncoder(n_dims=8, width=64, n_epochs=12).fit(sequences, shuffled)
    targets = _targets(shuffled, 7, np.random.default_rng(0))[0]
    assert abs(np.corrcoef(encoder.encode(sequences)[:, 1], targets[:, 1])[0, 1]) < 0.15


def test_either_strand_and_case_give_the_same_vector(fitted: CnnEncoder) -> None:
    rng = np.random.default_rng(2)
    sequences = ["".join(rng.choice(list("ACGTN"), n)) for n in (1, 5, 40, 63, 64, 65, 80, 201, 400)]
    vectors = fitted.encode(sequences)
    np.testing.assert_array_equal(fitted.encode([reverse_complement(s) for s in sequences]), vectors)
    np.testing.assert_array_equal(fitted.encode([s.lower() for s in sequences]), vectors)
    assert len(np.unique(vectors.round(4), axis=0)) > 5


def test_a_vector_depends_on_its_sequence_alone(fitted: CnnEncoder, data: tuple[list[str], sp.csr_matrix]) -> None:
    vectors = fitted.encode(data[0][:50])
    alone = np.concatenate([fitted.encode([s]) for s in data[0][:50]])
    np.testing.assert_allclose(alone, vectors, atol=1e-5)
    assert fitted.encode([]).shape == (0, 8)
    assert np.isfinite(fitted.encode(["", "N", "ACGT-é"])).all()


def test_strands() -> None:
    forward, reverse = _strands(["ACGTT", "acnt", "GATTACA", ""], 5)
    assert forward.tolist() == [[0, 1, 2, 3, 3], [4, 0, 1, 4, 3], [0, 3, 3, 0, 1], [4] * 5]
    assert reverse.tolist() == [[0, 0, 1, 2, 3], [4, 0, 4, 2, 3], [2, 3, 0, 0, 3], [4] * 5]


def test_targets_are_the_loadings_and_the_base_rate(data: tuple[list[str], sp.csr_matrix]) -> None:
    X = data[1]
    targets, counts, importance = _targets(X, 7, np.random.default_rng(0))
    np.testing.assert_allclose(counts, np.asarray(X.sum(axis=0)).ravel(), rtol=1e-4)
    np.testing.assert_allclose(counts @ targets / counts.sum(), 0, atol=1e-5)
    spread = counts @ targets**2 / counts.sum()
    np.testing.assert_allclose(spread[:3], 1, atol=2e-2)
    # Dimensions that the counts do not support are nothing, and of no importance.
    supported = spread > 0.5
    np.testing.assert_allclose(spread, supported, atol=2e-2)
    np.testing.assert_allclose(importance[~supported], 0, atol=1e-3)
    assert np.corrcoef(targets[:, 0], np.log(counts))[0, 1] == pytest.approx(1)
    assert importance.sum() == pytest.approx(1)
    assert importance[0] == pytest.approx(0.5)
    assert importance[1] == importance[1:].max() > 0.45
    assert (importance[5:] == 0).all()


def test_deterministic(data: tuple[list[str], sp.csr_matrix]) -> None:
    before = torch.random.get_rng_state()
    one, again = (CnnEncoder(n_dims=8, width=64, n_epochs=2).fit(*data) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(again.encode(data[0]), one.encode(data[0]))
    assert again.revision == one.revision != "unfitted"
    assert again.history == one.history
    other = CnnEncoder(n_dims=8, width=64, n_epochs=2, rng=1).fit(*data)
    assert other.revision != one.revision


def test_counts_are_binarized_and_left_alone(data: tuple[list[str], sp.csr_matrix]) -> None:
    sequences, X = data
    doubled = (X * 2).tocsr()
    one = CnnEncoder(n_dims=4, n_epochs=1, width=64).fit(sequences, doubled)
    assert set(doubled.data) == {2.0}
    assert one.revision == CnnEncoder(n_dims=4, n_epochs=1, width=64).fit(sequences, X).revision


def test_closed_and_unknown_peaks_are_left_out(data: tuple[list[str], sp.csr_matrix]) -> None:
    sequences, X = data
    more = sp.hstack([X, sp.csr_matrix((120, 1), dtype=np.float32), X[:, :1]]).tocsr()
    one = CnnEncoder(n_dims=4, n_epochs=1, width=64).fit([*sequences, "ACGT", "NNNN"], more)
    assert one.revision == CnnEncoder(n_dims=4, n_epochs=1, width=64).fit(sequences, X).revision


def test_encode_before_fit() -> None:
    assert CnnEncoder().revision == "unfitted"
    with pytest.raises(RuntimeError, match=r"not fitted.*\.fit\(sequences, X\).*embed_peaks"):
        CnnEncoder().encode(["ACGT"])


def test_bad_input(data: tuple[list[str], sp.csr_matrix]) -> None:
    sequences, X = data
    with pytest.raises(ValueError, match="Found 3 sequences for 900 peaks"):
        CnnEncoder().fit(sequences[:3], X)
    with pytest.raises(ValueError, match=r"50 of 50 peaks are open.*at least 100.*encoder='kmer'"):
        CnnEncoder().fit(sequences[:50], X[:, :50])
    with pytest.raises(ValueError, match="Cannot use device='gpu'"):
        CnnEncoder(device="gpu").fit(sequences, X)


@pytest.mark.parametrize("value", [0, -8, 10**12, 8.0, 64.5, float("nan"), float("inf"), "64", None, True, [64]])
@pytest.mark.parametrize("name", ["n_dims", "n_epochs", "width"])
def test_numbers_that_no_network_can_have(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}=.* found, expected a whole number from \d+ to .*CnnEncoder\(\)"):
        CnnEncoder(**{name: value})


def test_the_least_numbers() -> None:
    CnnEncoder(n_dims=2, n_epochs=1, width=32)
    with pytest.raises(ValueError, match="n_dims=1 found, expected a whole number from 2 to"):
        CnnEncoder(n_dims=1)
    with pytest.raises(ValueError, match="width=31 found, expected a whole number from 32 to"):
        CnnEncoder(width=31)


def test_too_few_different_sequences(data: tuple[list[str], sp.csr_matrix]) -> None:
    encoder = CnnEncoder(n_dims=4, n_epochs=1, width=64)
    with pytest.raises(ValueError, match=r"of 900 peaks fall into 1 of 3 folds.*expected hundreds of different seq"):
        encoder.fit([data[0][0]] * 900, data[1])
    assert not encoder.fitted


def test_real_peaks(shared_data: Path) -> None:
    adata = ad.read_h5ad(shared_data / "celllines_gm_hek_k562_h1_hg19_seq.h5ad")
    sequences, is_open = list(adata.var["seq"]), np.asarray((adata.X > 0).sum(axis=0)).ravel()
    seen, unseen = np.split(np.random.default_rng(0).permutation(adata.n_vars)[:4000], 2)
    encoder = CnnEncoder(n_dims=16, n_epochs=4).fit([sequences[i] for i in seen], adata.X[:, seen])
    expected = encoder.encode([sequences[i] for i in unseen])[:, 0]
    assert np.corrcoef(expected, np.log1p(is_open[unseen]))[0, 1] > 0.3
