"""Expression from open peaks, from objects to slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad
from mudata import MuData, read_h5mu
from tests._objects import added, pair, paired, snapshot

import scllmda as sl
from scllmda._files import columns_of_their_own
from scllmda.tl._pairs import log_normalized

QUICK: dict[str, Any] = {
    **{"preset": "small", "n_dims": 16, "n_hidden": 32},
    **{"n_epochs": 2, "min_steps": 1, "pretrain_epochs": 2},
}
RECIPES: dict[str, dict[str, Any]] = {"ridge": {}, "epifoundation": QUICK}
each_method = pytest.mark.parametrize("method", list(RECIPES))


@pytest.fixture(autouse=True)
def _columns_stay_with_their_modality() -> Any:
    with columns_of_their_own():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "epifoundation"
    sl.tl.pretrain(paired(pair()[0]), "epifoundation", output=path, recipe=QUICK)
    return str(path)


def predicted(query: Any, reference: Any, method: str = "ridge", **options: Any) -> Any:
    recipe = {**RECIPES[method], **options.pop("recipe", {})}
    return sl.tl.predict_expression(
        query, reference, **{"method": method, "recipe": recipe, "n_latent": 16, "copy": True, **options}
    )


def own(query: AnnData, values: np.ndarray) -> tuple[float, float]:
    """Return the mean of genes that are their cell type's own, and of the others."""
    types = np.unique(query.obs["cell_type"].astype(str), return_inverse=True)[1]
    mine = np.arange(values.shape[1]) % 4 == types[:, None]
    return values[mine].mean(), values[~mine].mean()


@each_method
def test_slots(method: str) -> None:
    reference, query = pair()
    data = paired(reference)
    before, of_reference = snapshot(query), [snapshot(data[mod]) for mod in ("atac", "rna")]
    sl.tl.predict_expression(query, data, method=method, recipe=RECIPES[method])
    assert added(before, snapshot(query)) == {("obsm", "expression"), ("uns", "expression")}
    for mod, slots in zip(("atac", "rna"), of_reference, strict=True):
        assert added(slots, snapshot(data[mod])) == set()
    assert query.obsm["expression"].shape == (100, 30)
    assert query.obsm["expression"].dtype == np.float32
    uns = query.uns["expression"]
    assert uns["genes"].tolist() == data["rna"].var_names.tolist()
    assert not uns["is_probability"]
    assert uns["params"]["method"] == method


def test_genes_of_a_type_are_foretold() -> None:
    reference, query = sl.datasets.simulate(
        n_reference=240, n_query=80, n_peaks=600, n_types=4, shift=0, shared_peaks=1
    )
    found = predicted(query, paired(reference))
    mine, others = own(query, found.obsm["expression"])
    assert mine > others + 2
    assert found.uns["expression"]["params"]["method"] == "ridge"


def test_what_is_foretold_has_the_mean_of_the_reference() -> None:
    reference, query = pair()
    data = paired(reference)
    expected = log_normalized(data["rna"].X).toarray().mean(axis=0)
    found = predicted(query, data, "epifoundation").obsm["expression"]
    np.testing.assert_allclose(found.mean(axis=0), expected, atol=0.7)


@each_method
def test_same_seed_same_bytes_and_labels_are_not_read(method: str) -> None:
    reference, query = pair()
    data = paired(reference)
    first = predicted(query, data, method).obsm["expression"]
    query.obs["cell_type"] = "x"
    data["atac"].obs["cell_type"] = "y"
    np.testing.assert_array_equal(predicted(query, data, method).obsm["expression"], first)


@each_method
@pytest.mark.parametrize("what", ["cells", "peaks", "reference"])
def test_the_order_does_not_matter(method: str, what: str) -> None:
    reference, query = pair()
    data, rng = paired(reference), np.random.default_rng(0)
    first = predicted(query, data, method).obsm["expression"]
    if what == "reference":
        again = predicted(query, data[rng.permutation(data.n_obs)].copy(), method).obsm["expression"]
    elif what == "cells":
        order = rng.permutation(100)
        again = predicted(query[order].copy(), data, method)[query.obs_names].obsm["expression"]
    else:
        again = predicted(query[:, rng.permutation(800)].copy(), data, method).obsm["expression"]
    np.testing.assert_allclose(again, first, atol=1e-3)


@each_method
def test_a_modality_of_a_mudata(method: str, tmp_path: Path) -> None:
    reference, query = pair()
    data, both = paired(reference), paired(query)
    before = [snapshot(both[mod]) for mod in ("atac", "rna")]
    sl.tl.predict_expression(both, data, method=method, recipe=RECIPES[method], n_latent=16)
    for mod, slots in zip(("atac", "rna"), before, strict=True):
        assert added(slots, snapshot(both[mod])) == set()
    alone = predicted(query, data, method)
    np.testing.assert_array_equal(both["expression"].X, alone.obsm["expression"])
    assert both["expression"].var_names.tolist() == data["rna"].var_names.tolist()
    assert both["expression"].obs_names.tolist() == query.obs_names.tolist()
    both.write(tmp_path / "a.h5mu")
    np.testing.assert_array_equal(read_h5mu(tmp_path / "a.h5mu")["expression"].X, both["expression"].X)
    # A second time it is replaced.
    sl.tl.predict_expression(both, data, method=method, recipe=RECIPES[method], var_names=["gene 3", "gene 1"])
    assert both["expression"].var_names.tolist() == ["gene 3", "gene 1"]
    alone.write_h5ad(tmp_path / "a.h5ad")
    read = read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(read.obsm["expression"], alone.obsm["expression"])
    assert read.uns["expression"]["genes"].tolist() == alone.uns["expression"]["genes"].tolist()


def test_genes_that_are_asked_for() -> None:
    reference, query = pair()
    data = paired(reference)
    whole = predicted(query, data).obsm["expression"]
    some = predicted(query, data, var_names=["gene 7", "gene 2"])
    np.testing.assert_allclose(some.obsm["expression"], whole[:, [7, 2]], atol=1e-5)
    assert some.uns["expression"]["genes"].tolist() == ["gene 7", "gene 2"]
    with pytest.raises(ValueError, match=r"1 of 2 genes are not known \(first: 'Actb'\)"):
        predicted(query, data, var_names=["gene 7", "Actb"])
    with pytest.raises(ValueError, match="Found 2 genes, of which 1 differ"):
        predicted(query, data, var_names=["gene 7", "gene 7"])


@each_method
def test_cells_without_an_open_peak_get_the_mean(method: str, warnings: list[str]) -> None:
    reference, query = pair()
    data = paired(reference)
    X = query.X.tolil()
    X[4] = 0
    query.X = sp.csr_matrix(X)
    found = predicted(query, data, method).obsm["expression"]
    expected = log_normalized(data["rna"].X).toarray().mean(axis=0)
    np.testing.assert_allclose(found[4], expected, rtol=1e-4)
    assert [w for w in warnings if "1 of 100 cells have no open peak that is read" in w]


class TestWeights:
    def test_foretell_without_a_reference(self, folder: str) -> None:
        query = pair()[1]
        found = sl.tl.predict_expression(query, folder, copy=True)
        uns, values = found.uns["expression"], found.obsm["expression"]
        assert uns["is_probability"]
        assert uns["params"]["method"] == "epifoundation"
        assert ((values > 0) & (values < 1)).all()
        assert sorted(uns["genes"]) == sorted(paired(query)["rna"].var_names)
        some = sl.tl.predict_expression(query[:9].copy(), Path(folder), var_names=["gene 2"], copy=True)
        at = uns["genes"].tolist().index("gene 2")
        np.testing.assert_allclose(some.obsm["expression"][:, 0], values[:9, at], atol=1e-5)

    def test_are_where_training_begins(self, folder: str) -> None:
        reference, query = pair()
        data = paired(reference)
        without = predicted(query, data, "epifoundation")
        done = predicted(query, data, "epifoundation", recipe={"weights": folder})
        assert (done.obsm["expression"] != without.obsm["expression"]).any()
        history = done.uns["expression"]["history"]
        assert history["n_genes_known"] == 30
        assert len(history["pretraining_loss"]) == 2

    def test_without_a_gene_in_common(self, folder: str) -> None:
        reference, query = pair()
        data = paired(reference)
        data["rna"].var_names = [f"ENSG{i}" for i in range(30)]
        with pytest.raises(ValueError, match=r"None of the 30 genes of the reference \(such as 'ENSG0'\) is among the"):
            predicted(query, data, "epifoundation", recipe={"weights": folder})

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"method": "ridge"}, "method='ridge' has no weights, and the reference is a folder"),
            ({"recipe": {"weights": "a"}}, "weights='a' has no effect where the reference is a folder"),
            ({"rna_layer": "a"}, "rna_layer='a' has no effect where the reference is a folder"),
            ({"chain": "a"}, "chain='a' has no effect where the reference is a folder"),
        ],
    )
    def test_refused(self, folder: str, options: dict[str, Any], match: str) -> None:
        with pytest.raises(ValueError, match=match):
            sl.tl.predict_expression(pair()[1], folder, **options)


def test_refused() -> None:
    reference, query = pair()
    data = paired(reference)
    with pytest.raises(TypeError, match="The reference is an AnnData, of which open peaks alone are known"):
        predicted(query, reference)
    with pytest.raises(ValueError, match=r"Unknown method 'rigde'; .*Did you mean 'ridge'"):
        sl.tl.predict_expression(query, data, method="rigde")
    with pytest.raises(ValueError, match="Query and reference are one object"):
        sl.tl.predict_expression(data, data)
    with pytest.raises(ValueError, match="would overwrite the modality 'rna', which is measured"):
        sl.tl.predict_expression(paired(query), data, key_added="rna")
    both = MuData({"atac": query, "mine": AnnData(np.ones((100, 2)), obs=query.obs[[]])})
    with pytest.raises(ValueError, match="has a modality 'mine', which scllmda did not write"):
        sl.tl.predict_expression(both, data, key_added="mine")
    with pytest.raises(ValueError, match="genome='x' has no effect with method='epifoundation'"):
        sl.tl.predict_expression(query, data, method="epifoundation", genome="x")
    other = query.copy()
    other.uns["genome"], data["atac"].uns["genome"] = "hg19", "mm10"
    for method in RECIPES:
        with pytest.raises(ValueError, match=r"genome build 'hg19'.*'mm10'"):
            predicted(other, data, method)
