"""Cells of which open peaks and expression are known: who is paired with whom, and what expression is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import muon
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from tests._objects import pair, paired

from scllmda._files import columns_of_their_own
from scllmda.tl._pairs import Pairs, log_normalized, read_pairs


@pytest.fixture(autouse=True)
def _columns_stay_with_their_modality() -> Any:
    with columns_of_their_own():
        yield


def read(data: Any, **options: Any) -> Pairs:
    return read_pairs(data, **{"mod": "atac", "rna_mod": "rna", "rna_layer": None, "what": "reference", **options})


def with_rna(data: MuData, rna: AnnData) -> MuData:
    return MuData({"atac": data["atac"], "rna": rna})


def test_counts_are_logs_of_counts_per_10_000_in_the_order_of_the_peaks_cells() -> None:
    data = paired(pair()[0])
    found = read(data)
    X = data["rna"][data["atac"].obs_names].X.toarray().astype(float)
    np.testing.assert_allclose(
        found.expression.values.toarray(), np.log1p(1e4 * X / X.sum(axis=1, keepdims=True)), rtol=1e-5
    )
    assert found.expression.genes == tuple(data["rna"].var_names)
    assert found.atac is data["atac"]


def test_what_is_log_normalized_is_taken_as_it_is() -> None:
    data = paired(pair()[0])
    counted = read(data).expression.values
    rna = data["rna"].copy()
    rna.layers["counts"] = rna.X.copy()
    rna.X = log_normalized(rna.X)
    again = with_rna(data, rna)
    np.testing.assert_allclose(read(again).expression.values.toarray(), counted.toarray(), rtol=1e-6)
    np.testing.assert_array_equal(read(again, rna_layer="counts").expression.values.toarray(), counted.toarray())


def test_a_cell_without_a_transcript_stays_at_zero() -> None:
    X = log_normalized(sp.csr_matrix(np.array([[0.0, 0.0], [1.0, 3.0]], dtype=np.float32)))
    np.testing.assert_allclose(X.toarray(), [[0, 0], np.log1p([2500, 7500])], rtol=1e-6)


def scaled(rna: AnnData) -> None:
    rna.X = rna.X.toarray() - 1


def normalized_only(rna: AnnData) -> None:
    rna.X = rna.X * 1.7e2


def no_number(rna: AnnData) -> None:
    rna.X.data[0] = np.nan


def nothing(rna: AnnData) -> None:
    rna.X = sp.csr_matrix(rna.shape, dtype=np.float32)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (scaled, r"The counts of the RNA hold negative values \(smallest -1\).* Pass rna_layer="),
        (
            normalized_only,
            r"numbers that are not whole, up to .*; expected counts, or expression that is log-normalized",
        ),
        (no_number, "The counts of the RNA hold NaN"),
        (nothing, "None of the 30 genes is expressed in any of 150 cells"),
    ],
)
def test_expression_that_is_neither(change: Callable[[AnnData], None], match: str) -> None:
    data = paired(pair()[0])
    change(data["rna"])
    if change is normalized_only:
        data["rna"].X.data += 0.5
    with pytest.raises(ValueError, match=match):
        read(data)


def test_refused() -> None:
    data = paired(pair()[0])
    with pytest.raises(
        TypeError, match=r"The reference is an AnnData, of which open peaks alone are known; expected a"
    ):
        read(data["atac"])
    with pytest.raises(TypeError, match=r"Expected an anndata\.AnnData or a MuData, found builtins\.int"):
        read(5)
    with pytest.raises(KeyError, match=r"has no modality 'rna', only \['atac'\].* Pass rna_mod="):
        read(MuData({"atac": data["atac"]}))
    with pytest.raises(KeyError, match=r"has no modality 'atac', only \['rna'\]"):
        read(MuData({"rna": data["rna"]}))
    with pytest.raises(KeyError, match="rna_layer= the one that holds its counts"):
        read(data, rna_layer="counts")
    lost = with_rna(data, data["rna"][5:].copy()).copy()
    with pytest.raises(
        ValueError, match=r"5 of 150 cells are in the modality 'atac' alone, and 0 of 145 in 'rna' alone.*intersect_obs"
    ):
        read(lost)
    muon.pp.intersect_obs(lost)
    assert read(lost).atac.n_obs == 145
    with pytest.raises(ValueError, match="has no genes"):
        read(with_rna(data, data["rna"][:, :0].copy()))


def test_names_that_repeat() -> None:
    data = paired(pair()[0])
    rna = data["rna"].copy()
    rna.var_names = ["gene 0", *rna.var_names[:-1]]
    twice = with_rna(data, rna)
    with pytest.raises(
        ValueError,
        match=r"1 names of genes of the modality 'rna' of the reference repeat \(first: 'gene 0'\).*: "
        r"mdata\['rna'\].var_names_make_unique\(\)",
    ):
        read(twice)
    twice["rna"].var_names_make_unique()
    assert len(read(twice).expression.genes) == 30
