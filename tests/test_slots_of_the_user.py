"""What a result would overwrite: refused where it is read, warned of where scllmda did not write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import added, pair, snapshot

import scllmda as sl


@pytest.fixture
def fitted() -> AnnData:
    adata = pair(sequence=True)[0]
    sl.tl.embed_peaks(adata)
    sl.tl.cell_embeddings(adata, n_latent=8)
    return adata


def one_object(adata: AnnData) -> AnnData:
    adata.obs["some"] = np.where(np.arange(adata.n_obs) % 2, adata.obs["cell_type"].astype(str), "unknown")
    adata.obs["leiden"] = pd.Categorical(np.arange(adata.n_obs) % 3)
    return adata


REFUSED: dict[str, tuple[Callable[[AnnData], Any], str]] = {
    "labels": (
        lambda a: sl.tl.graph_da_annotate(one_object(a), "some", key_added="some"),
        r"\.obs\['some'\], which is read as labels_key",
    ),
    "labels of one object": (
        lambda a: sl.tl.annotate(one_object(a), labels_key="some", key_added="some"),
        r"\.obs\['some'\], which is read as labels_key",
    ),
    "batches": (
        lambda a: sl.tl.annotate(one_object(a), labels_key="some", batch_key="batch", key_added="batch"),
        r"\.obs\['batch'\], which is read as batch_key",
    ),
    "clusters": (
        lambda a: sl.tl.annotate(one_object(a), pair()[0], majority_voting="leiden", key_added="leiden"),
        r"\.obs\['leiden'\], which is read as majority_voting",
    ),
    "a representation": (
        lambda a: (
            a.obsm.update(X_mine_da=a.obsm["X_scllmda"]),
            sl.tl.graph_da_annotate(one_object(a), "some", use_rep="X_mine_da", key_added="mine"),
        ),
        r"\.obsm\['X_mine_da'\], which is read as use_rep",
    ),
    "peak embeddings": (
        lambda a: sl.tl.cell_embeddings(a, use_varm="X_kmer", key_added="X_kmer"),
        r"\.varm\['X_kmer'\], which is read as use_varm",
    ),
    "the decoder": (lambda a: sl.tl.map_cells(a, a), r"\.uns\['X_scllmda'\], which is read as the reference's decoder"),
    "positions": (
        lambda a: sl.pp.peak_sequences(a, __file__, key_added="start"),
        r"\.var\['start'\], which is read as positions",
    ),
    "the reference": (lambda a: sl.tl.annotate(a, a), "Query and reference are one object"),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_is_read_is_not_overwritten(what: str, fitted: AnnData) -> None:
    call, match = REFUSED[what]
    one_object(fitted)
    before = snapshot(fitted)
    with pytest.raises(ValueError, match=match):
        call(fitted)
    assert added(before, snapshot(fitted)) <= {("obsm", "X_mine_da")}


def test_a_reference_can_be_mapped_to_itself_under_another_key(fitted: AnnData) -> None:
    sl.tl.map_cells(fitted, fitted, key_added="X_again")
    np.testing.assert_allclose(fitted.obsm["X_again"], fitted.obsm["X_scllmda"], atol=1e-3)


@pytest.mark.parametrize("tool", ["annotate", "graph_da_annotate"])
def test_a_column_of_the_user_is_warned_of(tool: str, fitted: AnnData, warnings: list[str]) -> None:
    adata = one_object(fitted)
    adata.obs["mine_score"] = 1.0

    def run() -> list[str]:
        warnings.clear()
        if tool == "annotate":
            sl.tl.annotate(adata, pair()[0], frozen=False, key_added="mine")
        else:
            sl.tl.graph_da_annotate(adata, "some", key_added="mine")
        return [warning for warning in warnings if "will be overwritten" in warning]

    assert run() == [
        ".obs['mine_score'], which scllmda did not write, will be overwritten. Pass key_added= another name to keep "
        "what is there."
    ]
    assert run() == []


def test_slots_of_another_step_are_warned_of(fitted: AnnData, warnings: list[str]) -> None:
    sl.tl.annotate(fitted, pair()[0], key_added="X_scllmda")
    assert [w for w in warnings if ".uns['X_scllmda'], which" in w]
    warnings.clear()
    again = pair(sequence=True)[0]
    again.varm["X_kmer"] = np.ones((again.n_vars, 2))
    sl.tl.embed_peaks(again)
    sl.tl.embed_peaks(again)
    assert len([w for w in warnings if ".varm['X_kmer'], which" in w]) == 1


def test_a_querys_own_decoder_is_warned_of(fitted: AnnData, warnings: list[str]) -> None:
    query = pair()[1]
    sl.tl.cell_embeddings(query, n_latent=8)
    assert warnings == []
    sl.tl.map_cells(query, fitted)
    assert [w for w in warnings if "own decoder in .uns['X_scllmda'] will be overwritten" in w]


def test_a_column_that_is_no_dna_is_warned_of(tmp_path: Any, warnings: list[str]) -> None:
    (tmp_path / "genome.fa").write_text(">chr1\nACGTACGT\n")
    adata = AnnData(np.ones((1, 1), dtype=np.float32), var=pd.DataFrame({"sequence": ["yes"]}, index=["chr1:0-4"]))
    sl.pp.peak_sequences(adata, tmp_path / "genome.fa")
    assert [w for w in warnings if ".var['sequence'], which" in w]
    warnings.clear()
    sl.pp.peak_sequences(adata, tmp_path / "genome.fa")
    assert warnings == []
