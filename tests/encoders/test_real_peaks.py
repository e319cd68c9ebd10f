from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scllmda import encoders

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def peaks(shared_data: Path) -> tuple[list[str], np.ndarray]:
    """Return the sequence of real peaks and in how many cells each is open, as a logarithm."""
    adata = ad.read_h5ad(shared_data / "celllines_gm_hek_k562_h1_hg19_seq.h5ad")
    return list(adata.var["seq"]), np.log1p(np.asarray((adata.X > 0).sum(axis=0)).ravel())


@pytest.mark.parametrize(("name", "alpha", "low", "high"), [("kmer", 1, 0.45, 1), ("random", 1e4, -0.1, 0.1)])
def test_only_kmers_tell_how_often_unseen_peaks_are_open(
    peaks: tuple[list[str], np.ndarray], name: str, alpha: float, low: float, high: float
) -> None:
    sequences, is_open = peaks
    vectors = encoders.get(name).encode(sequences)
    held_out = np.random.default_rng(0).random(len(sequences)) < 0.3
    model = Ridge(alpha=alpha).fit(vectors[~held_out], is_open[~held_out])
    correlation = np.corrcoef(model.predict(vectors[held_out]), is_open[held_out])[0, 1]
    assert low < correlation < high
