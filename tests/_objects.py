"""Small simulated objects, and comparisons of everything an object holds."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scllmda as sl
from scllmda._files import columns_of_their_own

ATTRIBUTES = ("obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns")

Slots = dict[tuple[str, str], Any]


@cache
def _simulated() -> tuple[AnnData, AnnData]:
    return sl.datasets.simulate(n_reference=150, n_query=100, n_peaks=800, n_types=4)


def pair(*, sequence: bool = False) -> tuple[AnnData, AnnData]:
    """Return a fresh reference and query; without sequences, tests are quicker."""
    reference, query = (adata.copy() for adata in _simulated())
    if not sequence:
        del reference.var["sequence"], query.var["sequence"]
    return reference, query


def together(*, shift: float = 0) -> AnnData:
    """Return one object whose query cells are "unknown", their types in "truth"."""
    reference, query = sl.datasets.simulate(n_reference=150, n_query=100, n_peaks=800, n_types=4, shift=shift)
    query.var_names = reference.var_names
    adata = AnnData(
        sp.vstack([reference.X, query.X], format="csr"), obs=pd.concat([reference.obs, query.obs]), var=reference.var
    )
    del adata.var["sequence"]
    adata.obs["truth"] = adata.obs["cell_type"].astype(str)
    adata.obs["cell_type"] = adata.obs["truth"].where(adata.obs["platform"] == "reference", "unknown")
    return adata


def annotated(query: Any, reference: Any = None, **options: Any) -> Any:
    """Return an annotated copy, in few dimensions, of which no cell is rejected."""
    return sl.tl.annotate(query, reference, **{"n_latent": 16, "copy": True, "max_false_rejection": None, **options})


def paired(atac: AnnData, *, n_genes: int = 30, seed: int = 0, key: str = "cell_type") -> MuData:
    """Return cells with expression too: each type has genes of its own, and cells are in another order there."""
    types = pd.factorize(atac.obs[key].astype(str), sort=True)[0]
    rng = np.random.default_rng(seed)
    rates = np.where(np.arange(n_genes) % (types.max() + 1) == types[:, None], 3.0, 0.3)
    rates *= rng.uniform(0.5, 1.5, (atac.n_obs, 1))
    rna = AnnData(sp.csr_matrix(rng.poisson(rates).astype(np.float32)), obs=pd.DataFrame(index=atac.obs_names))
    rna.var_names = [f"gene {i}" for i in range(n_genes)]
    order = rng.permutation(atac.n_obs)
    with columns_of_their_own():
        return MuData({"atac": atac.copy(), "rna": rna[order].copy()})


def change_labels(query: AnnData, change: str) -> None:
    """Change what no one may read: labels and batches of a query are permuted, deleted or missing."""
    for column in ("cell_type", "batch"):
        if change == "permuted":
            query.obs[column] = np.random.default_rng(0).permutation(query.obs[column].to_numpy())
        elif change == "deleted":
            del query.obs[column]
        else:
            query.obs[column] = np.nan


def assert_refused(
    tool: Callable[..., Any], query: Any, reference: Any, error: type[Exception], match: str, **options: Any
) -> None:
    """Assert the error, and that it left both objects as they were."""
    objects = [x for x in (query, reference) if isinstance(x, AnnData)]
    before = [snapshot(x) for x in objects]
    with pytest.raises(error, match=match):
        tool(query, reference, **options)
    for x, slots in zip(objects, before, strict=True):
        assert added(slots, snapshot(x)) == set()


def with_X(adata: AnnData, X: Any) -> AnnData:
    """Return the object with other counts."""
    return AnnData(X, obs=adata.obs.copy(), var=adata.var.copy())


def annotation_keys(key: str = "scllmda") -> set[tuple[str, str]]:
    """Return the slots of the public contract."""
    return {
        *(("obs", name) for name in (key, f"{key}_raw", f"{key}_score", f"{key}_novelty")),
        *(("obsm", name) for name in (f"{key}_proba", f"X_{key}_da")),
        *(("obsp", name) for name in (f"{key}_connectivities", f"{key}_ppmi")),
        ("uns", key),
    }


def evidence_keys(key: str = "scllmda", *, n_open: bool = True, pooled: bool = False) -> set[tuple[str, str]]:
    """Return the slots that say what labels rest on."""
    return {
        *(("var", name) for name in (f"{key}_rate", f"{key}_peak")),
        *(("varm", name) for name in (f"{key}_loadings", *([f"{key}_n_open"] if n_open else []))),
        *([("obsp", f"{key}_pooled")] if pooled else []),
    }


def snapshot(adata: AnnData) -> Slots:
    """Return a deep copy of all that an object holds."""
    # anndata 0.13 has .X among the layers, as None.
    slots: Slots = {
        (name, key): deepcopy(getattr(adata, name)[key])
        for name in ATTRIBUTES
        for key in getattr(adata, name)
        if key is not None
    }
    slots["X", ""] = None if adata.X is None else adata.to_memory(copy=True).X
    slots["obs_names", ""], slots["var_names", ""] = adata.obs_names.copy(), adata.var_names.copy()
    return slots


def added(before: Slots, after: Slots) -> set[tuple[str, str]]:
    """Return the slots that were added; assert that the others are as before."""
    assert before.keys() <= after.keys()
    for slot, value in before.items():
        assert_same(value, after[slot], str(slot))
    return after.keys() - before.keys()


def annotation_slots(adata: AnnData, key: str = "scllmda") -> Slots:
    """Return the slots of an annotation."""
    return {(attr, name): getattr(adata, attr)[name] for attr, name in sorted(annotation_keys(key))}


def assert_same_annotation(found: AnnData, expected: AnnData, *, ignore: tuple[str, ...] = ()) -> None:
    """Assert that annotations are the same to the last bit; ``ignore`` names entries of ``.uns`` that may differ."""
    one, other = annotation_slots(found), annotation_slots(expected)
    for slots in (one, other):
        slots["uns", "scllmda"] = {k: v for k, v in slots["uns", "scllmda"].items() if k not in ignore}
    assert_same(one, other)


def assert_same(found: Any, expected: Any, where: str = "") -> None:
    """Assert that two values are equal to the last bit; lists equal arrays, as files do not tell them apart."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where} {key}")
    elif isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, check_exact=True, obj=where)
    elif isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(found, expected, check_exact=True, obj=where)
    elif sp.issparse(expected):
        assert found.dtype == expected.dtype, where
        assert found.shape == expected.shape, where
        np.testing.assert_array_equal(found.toarray(), expected.toarray(), err_msg=where)
    else:
        found, expected = np.asarray(found), np.asarray(expected)
        if expected.dtype.kind in "biuf":
            assert found.dtype == expected.dtype, where
        np.testing.assert_array_equal(found, expected, err_msg=where)
