from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData, read_h5mu
from tests._objects import (
    added,
    annotated,
    annotation_keys,
    annotation_slots,
    assert_refused,
    assert_same,
    assert_same_annotation,
    change_labels,
    evidence_keys,
    pair,
    snapshot,
    together,
    with_X,
)

import scllmda as sl
from scllmda.tl._clusters import leiden
from scllmda.tl._sequences import Sequences

QUICK_SCLLMDA = {"method": "scllmda", "recipe": {"n_epochs": 3}}


@pytest.fixture(scope="module")
def expected() -> AnnData:
    """Return the annotated query of ``pair()``."""
    reference, query = pair()
    return annotated(query, reference)


@pytest.fixture(scope="module")
def joint() -> AnnData:
    """Return ``together()``, annotated."""
    return annotated(together())


@pytest.fixture(scope="module")
def with_sequence() -> AnnData:
    """Return the annotated query of ``pair(sequence=True)``."""
    reference, query = pair(sequence=True)
    return annotated(query, reference)


@pytest.fixture(scope="module")
def fitted() -> AnnData:
    """Return a fitted reference; not to be changed."""
    reference = pair()[0]
    sl.tl.cell_embeddings(reference, n_latent=16)
    return reference


@pytest.fixture(scope="module")
def strangers() -> tuple[AnnData, AnnData]:
    """Return a reference, fitted, and a query without a single peak in common; not to be changed."""
    reference, query = sl.datasets.simulate(n_reference=250, n_query=100, n_peaks=2000, n_types=4, shared_peaks=0)
    for adata in (reference, query):
        sl.tl.embed_peaks(adata)
    sl.tl.cell_embeddings(reference, n_latent=16)
    return reference, query


def relabeled(reference: AnnData, values: Any) -> AnnData:
    reference = reference.copy()
    reference.obs["cell_type"] = pd.Series(values, index=reference.obs_names)
    return reference


def without_peaks(adata: AnnData, cells: Any) -> AnnData:
    X = adata.X.toarray()
    X[cells] = 0
    return with_X(adata, sp.csr_matrix(X))


class TestSlots:
    @pytest.mark.parametrize("key", ["scllmda", "second"])
    def test_exactly_those_of_the_contract_are_added(self, key: str) -> None:
        reference, query = pair(sequence=True)
        query.layers["raw"], query.obsm["X_pca"] = query.X.copy(), np.ones((query.n_obs, 2))
        before, reference_before = snapshot(query), snapshot(reference)
        assert sl.tl.annotate(query, reference, n_latent=16, key_added=key) is None
        assert added(before, snapshot(query)) == annotation_keys(key) | evidence_keys(key)
        assert added(reference_before, snapshot(reference)) == set()

    def test_types(self, expected: AnnData) -> None:
        classes = sorted(pair()[0].obs["cell_type"].unique())
        n = expected.n_obs
        for column in ("scllmda", "scllmda_raw"):
            assert isinstance(expected.obs[column].dtype, pd.CategoricalDtype)
            in_order = pair()[0].obs["cell_type"].cat.categories
            assert in_order.tolist() != classes
            assert expected.obs[column].cat.categories.tolist() == in_order.tolist()
        proba = expected.obsm["scllmda_proba"]
        assert isinstance(proba, pd.DataFrame)
        assert proba.columns.tolist() == classes
        assert proba.index.equals(expected.obs_names)
        assert (proba.dtypes == np.float64).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
        assert (proba.to_numpy() >= 0).all()
        np.testing.assert_array_equal(expected.obs["scllmda_score"], proba.max(axis=1))
        np.testing.assert_array_equal(expected.obs["scllmda_raw"], proba.idxmax(axis=1))
        for column in ("scllmda_score", "scllmda_novelty"):
            assert expected.obs[column].dtype == np.float64
            assert expected.obs[column].between(0, 1).all()
        aligned = expected.obsm["X_scllmda_da"]
        assert aligned.shape == (n, 16)
        assert aligned.dtype == np.float32
        assert np.isfinite(aligned).all()
        for graph in (expected.obsp["scllmda_connectivities"], expected.obsp["scllmda_ppmi"]):
            assert (graph.format, graph.shape, graph.dtype) == ("csr", (n, n), np.float32)
        connectivities = expected.obsp["scllmda_connectivities"]
        assert (connectivities != connectivities.T).nnz == 0
        # A tenth of 100 cells, or more where other cells have one among theirs.
        assert (np.diff(connectivities.indptr) >= 10).all()

    def test_uns(self, expected: AnnData) -> None:
        uns = expected.uns["scllmda"]
        assert set(uns) == {"params", "classes", "history", "coverage", "reference", "evidence"}
        assert uns["classes"].tolist() == sorted(uns["classes"])
        assert uns["coverage"]["sequence"] == "none"
        assert uns["coverage"]["n_matched_reference"] == 640
        # A fifth of the query's peaks are its own, and say nothing of where its cells are.
        assert uns["coverage"]["n_own"] == 0
        assert 600 < uns["coverage"]["n_used"] <= 640
        assert uns["params"]["method"] == "robust"
        assert "batch_key" not in uns["params"]
        known = uns["reference"]
        assert known["X_da"].shape == (150, 16)
        np.testing.assert_array_equal(uns["classes"][known["codes"]], pair()[0].obs["cell_type"])

    def test_labels_are_right(self, expected: AnnData) -> None:
        assert (expected.obs["scllmda"] == expected.obs["cell_type"]).mean() > 0.75

    def test_copy(self, expected: AnnData) -> None:
        reference, query = pair()
        before = snapshot(query)
        found = sl.tl.annotate(query, reference, n_latent=16, max_false_rejection=None, copy=True)
        assert added(before, snapshot(query)) == set()
        assert_same_annotation(found, expected)

    def test_params_given_as_numpy_numbers(self) -> None:
        reference, query = pair()
        params = annotated(query, reference, rng=np.int64(3), min_overlap=np.float32(0.5)).uns["scllmda"]["params"]
        assert (params["rng"], params["min_overlap"]) == (3, 0.5)

    def test_a_second_annotation_leaves_the_first(self, expected: AnnData) -> None:
        first = snapshot(expected)
        second = annotated(expected, pair()[0], key_added="other")
        assert added(first, snapshot(second)) == annotation_keys("other") | evidence_keys("other")


class TestOneObject:
    def test_slots(self, joint: AnnData) -> None:
        assert added(snapshot(together()), snapshot(joint)) == annotation_keys() | evidence_keys()

    def test_labeled_cells_keep_their_labels(self, joint: AnnData) -> None:
        known = (joint.obs["cell_type"] != "unknown").to_numpy()
        for column in ("scllmda", "scllmda_raw"):
            np.testing.assert_array_equal(joint.obs.loc[known, column], joint.obs.loc[known, "truth"])
        assert (joint.obs.loc[known, "scllmda_score"] == 1).all()
        assert (joint.obs.loc[known, "scllmda_novelty"] == 0).all()

    def test_unlabeled_cells_get_theirs(self, joint: AnnData) -> None:
        unknown = joint.obs[joint.obs["cell_type"] == "unknown"]
        assert (unknown["scllmda"] == unknown["truth"]).mean() > 0.8
        assert (unknown["scllmda_score"] < 1).any()

    def test_graphs_do_not_cross(self, joint: AnnData) -> None:
        unknown = (joint.obs["cell_type"] == "unknown").to_numpy()
        for name in ("scllmda_connectivities", "scllmda_ppmi"):
            edges = joint.obsp[name].tocoo()
            assert edges.nnz > 0
            assert (unknown[edges.row] == unknown[edges.col]).all()

    def test_missing_is_unlabeled(self, joint: AnnData) -> None:
        other = together()
        other.obs["cell_type"] = other.obs["cell_type"].where(other.obs["cell_type"] != "unknown").astype("category")
        assert_same_annotation(annotated(other), joint)

    def test_another_word_for_unlabeled(self, joint: AnnData) -> None:
        other = together()
        other.obs["cell_type"] = other.obs["cell_type"].replace("unknown", "?")
        assert_same_annotation(annotated(other, unlabeled="?"), joint, ignore=("params",))

    def test_batches_of_the_query_are_not_read(self) -> None:
        adata = together()
        first = annotated(adata, batch_key="batch")
        unknown = adata.obs["cell_type"] == "unknown"
        adata.obs["batch"] = adata.obs["batch"].astype(str).where(~unknown, None)
        assert_same_annotation(annotated(adata, batch_key="batch"), first)


class TestDeterminism:
    @pytest.mark.parametrize("options", [{}, QUICK_SCLLMDA, {"batch_key": "batch"}])
    def test_same_seed_same_bytes_and_no_global_state(self, options: dict[str, Any]) -> None:
        import torch

        reference, query = pair()
        np_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        first = annotated(query, reference, rng=7, **options)
        np.testing.assert_array_equal(np.random.get_state()[1], np_state)  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), torch_state)

        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        assert_same_annotation(annotated(query, reference, rng=7, **options), first)
        generator = annotated(query, reference, rng=np.random.default_rng(7), **options)
        assert_same_annotation(generator, first, ignore=("params",))
        other = annotated(query, reference, rng=8, **options)
        assert (other.obsp["scllmda_ppmi"] != first.obsp["scllmda_ppmi"]).nnz > 0


class TestNoLeakage:
    @pytest.mark.parametrize("options", [QUICK_SCLLMDA, {"batch_key": "batch"}])
    @pytest.mark.parametrize("change", ["permuted", "deleted", "numbers", "missing"])
    def test_query_labels_are_not_read(self, change: str, options: dict[str, Any]) -> None:
        reference, query = pair()
        first = annotated(query, reference, **options)
        rng = np.random.default_rng(0)
        for column in ("cell_type", "batch"):
            if change == "permuted":
                query.obs[column] = rng.permutation(query.obs[column].to_numpy())
            elif change == "deleted":
                del query.obs[column]
            elif change == "numbers":
                query.obs[column] = rng.random(query.n_obs)
            else:
                query.obs[column] = np.nan
        assert_same_annotation(annotated(query, reference, **options), first)


class TestInput:
    @pytest.mark.parametrize(
        "convert",
        [sp.csc_matrix, sp.csr_array, lambda X: X.toarray(), lambda X: X.toarray().astype(np.int64), lambda X: X > 0],
        ids=["csc", "csr_array", "dense", "int", "binary"],
    )
    def test_kinds_of_counts(self, convert: Any, expected: AnnData) -> None:
        reference, query = pair()
        found = annotated(with_X(query, convert(query.X)), with_X(reference, convert(reference.X)))
        # Of the coverage, the share of counts depends on whether they are binary.
        assert_same_annotation(found, expected, ignore=("coverage",))

    def test_backed(self, tmp_path: Path, expected: AnnData) -> None:
        for X in (lambda a: a.X, lambda a: a.X.toarray()):
            reference, query = pair()
            with_X(query, X(query)).write_h5ad(tmp_path / "query.h5ad")
            with_X(reference, X(reference)).write_h5ad(tmp_path / "reference.h5ad")
            query = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
            sl.tl.annotate(
                query, ad.read_h5ad(tmp_path / "reference.h5ad", backed="r"), n_latent=16, max_false_rejection=None
            )
            assert query.isbacked
            assert_same_annotation(query, expected)
            query.file.close()

    def test_dask(self, expected: AnnData) -> None:
        da = pytest.importorskip("dask.array")
        reference, query = pair()
        for dense in (True, False):

            def chunk(X: Any, dense: bool = dense) -> Any:
                return da.from_array(X.toarray() if dense else X, chunks=(40, 300 if dense else -1))

            found = annotated(with_X(query, chunk(query.X)), with_X(reference, chunk(reference.X)))
            assert_same_annotation(found, expected)

    def test_layer(self, expected: AnnData) -> None:
        reference, query = pair()
        for adata in (reference, query):
            adata.layers["counts"] = adata.X
            adata.X = -adata.X
        assert_same_annotation(annotated(query, reference, layer="counts"), expected, ignore=("params",))

    def test_view(self, expected: AnnData) -> None:
        reference, query = pair()
        wide = ad.concat([query, query[:20]], merge="same")
        wide.obs_names_make_unique()
        view, reference_view = wide[: query.n_obs], reference[:, :]
        sl.tl.annotate(view, reference_view, n_latent=16, max_false_rejection=None)
        assert_same_annotation(view, expected)
        assert not any(slot in snapshot(wide) for slot in annotation_keys())
        assert reference_view.is_view

    def test_repeated_cell_names(self, expected: AnnData) -> None:
        reference, query = pair()
        reference.obs_names = ["cell"] * reference.n_obs
        # The reference's part names its cells.
        assert_same_annotation(annotated(query, reference), expected, ignore=("reference",))

    @pytest.mark.parametrize("name", ["reference.h5ad", "reference.zarr", "reference.h5mu"])
    @pytest.mark.parametrize("kind", [str, Path])
    def test_reference_by_path(self, name: str, kind: type, tmp_path: Path, expected: AnnData) -> None:
        reference, query = pair()
        path = tmp_path / name
        if path.suffix == ".h5mu":
            MuData({"atac": reference}).write(path)
        else:
            getattr(reference, f"write_{path.suffix[1:]}")(path)
        assert_same_annotation(annotated(query, kind(path)), expected)


def accuracy(adata: AnnData) -> float:
    return float((adata.obs["scllmda"].astype(str) == adata.obs["cell_type"].astype(str)).mean())


def shifted(folder: Path, adata: AnnData, by: int) -> Path:
    """Move the peaks of an object along the genome; return the chain file that leads back."""
    adata.var[["start", "end"]] += by
    adata.var_names = [f"{c}:{s}-{e}" for c, s, e in adata.var[["chrom", "start", "end"]].itertuples(index=False)]
    size = int(adata.var["end"].max())
    path = folder / "back.chain"
    path.write_text(
        "".join(
            f"chain 1 {contig} {size} + {by} {size} {contig} {size} + 0 {size - by} 1\n{size - by}\n\n"
            for contig in adata.var["chrom"].unique()
        )
    )
    return path


class TestOtherPeaks:
    """Peak sets that differ: what only one of the objects has counts on its own cells."""

    def test_labels_by_sequence_alone(self, strangers: tuple[AnnData, AnnData]) -> None:
        reference, query = strangers
        found = annotated(query, reference, n_latent=128)
        assert accuracy(found) >= 0.8
        coverage = found.uns["scllmda"]["coverage"]
        assert (coverage["n_matched_query"], coverage["n_own"]) == (0, 2000)
        assert 2000 < coverage["n_used"] <= 4000

    def test_frozen_labels_by_sequence_alone(self, strangers: tuple[AnnData, AnnData]) -> None:
        reference, query = strangers
        found = annotated(query, reference, frozen=True)
        assert accuracy(found) >= 0.8
        assert found.uns["scllmda"]["coverage"]["fraction_of_counts_shared"] == 0

    def test_few_shared_peaks_without_sequence(self) -> None:
        reference, query = sl.datasets.simulate(n_reference=250, n_query=100, n_peaks=2000, n_types=4, shared_peaks=0.2)
        del reference.var["sequence"], query.var["sequence"]
        assert accuracy(annotated(query, reference)) >= 0.75

    def test_none_shared_needs_sequence(self, strangers: tuple[AnnData, AnnData]) -> None:
        reference, query = (with_X(adata, adata.X) for adata in strangers)
        for adata in (reference, query):
            del adata.var["sequence"]
            TestErrors.check(query, reference, ValueError, "No query peak overlaps .*genome builds")

    def test_a_genome_does_not_tell_of_another_build(self, tmp_path: Path) -> None:
        path = tmp_path / "genome.fa"
        reference, query = sl.datasets.simulate(n_reference=150, n_query=100, n_peaks=800, n_types=4, fasta=path)
        for adata, build in ((reference, "hg38"), (query, "hg19")):
            del adata.var["sequence"]
            adata.uns["genome"] = build
        TestErrors.check(query, reference, ValueError, "genome build 'hg19'.*expected the same.*chain=", genome=path)

    @pytest.mark.parametrize("frozen", [False, True])
    def test_lifted_over(self, frozen: bool, tmp_path: Path) -> None:
        genome = tmp_path / "genome.fa"
        reference, query = sl.datasets.simulate(n_reference=150, n_query=100, n_peaks=800, n_types=4, fasta=genome)
        sl.tl.embed_peaks(reference)
        sl.tl.cell_embeddings(reference, n_latent=16)
        with_dna = annotated(query, reference, frozen=frozen)
        without = query.copy()
        del without.var["sequence"]
        expected = annotated(without, reference, frozen=frozen)
        chain = shifted(tmp_path, query, 5000)
        found = annotated(query, reference, frozen=frozen, chain=chain)
        assert found.uns["scllmda"]["coverage"]["n_lifted"] == 800
        assert_same_annotation(found, with_dna, ignore=("coverage", "params"))
        # The genome is of the reference's build, and says nothing of the query's peaks where they were.
        del query.var["sequence"]
        found = annotated(query, reference, frozen=frozen, chain=chain, genome=genome)
        assert_same_annotation(found, expected, ignore=("coverage", "params"))


class TestFrozen:
    def test_slots(self, fitted: AnnData) -> None:
        query, before = pair()[1], snapshot(fitted)
        query_before = snapshot(query)
        assert sl.tl.annotate(query, fitted, frozen=True, max_false_rejection=None) is None
        assert added(query_before, snapshot(query)) == annotation_keys() | evidence_keys(n_open=False)
        assert added(before, snapshot(fitted)) == set()
        uns = query.uns["scllmda"]
        assert uns["params"]["n_latent"] == 16
        coverage = uns["coverage"]
        assert (coverage["n_own"], coverage["sequence"]) == (0, "none")
        assert 0 < coverage["n_used"] <= 640
        assert coverage["fraction_of_counts_shared"] == 1

    def test_unlabeled_reference_cells_are_left_out(self, fitted: AnnData) -> None:
        query = pair()[1]
        labels = fitted.obs["cell_type"].astype(object)
        labels.iloc[:5] = "unknown"
        found = annotated(query, relabeled(fitted, labels), frozen=True)
        assert found.uns["scllmda"]["reference"]["n_cells"] == 145
        expected = annotated(query, relabeled(fitted, fitted.obs["cell_type"].astype(object))[5:], frozen=True)
        assert_same_annotation(found, expected)

    @pytest.mark.parametrize("change", ["permuted", "deleted", "missing"])
    def test_query_labels_are_not_read(self, change: str, fitted: AnnData) -> None:
        query = pair()[1]
        first = annotated(query, fitted, frozen=True, batch_key="batch")
        change_labels(query, change)
        assert_same_annotation(annotated(query, fitted, frozen=True, batch_key="batch"), first)

    def test_backed(self, tmp_path: Path, fitted: AnnData) -> None:
        query = pair()[1]
        expected = annotated(query, fitted, frozen=True)
        query.write_h5ad(tmp_path / "query.h5ad")
        fitted.write_h5ad(tmp_path / "reference.h5ad")
        backed = [ad.read_h5ad(tmp_path / f"{name}.h5ad", backed="r") for name in ("query", "reference")]
        sl.tl.annotate(*backed, frozen=True, max_false_rejection=None)
        assert_same_annotation(backed[0], expected)
        for adata in backed:
            adata.file.close()

    def test_order_of_the_peaks(self, fitted: AnnData) -> None:
        query = pair()[1]
        order = np.random.default_rng(0).permutation(query.n_vars)
        assert_same_annotation(annotated(query[:, order], fitted, frozen=True), annotated(query, fitted, frozen=True))

    def test_errors(self, fitted: AnnData) -> None:
        reference, query = pair()
        check = TestErrors.check
        check(query, reference, KeyError, r"not fitted.*sl\.tl\.cell_embeddings\(reference\)", frozen=True)
        check(with_X(query, None), fitted, ValueError, r"\.X is None", frozen=True)
        empty = without_peaks(query, slice(None))
        check(empty, fitted, ValueError, "None of the 100 query cells has an open peak", frozen=True)
        check(with_X(query, -query.X), fitted, ValueError, "negative", frozen=True)
        published = pair(sequence=True)[0]
        sl.tl.embed_peaks(published)
        sl.tl.cell_embeddings(published, model="scllmda", n_epochs=1, n_latent=4)
        check(query, published, KeyError, "not fitted", frozen=True)


class TestMuData:
    @staticmethod
    def wrapped(atac: AnnData) -> MuData:
        rna = AnnData(np.ones((atac.n_obs, 2), dtype=np.float32), obs=pd.DataFrame(index=atac.obs_names))
        return MuData({"rna": rna, "atac": atac})

    def test_is_as_its_modality(self, expected: AnnData) -> None:
        reference, query = pair()
        data = self.wrapped(query)
        before = snapshot(data["rna"])
        assert sl.tl.annotate(data, self.wrapped(reference), n_latent=16, max_false_rejection=None) is None
        assert_same_annotation(data["atac"], expected)
        assert added(before, snapshot(data["rna"])) == set()

    def test_view(self, expected: AnnData) -> None:
        reference, query = pair()
        view = self.wrapped(ad.concat([query, query[:5]], merge="same", index_unique="-"))[: query.n_obs]
        found = annotated(view, reference)["atac"]
        found.obs_names = query.obs_names
        found.obsm["scllmda_proba"].index = query.obs_names
        assert_same_annotation(found, expected)

    def test_copy_and_other_modality(self, expected: AnnData) -> None:
        reference, query = pair()
        data = MuData({"peaks": query})
        found = annotated(data, MuData({"peaks": reference}), mod="peaks")
        assert isinstance(found, MuData)
        assert_same_annotation(found["peaks"], expected)
        assert "scllmda" not in data["peaks"].obs

    def test_labels_of_the_whole(self, expected: AnnData) -> None:
        reference, query = pair()
        labels = reference.obs.pop("cell_type")
        data = self.wrapped(reference)
        data.obs["cell_type"] = labels
        data.obs["donor"] = reference.obs["batch"]
        assert_same_annotation(annotated(query, data), expected)
        with_batches = annotated(query, pair()[0], batch_key="batch")
        assert_same_annotation(annotated(query, data, batch_key="donor"), with_batches, ignore=("params",))

    def test_one_object(self) -> None:
        adata = together()
        data = self.wrapped(adata.copy())
        data.obs["cell_type"] = data["atac"].obs.pop("cell_type")
        assert_same_annotation(annotated(data)["atac"], annotated(adata))

    def test_round_trip(self, tmp_path: Path, expected: AnnData) -> None:
        reference, query = pair()
        data = self.wrapped(query)
        sl.tl.annotate(data, reference, n_latent=16, max_false_rejection=None)
        data.write(tmp_path / "annotated.h5mu")
        data = read_h5mu(tmp_path / "annotated.h5mu")
        assert_same_annotation(data["atac"], expected)
        pd.testing.assert_frame_equal(sl.get.annotation(data), sl.get.annotation(expected))


class TestPeaks:
    def test_order_of_the_querys(self, expected: AnnData) -> None:
        reference, query = pair()
        order = np.random.default_rng(0).permutation(query.n_vars)
        found = annotated(query[:, order], reference)
        assert (found.obs["scllmda"] == expected.obs["scllmda"]).mean() > 0.99
        np.testing.assert_allclose(found.obsm["scllmda_proba"], expected.obsm["scllmda_proba"], atol=0.02)
        assert_same(found.uns["scllmda"]["coverage"], expected.uns["scllmda"]["coverage"])

    @pytest.mark.parametrize("sequence", [False, True])
    def test_order_of_the_references(self, sequence: bool) -> None:
        reference, query = pair(sequence=sequence)
        order = np.random.default_rng(0).permutation(reference.n_vars)
        first, second = annotated(query, reference), annotated(query, reference[:, order])
        assert (first.obs["scllmda"] == second.obs["scllmda"]).mean() > 0.99
        np.testing.assert_allclose(first.obsm["scllmda_proba"], second.obsm["scllmda_proba"], atol=0.02)

    @pytest.mark.parametrize("form", ["{}-{}-{}", "{}_{}_{}", "{}:{}-{}"])
    @pytest.mark.parametrize("prefix", ["chr", ""])
    def test_forms_of_names(self, form: str, prefix: str, expected: AnnData) -> None:
        reference, query = pair()
        where = query.var[["chrom", "start", "end"]].astype(str).to_numpy()
        query.var = pd.DataFrame(index=[form.format(c.replace("chr", prefix), s, e) for c, s, e in where])
        reference.var = pd.DataFrame(index=reference.var_names)
        assert_same_annotation(annotated(query, reference), expected)

    def test_columns_instead_of_names(self, expected: AnnData) -> None:
        reference, query = pair()
        query.var_names = [f"query {i}" for i in range(query.n_vars)]
        reference.var_names = [f"peak {i}" for i in range(reference.n_vars)]
        assert_same_annotation(annotated(query, reference), expected)


class TestSequence:
    def test_of_the_reference(self, with_sequence: AnnData, expected: AnnData) -> None:
        assert with_sequence.uns["scllmda"]["coverage"]["sequence"] == ".var['sequence']"
        assert 0 < with_sequence.uns["scllmda"]["coverage"]["sequence_r2"] < 1
        assert not np.array_equal(with_sequence.obsm["X_scllmda_da"], expected.obsm["X_scllmda_da"])

    def test_embedded_before(self, with_sequence: AnnData) -> None:
        reference, query = pair(sequence=True)
        sl.tl.embed_peaks(reference)
        for column in (True, False):
            if not column:
                del reference.var["sequence"]
            found = annotated(query, reference)
            assert found.uns["scllmda"]["coverage"]["sequence"] == ".varm['X_kmer']"
            assert_same_annotation(found, with_sequence, ignore=("coverage",))

    def test_from_a_genome(self, tmp_path: Path) -> None:
        path = tmp_path / "genome.fa"
        reference, query = sl.datasets.simulate(n_reference=150, n_query=100, n_peaks=800, n_types=4, fasta=path)
        expected = annotated(query, reference)
        del reference.var["sequence"]
        before = snapshot(reference)
        del query.var["sequence"]
        found = annotated(query, reference, genome=path)
        assert found.uns["scllmda"]["coverage"]["sequence"] == "genome"
        assert found.uns["scllmda"]["params"]["genome"] == str(path)
        assert_same_annotation(found, expected, ignore=("coverage", "params"))
        assert added(before, snapshot(reference)) == set()

    def test_of_the_query_where_peaks_are_the_same(self) -> None:
        reference, query = pair(sequence=True)
        reference, query = reference[:100].copy(), reference[100:].copy()
        expected = annotated(query, reference)
        del reference.var["sequence"]
        found = annotated(query, reference)
        assert found.uns["scllmda"]["coverage"]["sequence_side"] == "query"
        assert_same_annotation(found, expected, ignore=("coverage",))

    def test_peaks_of_n_are_as_peaks_without_embedding(self) -> None:
        reference, query = pair(sequence=True)
        sl.tl.embed_peaks(reference)
        unknown = np.arange(0, reference.n_vars, 3)
        reference.var.iloc[unknown, reference.var.columns.get_loc("sequence")] = "N" * 500
        masked = annotated(query, reference)
        assert np.isfinite(masked.obsm["scllmda_proba"]).all(axis=None)
        del reference.var["sequence"]
        reference.varm["X_kmer"][unknown] = np.nan
        assert_same_annotation(masked, annotated(query, reference))

    def test_no_known_sequence_among_the_peaks_used(self) -> None:
        reference = pair(sequence=True)[0]
        X = reference.X.toarray()
        X[:, :20] = 0
        reference = with_X(reference, X)
        reference, query = reference[:100].copy(), reference[100:].copy()
        del query.var["sequence"]
        reference.var["sequence"] = reference.var["sequence"].where(np.arange(reference.n_vars) < 20, "N" * 500)
        assert annotated(query, reference).uns["scllmda"]["coverage"]["sequence"] == "none"

    def test_constant_embeddings_tell_nothing(self) -> None:
        reference, query = pair()
        reference.varm["X_kmer"] = np.ones((reference.n_vars, 1))
        assert annotated(query, reference).uns["scllmda"]["coverage"]["sequence"] == "none"

    def test_encoder_of_ones_own(self) -> None:
        class GC:
            name, revision, n_dims = "gc", "1", 1

            def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
                return np.array([[s.count("G") + s.count("C")] for s in sequences], dtype=np.float32)

        reference, query = pair(sequence=True)
        found = annotated(query, reference, encoder=GC(), device="cpu")
        assert found.uns["scllmda"]["params"]["encoder"] == "gc"
        sl.tl.embed_peaks(reference, GC())
        assert_same_annotation(annotated(query, reference, encoder=GC()), found, ignore=("coverage",))


class TestFiles:
    # The graph network's libraries may be loaded here for the first time.
    @pytest.mark.filterwarnings(
        "error",
        "ignore:Writing zarr v2",
        "ignore:`torch.jit.script` is deprecated",
        # anndata asks pandas 3 for it.
        "ignore:The 'future.infer_string' option",
    )
    @pytest.mark.parametrize("form", ["h5ad", "zarr"])
    @pytest.mark.parametrize(
        ("sequence", "options", "names"),
        [
            (True, {"batch_key": "batch", "rng": np.random.default_rng(0)}, ["CD4/CD8 T", "βeta cell", "a b", "ü/∞"]),
            (False, QUICK_SCLLMDA, ["B", "T"]),
        ],
    )
    def test_round_trip(
        self, form: str, sequence: bool, options: dict[str, Any], names: list[str], tmp_path: Path
    ) -> None:
        reference, query = pair(sequence=sequence)
        codes = reference.obs["cell_type"].astype("category").cat.codes.to_numpy() % len(names)
        reference = relabeled(reference, np.array(names, dtype=object)[codes])
        annotation = annotated(without_peaks(query, [3]), reference, **options)
        path = tmp_path / f"annotated.{form}"
        getattr(annotation, f"write_{form}")(path)
        found = getattr(ad, f"read_{form}")(path)
        assert_same(annotation_slots(found), annotation_slots(annotation))
        assert found.uns["scllmda"]["classes"].tolist() == sorted(names)
        table = sl.get.annotation(found, proba=True)
        assert table.columns.tolist() == ["label", "raw", "score", "novelty", *sorted(names)]
        pd.testing.assert_frame_equal(table, sl.get.annotation(annotation, proba=True))

    def test_one_object_round_trip(self, tmp_path: Path) -> None:
        annotation = annotated(together())
        annotation.write_h5ad(tmp_path / "annotated.h5ad")
        assert_same_annotation(ad.read_h5ad(tmp_path / "annotated.h5ad"), annotation)


class TestRejection:
    def test_novel_types_are_unassigned(self) -> None:
        reference, query = pair()
        known = reference[reference.obs["cell_type"] != "Plasma"].copy()
        kept, found = annotated(query, known), annotated(query, known, max_false_rejection=0.05)
        rejected = found.obs["scllmda"] == "Unassigned"
        threshold = found.uns["scllmda"]["history"]["novelty_threshold"]
        np.testing.assert_array_equal(rejected, found.obs["scllmda_novelty"] > threshold)
        novel = query.obs["cell_type"] == "Plasma"
        assert rejected[novel].mean() > rejected[~novel].mean() + 0.05
        novelty = found.obs["scllmda_novelty"]
        assert novelty[novel].mean() > novelty[~novel].mean() + 0.1
        assert found.uns["scllmda"]["params"]["max_false_rejection"] == 0.05
        # What was rejected keeps its raw label, score and probabilities.
        for column in ("scllmda_raw", "scllmda_score", "scllmda_novelty"):
            np.testing.assert_array_equal(found.obs[column].astype(object), kept.obs[column].astype(object))
        np.testing.assert_array_equal(found.obs["scllmda"][~rejected], found.obs["scllmda_raw"][~rejected])
        assert (kept.obs["scllmda"] != "Unassigned").all()

    def test_more_with_a_higher_rate(self) -> None:
        reference, query = pair()
        shares = [
            (annotated(query, reference, max_false_rejection=rate).obs["scllmda"] == "Unassigned").mean()
            for rate in (0, 0.01, 0.2, 1)
        ]
        assert shares == sorted(shares)
        assert shares[0] < 0.1
        assert shares[-1] > 0.5

    def test_labeled_cells_are_never_rejected(self) -> None:
        adata = together()
        labeled = (adata.obs["cell_type"] != "unknown") & adata.obs["cell_type"].notna()
        found = annotated(adata, max_false_rejection=1)
        assert (found.obs["scllmda"][labeled] == adata.obs["cell_type"][labeled]).all()

    @pytest.mark.parametrize("rate", [-0.1, 1.5, np.nan])
    def test_no_share(self, rate: float) -> None:
        reference, query = pair()
        with pytest.raises(ValueError, match="expected a share between 0 and 1"):
            annotated(query, reference, max_false_rejection=rate)


class TestMajorityVoting:
    def test_the_label_that_most_of_a_cluster_have(self, expected: AnnData) -> None:
        reference, query = pair()
        own = expected.obs["scllmda_raw"].astype(object)
        query.obs["leiden"] = np.arange(query.n_obs) % 7
        found = annotated(query, reference, majority_voting="leiden")
        for _, cells in query.obs.groupby("leiden"):
            votes = own[cells.index].value_counts()
            winner = found.obs.loc[cells.index, "scllmda"].unique()
            assert len(winner) == 1
            assert votes[winner[0]] == votes.max()
        for column in ("scllmda_raw", "scllmda_score", "scllmda_novelty"):
            pd.testing.assert_series_equal(found.obs[column], expected.obs[column])
        assert found.uns["scllmda"]["params"]["majority_voting"] == "leiden"

    def test_true_clusters_mend_labels(self, expected: AnnData) -> None:
        reference, query = pair()
        query.obs["cluster"] = query.obs["cell_type"].astype(str) + "?"
        assert accuracy(annotated(query, reference, majority_voting="cluster")) > accuracy(expected)

    def test_clusters_can_be_rejected_and_cells_have_none(self) -> None:
        reference, query = pair()
        query.obs["cluster"] = pd.Categorical(np.where(np.arange(query.n_obs) < 50, "a", None))
        found = annotated(query, reference, max_false_rejection=1, majority_voting="cluster")
        alone = annotated(query, reference, max_false_rejection=1)
        assert (found.obs["scllmda"].iloc[:50] == "Unassigned").all()
        assert (found.obs["scllmda"].iloc[50:].astype(str) == alone.obs["scllmda"].iloc[50:].astype(str)).all()

    def test_only_query_cells_with_an_open_peak_vote_and_change(self) -> None:
        adata = without_peaks(together(), [-1])
        adata.obs["one"] = "all"
        found = annotated(adata, majority_voting="one")
        query = ((adata.obs["cell_type"] == "unknown") | adata.obs["cell_type"].isna()).to_numpy()
        assert (found.obs["scllmda"][~query].astype(str) == adata.obs["cell_type"][~query].astype(str)).all()
        assert found.obs["scllmda"].iloc[-1] == "Unassigned"
        assert len(found.obs["scllmda"][query].iloc[:-1].unique()) == 1

    def test_true_finds_clusters_of_the_query_s_own_graph(
        self, expected: AnnData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("igraph")

        def one_cluster(graph: sp.csr_matrix) -> np.ndarray:
            assert graph.shape == (100, 100)
            assert graph.nnz == expected.obsp["scllmda_connectivities"].nnz
            return np.full(100, "0", dtype=object)

        monkeypatch.setattr("scllmda.tl._label_cells.leiden", one_cluster)
        reference, query = pair()
        found = annotated(query, reference, majority_voting=True)
        assert found.uns["scllmda"]["params"]["majority_voting"]
        assert set(found.obs["scllmda"]) == {expected.obs["scllmda"].value_counts().index[0]}
        for column in ("scllmda_raw", "scllmda_score", "scllmda_novelty"):
            pd.testing.assert_series_equal(found.obs[column], expected.obs[column])

    def test_leiden_is_scanpy_s_at_celltypist_s_resolution(self, expected: AnnData) -> None:
        pytest.importorskip("igraph")
        graph = expected.obsp["scllmda_connectivities"]
        scratch = AnnData(obs=pd.DataFrame(index=expected.obs_names))
        options = {"flavor": "igraph", "directed": False, "n_iterations": 2, "random_state": 0}
        sc.tl.leiden(scratch, resolution=5, adjacency=graph, **options)
        np.testing.assert_array_equal(leiden(graph), scratch.obs["leiden"].astype(str))

    def test_clusters_follow_cells_whose_order_changes(self) -> None:
        pytest.importorskip("igraph")
        reference, query = pair()
        order = np.random.default_rng(0).permutation(query.n_obs)
        first = annotated(query, reference, majority_voting=True)
        other = annotated(query[order].copy(), reference, majority_voting=True)
        assert (other.obs["scllmda"][query.obs_names].astype(str) == first.obs["scllmda"].astype(str)).all()

    def test_false_is_no_vote(self, expected: AnnData) -> None:
        reference, query = pair()
        assert_same_annotation(annotated(query, reference, majority_voting=False), expected)

    def test_clusters_need_igraph(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scllmda.tl._clusters.find_spec", lambda _: None)
        reference, query = pair()
        with pytest.raises(ImportError, match=r"needs igraph. Install it: pip install 'scllmda\[leiden\]'"):
            annotated(query, reference, majority_voting=True)

    def test_no_such_column(self) -> None:
        reference, query = pair()
        with pytest.raises(KeyError, match="Pass majority_voting= the column"):
            annotated(query, reference, majority_voting="leiden")


class TestCellsWithoutPeaks:
    def test_in_the_query(self) -> None:
        reference, query = pair()
        empty = [0, 7, 99]
        found = annotated(without_peaks(query, empty), reference)
        classes = found.uns["scllmda"]["classes"].tolist()
        lost = found.obs.iloc[empty]
        assert (lost["scllmda"] == "Unassigned").all()
        assert (lost["scllmda_raw"] == "Unassigned").all()
        assert (lost["scllmda_score"] == 0).all()
        assert (lost["scllmda_novelty"] == 1).all()
        assert (found.obs["scllmda"] == "Unassigned").sum() == len(empty)
        assert sorted(found.obs["scllmda"].cat.categories) == sorted([*classes, "Unassigned"])
        assert found.obs["scllmda"].cat.categories[-1] == "Unassigned"
        assert (found.obsm["scllmda_proba"].iloc[empty] == 0).all(axis=None)
        assert (found.obsm["X_scllmda_da"][empty] == 0).all()
        for slot in ("scllmda_connectivities", "scllmda_ppmi"):
            assert found.obsp[slot][empty].nnz == found.obsp[slot][:, empty].nnz == 0
        for values in (found.obs[["scllmda_score", "scllmda_novelty"]], *found.obsm.values()):
            assert np.isfinite(np.asarray(values)).all()

    def test_do_not_touch_the_others(self, expected: AnnData) -> None:
        reference, query = pair()
        more = ad.concat([query, without_peaks(query[:5], range(5))], merge="same", index_unique="-")
        found = annotated(more, reference)[: query.n_obs]
        assert (found.obs["scllmda"].to_numpy() == expected.obs["scllmda"].to_numpy()).mean() > 0.97

    def test_peaks_that_no_reference_cell_has_open_do_not_count(self) -> None:
        reference, query = pair()
        reference, query = reference[:100].copy(), reference[100:].copy()
        X, known = query.X.toarray(), reference.X.toarray()
        # Open in each of 50 query cells, and in none of 100 of the reference, where 50 at least would be expected.
        known[:, :10] = 0
        X[:, :10] = 1
        X[0, 10:] = 0
        found = annotated(with_X(query, X), with_X(reference, known))
        assert found.obs["scllmda"].iloc[0] == "Unassigned"

    def test_in_the_reference(self) -> None:
        reference, query = pair()
        found = annotated(query, without_peaks(reference, [0, 5]))
        assert np.isfinite(found.obsm["scllmda_proba"]).all(axis=None)
        assert (found.obs["scllmda"] == found.obs["cell_type"]).mean() > 0.75

    def test_labeled_ones_keep_their_label(self) -> None:
        adata = together()
        truth = adata.obs["cell_type"].iloc[0]
        found = annotated(without_peaks(adata, [0, -1]))
        assert found.obs["scllmda"].iloc[0] == truth
        assert (found.obs["scllmda_score"].iloc[0], found.obs["scllmda_novelty"].iloc[0]) == (1, 0)
        assert found.obs["scllmda"].iloc[-1] == "Unassigned"

    def test_beside_a_class_of_that_name(self) -> None:
        reference, query = pair()
        reference = relabeled(reference, reference.obs["cell_type"].astype(str).replace("B", "Unassigned"))
        found = annotated(without_peaks(query, [0]), reference)
        assert found.obs["scllmda"].iloc[0] == "Unassigned"
        assert found.obs["scllmda"].cat.categories.is_unique


class TestLabels:
    @pytest.mark.parametrize("options", [{}, QUICK_SCLLMDA])
    def test_a_type_of_one_cell(self, options: dict[str, Any]) -> None:
        reference, query = pair()
        labels = reference.obs["cell_type"].astype(str)
        labels.iloc[0] = "rare"
        found = annotated(query, relabeled(reference, labels), **options)
        assert "rare" in found.obsm["scllmda_proba"]
        assert np.isfinite(found.obsm["scllmda_proba"]).all(axis=None)

    @pytest.mark.parametrize("options", [{}, QUICK_SCLLMDA])
    @pytest.mark.parametrize("n", [1, 2])
    def test_few_query_cells(self, n: int, options: dict[str, Any]) -> None:
        reference, query = pair()
        found = annotated(query[:n], reference, **options)
        np.testing.assert_allclose(found.obsm["scllmda_proba"].sum(axis=1), 1)

    def test_few_reference_cells(self) -> None:
        reference, query = pair()
        two = reference.obs["cell_type"].drop_duplicates().index[:2]
        found = annotated(query, reference[two])
        np.testing.assert_allclose(found.obsm["scllmda_proba"].sum(axis=1), 1)

    def test_a_class_absent_from_the_query(self, expected: AnnData) -> None:
        reference, query = pair()
        found = annotated(query[query.obs["cell_type"] != "B"], reference)
        assert found.obsm["scllmda_proba"].columns.equals(expected.obsm["scllmda_proba"].columns)
        assert (found.obs["scllmda"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.7

    @pytest.mark.parametrize(
        ("kind", "names"),
        [
            ("integer", ["0", "1", "2", "3"]),
            ("boolean", ["False", "True"]),
            ("ordered", ["B", "CD4 T", "CD8 T", "Plasma"]),
        ],
    )
    def test_kinds_of_labels(self, kind: str, names: list[str]) -> None:
        reference, query = pair()
        labels = reference.obs["cell_type"].astype(str).astype("category")
        values: Any = {
            "integer": labels.cat.codes,
            "boolean": labels == "B",
            "ordered": labels.cat.add_categories("unused").cat.as_ordered(),
        }[kind]
        found = annotated(query, relabeled(reference, values))
        assert found.uns["scllmda"]["classes"].tolist() == names
        assert found.obs["scllmda"].cat.categories.tolist() == names
        assert not found.obs["scllmda"].cat.ordered

    def test_integers_beside_an_unlabeled_one(self) -> None:
        reference, query = pair()
        codes = reference.obs["cell_type"].astype("category").cat.codes.astype(int)
        found = annotated(query, relabeled(reference, codes), unlabeled="0")
        assert found.uns["scllmda"]["classes"].tolist() == ["1", "2", "3"]

    @pytest.mark.parametrize("missing", [None, np.nan, "unknown"])
    def test_unlabeled_reference_cells_are_left_out(self, missing: Any) -> None:
        reference, query = pair()
        labels = reference.obs["cell_type"].astype(object)
        expected = annotated(query, relabeled(reference, labels)[5:])
        labels.iloc[:5] = missing
        found = annotated(query, relabeled(reference, labels))
        assert found.uns["scllmda"]["reference"]["n_cells"] == 145
        assert_same_annotation(found, expected)


def fasta(folder: Path, **contigs: int) -> Path:
    path, rng = folder / "genome.fa", np.random.default_rng(0)
    path.write_text(
        "".join(f">{name}\n{''.join(rng.choice(list('ACGT'), length))}\n" for name, length in contigs.items())
    )
    return path


class TestErrors:
    check = staticmethod(partial(assert_refused, sl.tl.annotate))

    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"method": "robus"}, ValueError, "Unknown method 'robus'.*Did you mean 'robust'"),
            ({"recipe": {"n_tree": 3}}, ValueError, r"no \['n_tree'\] in its recipe; it has .*'n_dims'"),
            ({"encoder": "kmr"}, ValueError, "Unknown encoder 'kmr'.*Did you mean 'kmer'"),
            ({"encoder": 3}, TypeError, "encoder=3, expected a name or an object"),
            ({"labels_key": "cell_typ"}, KeyError, r"cell_typ.*Did you mean 'cell_type'.*labels_key="),
            ({"batch_key": "bach"}, KeyError, r"bach.*Did you mean 'batch'.*batch_key="),
            ({"layer": "raw"}, KeyError, r"Did not find .layers\['raw'\]"),
            ({"min_overlap": 2}, ValueError, "min_overlap=2.*between 0 and 1"),
            ({"n_latent": 0}, ValueError, "n_latent=0; expected a positive"),
            ({"n_neighbors": 0}, ValueError, "n_neighbors=0; expected a positive"),
            ({"key_added": "a/b"}, ValueError, "'a/b'.*key_added="),
            ({"key_added": ""}, ValueError, "slot name ''.*key_added="),
            ({"genome": "no.fa"}, FileNotFoundError, "Found no FASTA at 'no.fa'"),
        ],
    )
    def test_options(self, options: dict[str, Any], error: type[Exception], match: str) -> None:
        reference, query = pair()
        self.check(query, reference, error, match, **options)

    @pytest.mark.parametrize("value", [None, np.nan, "unknown"])
    def test_no_labels(self, value: Any) -> None:
        reference, query = pair()
        labels = pd.Series([value] * 150, dtype=object)
        self.check(query, relabeled(reference, labels.to_numpy()), ValueError, "No cell is labeled: all 150 values")

    def test_one_class(self) -> None:
        reference, query = pair()
        self.check(query, relabeled(reference, "B"), ValueError, "only label .* is 'B'; expected at least two")

    def test_nothing_to_annotate(self) -> None:
        adata = together()
        adata.obs["cell_type"] = adata.obs["truth"]
        self.check(adata, None, ValueError, r"no cell to annotate: all 250.*annotate\(query, reference\)")

    def test_no_query_cell(self) -> None:
        reference, query = pair()
        self.check(query[:0].copy(), reference, ValueError, "query has no cells")

    def test_no_reference_cell(self) -> None:
        reference, query = pair()
        self.check(query, reference[:0].copy(), ValueError, "No cell is labeled")

    def test_no_peak_in_common(self) -> None:
        reference, query = pair()
        query.var_names = query.var_names.str.replace("^chr[0-9]+", "chrX", regex=True)
        query.var["chrom"] = "chrX"
        self.check(query, reference, ValueError, "No query peak overlaps .*genome builds")

    def test_names_that_are_no_intervals(self) -> None:
        reference, query = pair()
        query.var = pd.DataFrame(index=[f"peak{i}" for i in range(query.n_vars)])
        self.check(query, reference, ValueError, "share no name.*no intervals.*such as peak0.*chr1:100-200")

    @pytest.mark.parametrize("which", ["query", "reference"])
    def test_repeated_peaks(self, which: str) -> None:
        objects = dict(zip(("reference", "query"), pair(), strict=True))
        names = objects[which].var_names.to_numpy().copy()
        names[1] = names[0]
        objects[which].var_names = names
        self.check(objects["query"], objects["reference"], ValueError, f"1 peak names of the {which} repeat")

    @pytest.mark.parametrize("which", ["query", "reference"])
    @pytest.mark.parametrize(
        ("value", "match"), [(-1, "negative values.*-1"), (np.nan, "NaN or infinite"), (np.inf, "NaN or infinite")]
    )
    @pytest.mark.parametrize("sparse", [True, False])
    def test_bad_counts(self, which: str, value: float, match: str, sparse: bool) -> None:
        objects = dict(zip(("reference", "query"), pair(), strict=True))
        X = objects[which].X.toarray()
        X[2, 2] = value
        objects[which] = with_X(objects[which], sp.csr_matrix(X) if sparse else X)
        self.check(objects["query"], objects["reference"], ValueError, match)

    def test_no_counts(self) -> None:
        reference, query = pair()
        self.check(with_X(query, None), reference, ValueError, r"\.X is None.*layer=")
        bare = with_X(reference, None)
        self.check(query, bare, KeyError, r"reference is not fitted.*sl\.tl\.cell_embeddings")

    @pytest.mark.parametrize("which", ["query", "reference"])
    @pytest.mark.parametrize("peaks", ["same", "others"])
    def test_all_zero(self, which: str, peaks: str, monkeypatch: pytest.MonkeyPatch) -> None:
        objects = dict(zip(("reference", "query"), pair(sequence=True), strict=True))
        if peaks == "same":
            objects["query"] = objects["reference"][:50].copy()
        objects[which] = without_peaks(objects[which], slice(None))
        monkeypatch.setattr(Sequences, "embed", lambda *_, **__: pytest.fail("the error comes before any long work"))
        n = objects[which].n_obs
        match = f"None of the {n} {which} cells has an open peak"
        self.check(objects["query"], objects["reference"], ValueError, match)

    def test_peak_embeddings_of_another_length(self) -> None:
        reference, query = pair()
        rng = np.random.default_rng(0)
        for adata, n_dims in ((reference, 4), (query, 5)):
            adata.varm["X_kmer"] = rng.standard_normal((adata.n_vars, n_dims))
        match = r"varm\['X_kmer'\] of the query has 5 dimensions.* have 4; expected the same encoder.*embed_peaks"
        self.check(query, reference, ValueError, match)
        sl.tl.cell_embeddings(reference, use_varm="X_kmer", n_latent=4)
        self.check(query, reference, ValueError, match, frozen=True)

    @pytest.mark.parametrize("value", [np.ones((800, 2, 2)), np.full((800, 4), np.nan)])
    def test_bad_peak_embeddings(self, value: np.ndarray) -> None:
        reference, query = pair()
        reference.varm["X_kmer"] = value
        self.check(query, reference, ValueError, r"varm\['X_kmer'\] has shape \(800.*embed_peaks")

    def test_genome_without_the_chromosomes(self, tmp_path: Path) -> None:
        reference, query = pair()
        self.check(query, reference, ValueError, "None of the 800 peaks.*genome=", genome=fasta(tmp_path, other=80))

    def test_genome_with_some_of_the_chromosomes(self, tmp_path: Path) -> None:
        reference, query = pair()
        length = int(reference.var.loc[reference.var["chrom"] == "chr2", "end"].max())
        found = annotated(query, reference, genome=fasta(tmp_path, chr2=length))
        assert found.uns["scllmda"]["coverage"]["sequence"] == "genome"

    def test_genome_of_another_build(self, tmp_path: Path) -> None:
        reference, query = pair()
        self.check(
            query, reference, ValueError, "end after their contig.*genome build", genome=fasta(tmp_path, chr1=80)
        )

    def test_nothing_but_n(self) -> None:
        reference, query = pair()
        reference.var["sequence"] = "NNNN"
        self.check(query, reference, ValueError, "None of the 800 peaks.*has a known base")

    def test_objects(self, tmp_path: Path) -> None:
        reference, query = pair()
        self.check(
            query.to_df(), reference, TypeError, r"Expected an anndata\.AnnData or a MuData, found pandas\..*DataFrame"
        )
        self.check(
            query, reference.to_df(), TypeError, r"Expected an anndata\.AnnData or a MuData, found pandas\..*DataFrame"
        )
        data = MuData({"rna": query})
        self.check(data, reference, KeyError, r"no modality 'atac', only \['rna'\]. Pass mod=")
        self.check(query, data, KeyError, r"no modality 'atac', only \['rna'\]. Pass mod=")
        self.check(query, "no.h5ad", FileNotFoundError, "Found no file 'no.h5ad'")
        (tmp_path / "counts.csv").touch()
        self.check(query, tmp_path / "counts.csv", ValueError, "Cannot tell the format of .*counts.csv")


def test_an_encoder_that_learns_sees_the_reference_alone() -> None:
    reference, query = pair(sequence=True)
    seen = []

    class Learner:
        name, revision, n_dims, fitted = "learner", "unfitted", 2, False

        def fit(self, sequences: list[str], X: sp.csr_matrix) -> Learner:
            seen.append(X.shape)
            self.fitted = True
            return self

        def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
            return np.array([[s.count("G"), s.count("A")] for s in sequences], dtype=np.float32)

    query = query.copy()
    sl.tl.annotate(query, reference, encoder=Learner())
    assert seen == [reference.shape]


def test_a_reference_of_one_peak_is_an_error() -> None:
    reference, query = pair()
    most = np.asarray(reference.X.sum(axis=0)).ravel().argmax()
    with pytest.raises(ValueError, match="open peak among those that tell cells apart"):
        annotated(query, reference[:, [most]].copy())
