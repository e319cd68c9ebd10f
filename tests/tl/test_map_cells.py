from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData, read_h5mu
from tests._objects import added, assert_refused, assert_same, pair, snapshot, with_X

import scllmda as sl

SLOTS = {("obsm", "X_scllmda"), ("uns", "X_scllmda")}


@pytest.fixture(scope="module")
def fitted() -> AnnData:
    """Return a reference fitted to counts alone; not to be changed."""
    return fit(pair()[0])


@pytest.fixture(scope="module")
def with_sequence() -> tuple[AnnData, AnnData]:
    """Return a reference fitted with sequence, and a query with peak embeddings; not to be changed."""
    reference, query = pair(sequence=True)
    for adata in (reference, query):
        sl.tl.embed_peaks(adata)
        del adata.var["sequence"]
    return fit(reference), query


@pytest.fixture(scope="module")
def expected(fitted: AnnData) -> AnnData:
    """Return the mapped query of ``pair()``."""
    return mapped(pair()[1], fitted)


@pytest.fixture(scope="module", params=[1, 2])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(
        processes=False, n_workers=request.param, threads_per_worker=1, dashboard_address=None, set_as_default=False
    ) as client:
        yield client


def fit(reference: AnnData, **options: Any) -> AnnData:
    return sl.tl.cell_embeddings(reference, **{"n_latent": 16, "copy": True, **options})


def rename(adata: AnnData, *, chrom: str | None = None, by: int = 0) -> None:
    """Move peaks to another contig, or along their own."""
    if chrom is not None:
        adata.var["chrom"] = chrom
    adata.var[["start", "end"]] += by
    places = adata.var[["chrom", "start", "end"]].astype(str)
    adata.var_names = places["chrom"] + ":" + places["start"] + "-" + places["end"]


def mapped(query: Any, reference: Any, **options: Any) -> Any:
    return sl.tl.map_cells(query, reference, **{"copy": True, **options})


def assert_same_mapping(found: AnnData, expected: AnnData) -> None:
    assert_same(found.obsm["X_scllmda"], expected.obsm["X_scllmda"])
    assert_same(found.uns["X_scllmda"]["coverage"], expected.uns["X_scllmda"]["coverage"])


class TestSlots:
    @pytest.mark.parametrize("key", ["X_scllmda", "mine"])
    def test_exactly_those_of_the_contract_are_added(self, key: str, fitted: AnnData) -> None:
        query = pair()[1]
        before, reference_before = snapshot(query), snapshot(fitted)
        assert sl.tl.map_cells(query, fitted, key_added=key) is None
        assert added(before, snapshot(query)) == {("obsm", key), ("uns", key)}
        assert added(reference_before, snapshot(fitted)) == set()

    def test_values(self, expected: AnnData) -> None:
        W, uns = expected.obsm["X_scllmda"], expected.uns["X_scllmda"]
        assert (W.shape, W.dtype) == ((100, 16), np.float32)
        assert np.isfinite(W).all()
        assert W.any(axis=1).all()
        assert set(uns) == {"params", "coverage"}
        assert uns["params"] == {"use_rep": "X_scllmda", "min_overlap": 0.5}
        coverage = uns["coverage"]
        assert (coverage["n_matched_query"], coverage["n_matched_reference"], coverage["n_own"]) == (640, 640, 0)
        assert coverage["fraction_of_counts_shared"] == 1

    def test_copy_leaves_the_query(self, fitted: AnnData) -> None:
        query = pair()[1]
        before = snapshot(query)
        found = mapped(query, fitted)
        assert added(before, snapshot(query)) == set()
        assert added(before, snapshot(found)) == SLOTS

    def test_of_another_key(self, expected: AnnData) -> None:
        reference = fit(pair()[0], key_added="other")
        assert_same_mapping(mapped(pair()[1], reference, use_rep="other"), expected)

    @pytest.mark.filterwarnings("error", "ignore:Writing zarr v2", "ignore:The .future.infer_string. option")
    @pytest.mark.parametrize("form", ["h5ad", "zarr"])
    def test_round_trip(self, form: str, with_sequence: tuple[AnnData, AnnData], tmp_path: Path) -> None:
        reference, query = with_sequence
        adata = mapped(query, reference)
        getattr(adata, f"write_{form}")(tmp_path / "cells")
        found = getattr(ad, f"read_{form}")(tmp_path / "cells")
        for attr, key in SLOTS:
            assert_same(getattr(found, attr)[key], getattr(adata, attr)[key], attr)

    def test_log(self, fitted: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
        logged: list[tuple[str, str | None]] = []
        monkeypatch.setattr(
            "scllmda._logging.info", lambda message, *, time=None, deep=None: logged.append((message, deep))
        )
        mapped(pair()[1], fitted)
        assert logged[0] == ("mapping 100 cells", None)
        assert logged[-1] == ("    finished", "added\n    .obsm['X_scllmda']\n    .uns['X_scllmda']")


class TestSpace:
    @pytest.mark.parametrize("likelihood", ["bernoulli", "poisson"])
    def test_cells_it_was_fitted_on_come_back(self, likelihood: str, fitted: AnnData) -> None:
        reference = fitted if likelihood == "bernoulli" else fit(pair()[0], likelihood=likelihood)
        found = mapped(pair()[0], reference)
        assert_same(found.obsm["X_scllmda"], reference.obsm["X_scllmda"])
        assert_same(mapped(pair()[0][40:77], reference).obsm["X_scllmda"], reference.obsm["X_scllmda"][40:77])

    def test_and_with_sequence(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference = with_sequence[0]
        found = mapped(with_X(reference, reference.X), reference)
        assert_same(found.obsm["X_scllmda"], reference.obsm["X_scllmda"])

    def test_counts_are_read_as_the_references_were(self, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        binary = with_X(query, (query.X > 0).astype(np.float32))
        assert query.X.max() > 1
        assert_same(mapped(binary, fitted).obsm["X_scllmda"], expected.obsm["X_scllmda"])
        poisson = fit(pair()[0], likelihood="poisson")
        first, second = (mapped(adata, poisson).obsm["X_scllmda"] for adata in (query, binary))
        assert not np.array_equal(first, second)

    def test_cells_do_not_depend_on_each_other(self, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        order = np.random.default_rng(0).permutation(query.n_obs)[:61]
        assert_same(mapped(query[order], fitted).obsm["X_scllmda"], expected.obsm["X_scllmda"][order])

    def test_one_cell(self, fitted: AnnData, expected: AnnData) -> None:
        assert_same(mapped(pair()[1][7], fitted).obsm["X_scllmda"], expected.obsm["X_scllmda"][[7]])

    def test_cells_without_open_peaks_are_zero(self, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        X, empty = query.X.toarray(), np.array([0, 50, 99])
        X[empty] = 0
        W = mapped(with_X(query, X), fitted).obsm["X_scllmda"]
        assert np.flatnonzero(~W.any(axis=1)).tolist() == empty.tolist()
        others = np.setdiff1d(np.arange(100), empty)
        assert_same(W[others], expected.obsm["X_scllmda"][others])

    def test_reference_of_one_peak(self) -> None:
        reference, query = (adata[:, [0]].copy() for adata in pair())
        query.var_names = reference.var_names
        W = mapped(query, fit(reference)).obsm["X_scllmda"]
        assert W.shape == (100, 16)
        # Its depth is all that is known of a cell.
        np.testing.assert_allclose(W, 0, atol=1e-5)


class TestInput:
    @pytest.mark.parametrize("block_size", [1, 7, 4096])
    @pytest.mark.parametrize(
        "convert", [sp.csr_matrix, sp.csc_matrix, lambda X: X.toarray()], ids=["csr", "csc", "dense"]
    )
    def test_in_memory(self, convert: Callable[..., Any], block_size: int, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        assert_same_mapping(mapped(with_X(query, convert(query.X)), fitted, block_size=block_size), expected)

    @pytest.mark.parametrize("block_size", [1, 7, 4096])
    @pytest.mark.parametrize(
        "convert", [sp.csr_matrix, sp.csc_matrix, lambda X: X.toarray()], ids=["csr", "csc", "dense"]
    )
    def test_backed(
        self, convert: Callable[..., Any], block_size: int, fitted: AnnData, expected: AnnData, tmp_path: Path
    ) -> None:
        query = pair()[1]
        with_X(query, convert(query.X)).write_h5ad(tmp_path / "query.h5ad")
        backed = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
        sl.tl.map_cells(backed, fitted, block_size=block_size)
        assert backed.isbacked
        assert_same_mapping(backed, expected)
        backed.file.close()

    @pytest.mark.parametrize("block_size", [1, 7])
    def test_with_peaks_of_its_own(self, block_size: int, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = with_sequence
        assert_same_mapping(mapped(query, reference, block_size=block_size), mapped(query, reference))

    @pytest.mark.filterwarnings("ignore:Writing zarr v2")
    @pytest.mark.parametrize("block_size", [7, 4096])
    def test_zarr(self, block_size: int, fitted: AnnData, expected: AnnData, tmp_path: Path) -> None:
        zarr = pytest.importorskip("zarr")
        query = pair()[1]
        query.write_zarr(tmp_path / "query.zarr")
        on_disk = ad.io.sparse_dataset(zarr.open(tmp_path / "query.zarr", mode="r")["X"])
        lazy = AnnData(on_disk, obs=query.obs.copy(), var=query.var.copy())
        sl.tl.map_cells(lazy, fitted, block_size=block_size)
        assert lazy.X is on_disk
        assert_same_mapping(lazy, expected)

    @pytest.mark.parametrize("block_size", [1, 7, 4096])
    @pytest.mark.parametrize("dense", [False, True])
    def test_dask(self, dense: bool, block_size: int, fitted: AnnData, expected: AnnData) -> None:
        da = pytest.importorskip("dask.array")
        query = pair()[1]
        X = da.from_array(query.X.toarray() if dense else query.X, chunks=(40, 300 if dense else -1))
        lazy = with_X(query, X)
        sl.tl.map_cells(lazy, fitted, block_size=block_size)
        assert isinstance(lazy.X, da.Array)
        assert_same_mapping(lazy, expected)

    @pytest.mark.parametrize("block_size", [7, 4096])
    def test_client(self, client: Any, block_size: int, fitted: AnnData, expected: AnnData, tmp_path: Path) -> None:
        query = pair()[1]
        assert_same_mapping(mapped(query, fitted, client=client, block_size=block_size), expected)
        query.write_h5ad(tmp_path / "query.h5ad")
        backed = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
        sl.tl.map_cells(backed, fitted, client=client, block_size=block_size)
        assert_same_mapping(backed, expected)
        backed.file.close()

    def test_layer(self, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        query.layers["counts"], query.X = query.X, -query.X
        found = mapped(query, fitted, layer="counts")
        assert found.uns["X_scllmda"]["params"]["layer"] == "counts"
        assert_same_mapping(found, expected)

    def test_view(self, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        view = ad.concat([query, query[:20]], merge="same", index_unique="-")[: query.n_obs]
        sl.tl.map_cells(view, fitted[:, :])
        assert_same_mapping(view, expected)

    @pytest.mark.parametrize("name", ["reference.h5ad", "reference.h5mu"])
    def test_reference_by_path(self, name: str, fitted: AnnData, expected: AnnData, tmp_path: Path) -> None:
        (fitted if name.endswith("h5ad") else MuData({"atac": fitted})).write(tmp_path / name)
        assert_same_mapping(mapped(pair()[1], tmp_path / name), expected)

    def test_mudata(self, fitted: AnnData, expected: AnnData, tmp_path: Path) -> None:
        query = pair()[1]
        rna = AnnData(np.ones((query.n_obs, 2), dtype=np.float32), obs=pd.DataFrame(index=query.obs_names))
        data = MuData({"rna": rna, "peaks": query})
        before = snapshot(rna)
        assert sl.tl.map_cells(data, MuData({"peaks": fitted}), mod="peaks") is None
        assert added(before, snapshot(data["rna"])) == set()
        assert_same_mapping(data["peaks"], expected)
        data.write(tmp_path / "mapped.h5mu")
        assert_same_mapping(read_h5mu(tmp_path / "mapped.h5mu")["peaks"], expected)


class TestPeaks:
    def test_order(self, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        found = mapped(query[:, np.random.default_rng(0).permutation(query.n_vars)], fitted)
        assert_same_mapping(found, expected)

    def test_order_with_sequence(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = with_sequence
        first = mapped(query, reference).obsm["X_scllmda"]
        second = mapped(query[:, ::-1], reference).obsm["X_scllmda"]
        np.testing.assert_allclose(second, first, atol=1e-5 * np.abs(first).max())

    @pytest.mark.parametrize("form", ["{}-{}-{}", "{}_{}_{}"])
    def test_names(self, form: str, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        where = query.var[["chrom", "start", "end"]].astype(str).to_numpy()
        query.var = pd.DataFrame(index=[form.format(c.replace("chr", ""), s, e) for c, s, e in where])
        assert_same_mapping(mapped(query, fitted), expected)

    def test_moved_edges(self, fitted: AnnData) -> None:
        reference = pair()[0]
        reference.var[["start", "end"]] += np.random.default_rng(0).integers(-20, 20, (reference.n_vars, 2)).clip(min=0)
        reference.var_names = [f"peak {i}" for i in range(reference.n_vars)]
        found = mapped(reference, fitted)
        assert found.uns["X_scllmda"]["coverage"]["n_matched_query"] == reference.n_vars
        assert_same(found.obsm["X_scllmda"], fitted.obsm["X_scllmda"])

    def test_peaks_that_the_query_lacks_are_no_evidence(self, fitted: AnnData) -> None:
        """A closed peak is not the same as one that was never called."""
        reference = pair()[0]
        kept = np.arange(0, reference.n_vars, 2)
        lacking = mapped(reference[:, kept], fitted).obsm["X_scllmda"]
        X = reference.X.toarray()
        X[:, np.setdiff1d(np.arange(reference.n_vars), kept)] = 0
        closed = mapped(with_X(reference, X), fitted).obsm["X_scllmda"]
        truth = fitted.obsm["X_scllmda"]
        assert np.linalg.norm(lacking - truth) < np.linalg.norm(closed - truth)

    def test_the_querys_own_are_dropped_without_sequence(self, fitted: AnnData, expected: AnnData) -> None:
        query = pair()[1]
        shared = sl.pp.match_peaks(query, fitted)
        found = mapped(shared[:, shared.var["matched"].to_numpy()], fitted)
        assert_same(found.obsm["X_scllmda"], expected.obsm["X_scllmda"])

    def test_the_querys_own_count_by_their_sequence(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = with_sequence
        found = mapped(query, reference)
        coverage = found.uns["X_scllmda"]["coverage"]
        assert coverage["n_own"] == 160
        assert 0.5 < coverage["fraction_of_counts_shared"] < 1
        bare = with_X(query, query.X)
        dropped = mapped(bare, reference)
        assert dropped.uns["X_scllmda"]["coverage"]["n_own"] == 0
        assert not np.array_equal(found.obsm["X_scllmda"], dropped.obsm["X_scllmda"])

    def test_own_peaks_without_a_known_base_are_dropped(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = with_sequence
        # By the counts of a cell in which every peak is another.
        numbered = with_X(query[:1], np.arange(1, query.n_vars + 1, dtype=np.float32)[None])
        shared = sl.pp.match_peaks(numbered, reference).X.data.astype(int) - 1
        unknown = np.setdiff1d(np.arange(query.n_vars), shared)[:60]
        query = query.copy()
        query.varm["X_kmer"][unknown] = np.nan
        found = mapped(query, reference)
        assert found.uns["X_scllmda"]["coverage"]["n_own"] == 100
        without = mapped(query[:, np.setdiff1d(np.arange(query.n_vars), unknown)], reference)
        assert_same(found.obsm["X_scllmda"], without.obsm["X_scllmda"])

    def test_embeddings_of_another_key(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = with_sequence
        renamed = query.copy()
        renamed.varm["mine"] = renamed.varm.pop("X_kmer")
        found = mapped(renamed, reference, use_varm="mine")
        assert found.uns["X_scllmda"]["params"]["use_varm"] == "mine"
        assert_same_mapping(found, mapped(query, reference))

    def test_none_shared_but_sequence(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = with_sequence
        elsewhere = query.copy()
        rename(elsewhere, chrom="chrX")
        found = mapped(elsewhere, reference)
        coverage = found.uns["X_scllmda"]["coverage"]
        assert (coverage["n_matched_query"], coverage["n_own"]) == (0, 800)
        assert coverage["fraction_of_counts_shared"] == 0
        assert found.obsm["X_scllmda"].any(axis=1).all()

    def test_another_build_is_read_by_its_sequence_alone(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = (adata.copy() for adata in with_sequence)
        reference.uns["genome"], query.uns["genome"] = "hg38", "mm10"
        found = mapped(query, reference)
        assert found.uns["X_scllmda"]["coverage"]["n_own"] == 800

    def test_lifted_over(self, with_sequence: tuple[AnnData, AnnData], tmp_path: Path) -> None:
        reference, query = (adata.copy() for adata in with_sequence)
        expected = mapped(query, reference)
        rename(query, by=5000)
        reference.uns["genome"], query.uns["genome"] = "hg38", "hg19"
        size = int(query.var["end"].max())
        path = tmp_path / "back.chain"
        path.write_text(
            "".join(
                f"chain 1 {contig} {size} + 5000 {size} {contig} {size} + 0 {size - 5000} 1\n{size - 5000}\n\n"
                for contig in query.var["chrom"].unique()
            )
        )
        found = mapped(query, reference, chain=path)
        assert found.uns["X_scllmda"]["coverage"]["n_lifted"] == 800
        assert_same(found.obsm["X_scllmda"], expected.obsm["X_scllmda"])


class TestErrors:
    check = staticmethod(partial(assert_refused, sl.tl.map_cells))

    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"block_size": 0}, ValueError, "block_size=0; expected a positive"),
            ({"key_added": "a/b"}, ValueError, "'a/b'.*key_added="),
            ({"layer": "raw"}, KeyError, r"Did not find .layers\['raw'\]"),
            ({"min_overlap": 2}, ValueError, "min_overlap=2.*between 0 and 1"),
            ({"client": "tcp://here"}, TypeError, "expected a Dask client"),
            (
                {"use_rep": "other"},
                KeyError,
                r"varm\['other'\].*sl\.tl\.cell_embeddings\(reference, key_added='other'\)",
            ),
            ({"chain": "no.chain"}, FileNotFoundError, r"no\.chain"),
        ],
    )
    def test_options(self, options: dict[str, Any], error: type[Exception], match: str, fitted: AnnData) -> None:
        self.check(pair()[1], fitted, error, match, **options)

    def test_not_fitted(self) -> None:
        reference, query = pair()
        self.check(query, reference, KeyError, r"reference is not fitted.*sl\.tl\.cell_embeddings\(reference\)")

    def test_published_recipe(self) -> None:
        reference, query = pair(sequence=True)
        sl.tl.embed_peaks(reference)
        sl.tl.cell_embeddings(reference, model="scllmda", n_epochs=1, n_latent=4)
        self.check(query, reference, KeyError, "reference is not fitted.* a decoder")

    def test_subset_after_fitting(self, fitted: AnnData) -> None:
        """What belongs to a peak follows it: dropping peaks of the reference is like dropping the query's."""
        query, kept = pair()[0], np.r_[10:300, 310:800]
        expected = mapped(query[:, kept].copy(), fitted).obsm["X_scllmda"]
        np.testing.assert_allclose(mapped(query, fitted[:, kept].copy()).obsm["X_scllmda"], expected, atol=1e-5)
        assert_same(mapped(query, fitted[:20].copy()).obsm["X_scllmda"], mapped(query, fitted).obsm["X_scllmda"])

    def test_sorted_after_fitting(self, fitted: AnnData, expected: AnnData) -> None:
        order = np.random.default_rng(0).permutation(fitted.n_vars)
        found = mapped(pair()[1], fitted[:, order].copy())
        np.testing.assert_allclose(found.obsm["X_scllmda"], expected.obsm["X_scllmda"], atol=1e-5)

    def test_rates_that_were_lost(self, fitted: AnnData) -> None:
        joined = fitted.copy()
        joined.var.iloc[3, joined.var.columns.get_loc("X_scllmda_rate")] = np.nan
        self.check(pair()[1], joined, ValueError, "holds NaN .*as after joining.*again")
        of_0_1 = fitted.copy()
        of_0_1.uns["X_scllmda"]["rate"] = of_0_1.var.pop("X_scllmda_rate").to_numpy()
        self.check(pair()[1], of_0_1, KeyError, "if it was fitted by scllmda 0.1")

    def test_counts(self, fitted: AnnData) -> None:
        query = pair()[1]
        X = query.X.toarray()
        for value, match in ((np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-1, "negative.*-1")):
            X[90, 3] = value
            self.check(with_X(query, X), fitted, ValueError, match, block_size=7)
        self.check(with_X(query, None), fitted, ValueError, r"\.X is None.*layer=")
        self.check(with_X(query, query.X * 0), fitted, ValueError, "None of the 100 query cells has an open peak")
        self.check(query[:0].copy(), fitted, ValueError, "None of the 0 query cells has an open peak")

    def test_no_shared_peak_and_no_sequence(self, fitted: AnnData, with_sequence: tuple[AnnData, AnnData]) -> None:
        query = with_sequence[1].copy()
        rename(query, chrom="chrX")
        # One of them alone knows sequences.
        self.check(query, fitted, ValueError, "No query peak overlaps .*genome builds")
        self.check(with_X(query, query.X), with_sequence[0], ValueError, "No query peak overlaps .*genome builds")

    def test_another_build(self, fitted: AnnData) -> None:
        reference, query = fitted.copy(), pair()[1]
        reference.uns["genome"], query.uns["genome"] = "hg38", "hg19"
        self.check(
            query, reference, ValueError, "build 'hg19'.*the reference's of 'hg38' .*; expected the same.*chain="
        )

    def test_repeated_peaks(self, fitted: AnnData) -> None:
        query = pair()[1]
        names = query.var_names.to_numpy().copy()
        names[1] = names[0]
        query.var_names = names
        self.check(query, fitted, ValueError, "1 peak names of the query repeat")

    def test_embeddings(self, with_sequence: tuple[AnnData, AnnData]) -> None:
        reference, query = with_sequence[0], with_sequence[1].copy()
        self.check(query, reference, KeyError, r"Did not find \.varm\['mine'\].*embed_peaks", use_varm="mine")
        query.varm["X_kmer"] = query.varm["X_kmer"][:, :10]
        self.check(query, reference, ValueError, "has 10 dimensions.* have 514; expected the same encoder.*embed_peaks")

    def test_objects(self, fitted: AnnData) -> None:
        query = pair()[1]
        self.check(
            query.to_df(), fitted, TypeError, r"Expected an anndata\.AnnData or a MuData, found pandas\..*DataFrame"
        )
        self.check(
            query, fitted.to_df(), TypeError, r"Expected an anndata\.AnnData or a MuData, found pandas\..*DataFrame"
        )
        self.check(query, "no.h5ad", FileNotFoundError, "Found no file 'no.h5ad'")
        self.check(MuData({"rna": query}), fitted, KeyError, "no modality 'atac'")
