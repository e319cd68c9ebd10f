"""Where counts, labels and cells are looked for, in which of two objects, and what is said where they are not."""

from __future__ import annotations

import re
from typing import Any

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from anndata.experimental import read_lazy
from tests._objects import assert_same_annotation, pair

import scllmda as sl
from scllmda._files import columns_of_their_own


@pytest.fixture(autouse=True)
def _mudata() -> Any:
    with columns_of_their_own():
        yield


def scaled(adata: AnnData) -> AnnData:
    """Return an object whose counts are in a layer."""
    adata = adata.copy()
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.toarray() - adata.X.toarray().mean(axis=0)
    return adata


def test_layers_of_one_object_each() -> None:
    reference, query = pair()
    expected = sl.tl.annotate(query, reference, copy=True)
    found = sl.tl.annotate(scaled(query), reference, layer="counts", reference_layer="X", copy=True)
    assert_same_annotation(found, expected, ignore=("params",))
    found = sl.tl.annotate(query, scaled(reference), reference_layer="counts", copy=True)
    assert_same_annotation(found, expected, ignore=("params",))
    found = sl.tl.annotate(scaled(query), scaled(reference), layer="counts", copy=True)
    assert_same_annotation(found, expected, ignore=("params",))


@pytest.mark.parametrize("which", ["query", "reference"])
def test_a_layer_that_one_object_lacks(which: str) -> None:
    objects = dict(zip(("reference", "query"), pair(), strict=True))
    other = "reference" if which == "query" else "query"
    objects[other] = scaled(objects[other])
    parameter = "layer" if which == "query" else "reference_layer"
    expected = rf"Did not find .layers\['counts'\] of the {which}, only \[\]\. Pass {parameter}= .*{parameter}='X' for"
    with pytest.raises(KeyError, match=expected):
        sl.tl.annotate(objects["query"], objects["reference"], layer="counts")


def test_a_reference_with_counts_in_a_layer_alone() -> None:
    reference, query = pair()
    expected = sl.tl.annotate(query, reference, copy=True)
    reference.layers["counts"], reference.X = reference.X, None
    with pytest.raises(ValueError, match=r"The reference has no counts \(\.X is None\)\. Pass reference_layer="):
        sl.tl.annotate(query, reference)
    found = sl.tl.annotate(query, reference, reference_layer="counts", copy=True)
    assert_same_annotation(found, expected, ignore=("params",))


def multiome(labels: str) -> md.MuData:
    """Return a reference whose labels are in another modality."""
    reference = pair()[0]
    rna = AnnData(np.ones((reference.n_obs, 3), np.float32), obs=pd.DataFrame(index=reference.obs_names))
    rna.obs[labels] = reference.obs.pop("cell_type")
    return md.MuData({"rna": rna, "atac": reference})


def test_labels_in_another_modality_are_pointed_at() -> None:
    mdata, query = multiome("celltype_rna"), pair()[1]
    with pytest.raises(KeyError, match=r"of the reference; .*The modality 'rna' has 'celltype_rna'") as error:
        sl.tl.annotate(query, mdata, labels_key="celltype_rna")
    mend = re.search(r"to use it: (mdata.*\])\. Pass", str(error.value.args[0]))
    assert mend is not None
    exec(mend[1], {"mdata": mdata})
    sl.tl.annotate(query, mdata, labels_key="celltype_rna")
    expected = sl.tl.annotate(pair()[1], pair()[0], copy=True)
    assert query.obs["scllmda"].tolist() == expected.obs["scllmda"].tolist()


def test_labels_of_the_mudata_under_another_name_are_pointed_at() -> None:
    mdata, query = multiome("cluster"), pair()[1]
    mdata.obs["celltype"] = mdata["rna"].obs["cluster"].astype(str)
    with pytest.raises(KeyError, match=r"\.obs of the MuData has 'celltype': did you mean that\?"):
        sl.tl.annotate(query, mdata)
    sl.tl.annotate(query, mdata, labels_key="celltype")
    assert set(query.obs["scllmda"]) - {"Unassigned"} <= set(mdata.obs["celltype"])


def test_a_modality_that_one_object_lacks() -> None:
    reference, query = pair()
    with pytest.raises(KeyError, match="The reference, a MuData, has no modality 'atac', only"):
        sl.tl.annotate(query, md.MuData({"peaks": reference}))
    with pytest.raises(KeyError, match="The query, a MuData, has no modality 'atac', only"):
        sl.tl.annotate(md.MuData({"peaks": query}), reference)


def test_an_object_of_another_library() -> None:
    foreign = type("AnnData", (), {"__module__": "builtins", "to_memory": lambda self: pair()[1]})()
    with pytest.raises(TypeError, match=r"found builtins\.AnnData\. Call \.to_memory\(\) on it first"):
        sl.tl.annotate(foreign, pair()[0])
    sl.tl.annotate(foreign.to_memory(), pair()[0])


class TestRepeatedBarcodes:
    """As after joining libraries: cells are what is at a position, whatever its name."""

    @pytest.fixture
    def annotated(self) -> tuple[AnnData, AnnData]:
        reference, query = pair()
        unique = sl.tl.annotate(query, reference, copy=True)
        query.obs_names = np.resize([f"cell {i}" for i in range(query.n_obs // 2)], query.n_obs)
        sl.tl.annotate(query, reference)
        return query, unique

    def test_labels_and_tables(self, annotated: tuple[AnnData, AnnData]) -> None:
        query, unique = annotated
        assert query.obs["scllmda"].tolist() == unique.obs["scllmda"].tolist()
        table = sl.get.annotation(query, proba=True)
        np.testing.assert_array_equal(table.to_numpy(), sl.get.annotation(unique, proba=True).to_numpy())

    @pytest.mark.parametrize("figure", ["confusion", "novelty", "reliability", "transfer_umap"])
    def test_figures(self, figure: str, annotated: tuple[AnnData, AnnData]) -> None:
        one, other = (getattr(sl.pl, figure)(adata, truth="cell_type", return_fig=True).axes[0] for adata in annotated)
        assert [t.get_text() for t in one.texts] == [t.get_text() for t in other.texts]
        assert len(one.collections) == len(other.collections)

    def test_labels_around_a_modality(self) -> None:
        reference, query = pair()
        reference.obs_names = np.resize([f"cell {i}" for i in range(75)], reference.n_obs)
        labels = reference.obs.pop("cell_type").to_numpy()
        mdata = md.MuData({"atac": reference})
        mdata.obs["cell_type"] = labels[np.asarray(mdata.obsmap["atac"]).ravel() - 1]
        sl.tl.annotate(query, mdata)
        expected = sl.tl.annotate(pair()[1], pair()[0], copy=True)
        assert query.obs["scllmda"].tolist() == expected.obs["scllmda"].tolist()


TOOLS: dict[str, Any] = {
    "peak_sequences": lambda adata: sl.pp.peak_sequences(adata, __file__),
    "embed_peaks": sl.tl.embed_peaks,
    "cell_embeddings": sl.tl.cell_embeddings,
    "match_peaks": lambda adata: sl.pp.match_peaks(adata, pair()[0]),
    "map_cells": lambda adata: sl.tl.map_cells(adata, sl.tl.cell_embeddings(pair()[0], n_latent=4, copy=True)),
    "annotate": lambda adata: sl.tl.annotate(adata, pair()[0]),
    "annotate by it": lambda adata: sl.tl.annotate(pair()[1], adata),
    "annotate itself": lambda adata: sl.tl.annotate(adata, unlabeled="B"),
}


@pytest.mark.parametrize("tool", list(TOOLS))
def test_genes_are_not_taken_for_peaks(tool: str) -> None:
    adata = pair(sequence=True)[0]
    adata.var["feature_types"] = ["Gene Expression"] * 100 + ["Peaks"] * (adata.n_vars - 100)
    with pytest.raises(ValueError, match=r"100 of 800 features of the \w+ are no peaks.*'Gene Expression'") as error:
        TOOLS[tool](adata)
    mend = str(error.value).split("Keep those: ")[1].rstrip(".")
    names = {"adata": adata, "query": adata, "reference": adata}
    exec(mend, names)
    assert names[mend.split(" =")[0]].n_vars == 700


class TestLazy:
    """Objects of `anndata.experimental.read_lazy`, whose tables are no data frames."""

    @pytest.fixture(params=["zarr", "h5ad"])
    def lazy(self, request: pytest.FixtureRequest, tmp_path: Any) -> tuple[AnnData, AnnData]:
        reference, query = pair()
        sl.tl.cell_embeddings(reference, n_latent=16)
        for name, adata in (("reference", reference), ("query", query)):
            getattr(adata, f"write_{request.param}")(tmp_path / f"{name}.{request.param}")
        one, other = (read_lazy(tmp_path / f"{name}.{request.param}") for name in ("reference", "query"))
        return one, other

    @pytest.mark.parametrize("frozen", [False, True])
    def test_reference_and_query(self, frozen: bool, lazy: tuple[AnnData, AnnData]) -> None:
        reference, query = pair()
        sl.tl.cell_embeddings(reference, n_latent=16)
        sl.tl.annotate(query, reference, frozen=frozen)
        sl.tl.annotate(lazy[1], lazy[0], frozen=frozen)
        assert_same_annotation(lazy[1], query)
        assert not isinstance(lazy[0].obs, pd.DataFrame)

    def test_a_column_that_is_not_there(self, lazy: tuple[AnnData, AnnData]) -> None:
        with pytest.raises(KeyError, match=r"of the reference; columns are .*Did you mean 'cell_type'"):
            sl.tl.annotate(pair()[1], lazy[0], labels_key="celltype")


class TestBacked:
    @pytest.mark.parametrize("cells", [slice(10, 60), np.arange(60, 10, -1), np.arange(100) % 2 == 0], ids=str)
    def test_views(self, cells: Any, tmp_path: Any) -> None:
        """They are taken to memory, as any view is that is written to; the file stays as it is."""
        reference, query = pair()
        query.write_h5ad(tmp_path / "query.h5ad")
        backed = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
        view, expected = backed[cells], query[cells].copy()
        sl.tl.annotate(view, reference)
        sl.tl.annotate(expected, reference)
        assert_same_annotation(view, expected)
        assert "scllmda" not in backed.obs

    def test_a_copy_lies_in_memory(self, tmp_path: Any) -> None:
        reference, query = pair()
        query.write_h5ad(tmp_path / "query.h5ad")
        backed = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
        found = sl.tl.annotate(backed, reference, copy=True)
        assert not found.isbacked
        assert backed.isbacked
        assert_same_annotation(found, sl.tl.annotate(query, reference, copy=True))
