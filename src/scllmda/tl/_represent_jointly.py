"""Reference and query cells in a method's own representation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import CountBlocks, count_blocks
from ..factorisation import margins
from ..methods import Counts, get, represent_cells
from ..pp._pair_peaks import pair_peaks
from ._cell_embeddings import require_evidence
from ._embed_jointly import Embedded


def has_own_representation(method: str) -> bool:
    """Return whether a method represents cells in its own way, instead of by our embedding."""
    return get(method).representation is not None


def require_counts(method: str) -> None:
    """Raise ValueError if a method cannot do with a query mapped to a frozen reference."""
    if has_own_representation(method):
        msg = (
            f"method={method!r} makes its representation of the counts of reference and query together; found a frozen "
            "reference, or one without counts. Pass method='robust', or a reference with counts and frozen=False."
        )
        raise ValueError(msg)


def represent_one_object(
    adata: AnnData,
    codes: NDArray[np.integer],
    batch: NDArray[np.integer] | None,
    layer: str | None,
    method: str,
    recipe: Any,
    rng: np.random.Generator,
) -> Embedded:
    """Represent labelled and unlabelled (code -1) cells of one object by the peaks that are open in both."""
    return _represent(count_blocks(adata, layer).binary(), codes, batch, method, recipe, rng, {"n_peaks": adata.n_vars})


def represent_two_objects(
    query: AnnData,
    reference: AnnData,
    labelled: NDArray[np.intp],
    codes: NDArray[np.integer],
    batch: NDArray[np.integer] | None,
    layer: str | None,
    pairing: Mapping[str, Any],
    method: str,
    recipe: Any,
    rng: np.random.Generator,
) -> Embedded:
    """Represent labelled reference cells, then the query, by the peaks that are open in both."""
    pairs = pair_peaks(query, reference, **pairing)
    known = count_blocks(reference, layer).take(labelled).binary()
    blocks = known.above(count_blocks(query, layer).onto(pairs.assignment).binary())
    coverage = {"n_peaks": reference.n_vars, **pairs.report, "n_own": 0}
    return _represent(blocks, codes, batch, method, recipe, rng, coverage)


def _represent(
    blocks: CountBlocks,
    codes: NDArray[np.integer],
    batch: NDArray[np.integer] | None,
    method: str,
    recipe: Any,
    rng: np.random.Generator,
    coverage: Mapping[str, Any],
) -> Embedded:
    expected = margins(blocks, (codes < 0).astype(np.intp))
    require_evidence(expected, codes)
    X = sp.csr_matrix(sp.vstack([block[:, expected.evident] for block in blocks]))
    cells = represent_cells(method, recipe, Counts(X, codes, rng, batch))
    return Embedded(cells, {**coverage, "n_used": len(expected.evident), "sequence": "none"})
