"""Objects that something is wrong with: refused in words, or labeled soundly; never changed by a call that failed.

A long run by hand: `make test ARGS="tests/test_mutated_input.py --hypothesis-profile=long"`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import example, given
from hypothesis import strategies as st
from tests._objects import added, snapshot

import scllmda as sl

NAMED = (ValueError, TypeError, KeyError)
Change = Callable[[AnnData, np.random.Generator], AnnData | None]


@cache
def _simulated() -> tuple[AnnData, AnnData]:
    reference, query = sl.datasets.simulate(n_reference=80, n_query=40, n_peaks=300, n_types=3, depth=0.4)
    sl.tl.embed_peaks(reference)
    sl.tl.cell_embeddings(reference, n_latent=8)
    return reference, query


def some(n: int, rng: np.random.Generator, share: float | None = None) -> np.ndarray:
    """Return a random part, from one to all."""
    k = rng.integers(1, n + 1) if share is None else max(1, int(share * n))
    return rng.choice(n, k, replace=False)


def with_values(adata: AnnData, values: Any, rng: np.random.Generator) -> None:
    X = sp.csr_matrix(adata.X, dtype=np.float32)
    X.data[some(X.nnz, rng, 0.01)] = values
    adata.X = X


def renamed(adata: AnnData, rng: np.random.Generator, change: Callable[[str], str]) -> None:
    names = adata.var_names.tolist()
    for i in some(len(names), rng):
        names[i] = change(names[i])
    adata.var_names = names


def relabeled(adata: AnnData, rng: np.random.Generator, label: Any) -> None:
    labels = adata.obs["cell_type"].astype(object)
    labels.iloc[some(adata.n_obs, rng)] = label
    adata.obs["cell_type"] = labels


CHANGES: dict[str, Change] = {
    "NaN": lambda a, r: with_values(a, np.nan, r),
    "infinite": lambda a, r: with_values(a, np.inf, r),
    "negative": lambda a, r: with_values(a, -1, r),
    "fractions": lambda a, r: with_values(a, 0.5, r),
    "huge": lambda a, r: with_values(a, 1e30, r),
    "no counts": lambda a, r: setattr(a, "X", sp.csr_matrix(a.shape, dtype=np.float32)),
    "no matrix": lambda a, r: setattr(a, "X", None),
    "dense": lambda a, r: setattr(a, "X", a.X.toarray()),
    "columns": lambda a, r: setattr(a, "X", sp.csc_matrix(a.X)),
    "integers": lambda a, r: setattr(a, "X", a.X.astype(np.int64)),
    "empty cells": lambda a, r: setattr(a, "X", sp.diags(r.integers(0, 2, a.n_obs).astype(np.float32)) @ a.X),
    "few cells": lambda a, r: a[: r.integers(0, 4)].copy(),
    "few peaks": lambda a, r: a[:, : r.integers(0, 4)].copy(),
    "shuffled": lambda a, r: a[r.permutation(a.n_obs), r.permutation(a.n_vars)].copy(),
    "repeated cells": lambda a, r: setattr(a, "obs_names", np.resize(a.obs_names[:7], a.n_obs)),
    "repeated peaks": lambda a, r: renamed(a, r, lambda name: a.var_names[0]),
    "odd names": lambda a, r: renamed(a, r, lambda name: f"{name}.1"),
    "genes": lambda a, r: renamed(a, r, lambda name: f"GENE{name[-3:]}"),
    "other contigs": lambda a, r: renamed(a, r, lambda name: f"GRCh38_{name}"),
    "dashes": lambda a, r: renamed(a, r, lambda name: name.replace(":", "-")),
    "no columns": lambda a, r: setattr(a, "var", a.var[[]]),
    "other columns": lambda a, r: a.var.__setitem__("start", a.var["start"].to_numpy()[::-1]),
    "missing columns": lambda a, r: a.var.__setitem__("end", a.var["end"].where(r.random(a.n_vars) < 0.9)),
    "another build": lambda a, r: a.uns.__setitem__("genome", str(r.choice(["hg19", "mm10", "", "mine"]))),
    "feature types": lambda a, r: a.var.__setitem__("feature_types", r.choice(["Peaks", "Gene Expression"], a.n_vars)),
    "unlabeled": lambda a, r: relabeled(a, r, np.nan),
    "text for none": lambda a, r: relabeled(a, r, "NA"),
    "numbers": lambda a, r: relabeled(a, r, 1.0),
    "slashes": lambda a, r: relabeled(a, r, "B/T"),
    "no labels": lambda a, r: a.obs.__delitem__("cell_type"),
    "a slot of another kind": lambda a, r: a.uns.__setitem__("scllmda", 5),
    "an embedding of another kind": lambda a, r: a.varm.__setitem__("X_kmer", r.random((a.n_vars, 3))),
    "NaN in a sequence": lambda a, r: a.var.__setitem__("sequence", np.where(r.random(a.n_vars) < 0.1, None, "ACGT")),
    "nothing": lambda a, r: None,
}
TOOLS: dict[str, Callable[[AnnData, AnnData], Any]] = {
    "robust": lambda q, r: sl.tl.annotate(q, r, n_latent=8),
    "lsi_lr": lambda q, r: sl.tl.annotate(q, r, method="lsi_lr"),
    "frozen": lambda q, r: sl.tl.annotate(q, r, frozen=True),
    "portable": lambda q, r: sl.tl.annotate(q, sl.get.portable_reference(r)),
    "map_cells": lambda q, r: sl.tl.map_cells(q, r),
    "match_peaks": lambda q, r: sl.pp.match_peaks(q, r),
    "embed_peaks": lambda q, r: sl.tl.embed_peaks(q),
    "cell_embeddings": lambda q, r: sl.tl.cell_embeddings(q, n_latent=8),
}


def assert_sound(adata: AnnData) -> None:
    """Assert that no number written is NaN, and that probabilities are some."""
    if "scllmda" in adata.obs:
        numbers = adata.obs[["scllmda_score", "scllmda_novelty"]].to_numpy()
        proba = adata.obsm["scllmda_proba"].to_numpy()
        assert ((numbers >= 0) & (numbers <= 1 + 1e-6)).all()
        assert (proba >= 0).all()
        assert np.isin(np.round(proba.sum(axis=1), 4), [0, 1]).all()
        assert np.isfinite(adata.obsm["X_scllmda_da"]).all()
    if "X_scllmda" in adata.obsm:
        assert np.isfinite(adata.obsm["X_scllmda"]).all()


@pytest.mark.filterwarnings("ignore")
@given(
    tool=st.sampled_from(list(TOOLS)),
    of_query=st.lists(st.sampled_from(list(CHANGES)), max_size=2),
    of_reference=st.lists(st.sampled_from(list(CHANGES)), max_size=2),
    seed=st.integers(0, 2**32 - 1),
)
@example(tool="robust", of_query=[], of_reference=["few peaks"], seed=0)
@example(tool="robust", of_query=[], of_reference=["missing columns", "odd names"], seed=100330622)
def test_mutated_objects(tool: str, of_query: list[str], of_reference: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    objects = []
    for adata, names in zip(_simulated(), (of_reference, of_query), strict=True):
        changed = adata.copy()
        for name in names:
            try:
                changed = CHANGES[name](changed, rng) or changed
            except (KeyError, AttributeError, ValueError, TypeError):
                # After another change, there may be nothing to change.
                continue
        objects.append(changed)
    reference, query = objects
    before = snapshot(reference), snapshot(query)
    try:
        TOOLS[tool](query, reference)
    except NAMED as error:
        text = str(error)
        # Said by this package, in a sentence.
        assert len(text) > 30, text
        assert text.rstrip("'\"").endswith((".", "first", "']")) or "expected" in text or "Did not find" in text, text
        assert added(before[1], snapshot(query)) == set()
    else:
        assert_sound(query)
    assert added(before[0], snapshot(reference)) == set()
