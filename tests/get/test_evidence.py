"""Contributions of peaks: what they add up to, what each is by another computation, and what lies behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from scipy.special import softmax
from tests._objects import added, annotated, annotation_keys, evidence_keys, pair, snapshot, together, with_X

import scllmda as sl
from scllmda.genomics import Intervals
from scllmda.graphs import personalized_propagation
from scllmda.methods import RobustRecipe, _robust
from scllmda.tl import _label_cells

MODEL = ["(intercept)", "(bounds)"]
"""What belongs to the mixture of classifiers, and to no peak."""
REST = [*MODEL, "(neighbors)", "(calibration)"]


class Case(NamedTuple):
    query: AnnData
    mixed: np.ndarray
    """(n_obs, n_classes): log probabilities of the mixture when labels were made, but for what all classes have in
    common; NaN for cells that were not labeled."""

    def log_odds(self, cells: Any, table: pd.DataFrame) -> float:
        """Return the mixture's mean log odds of the two classes of a table."""
        one, other = _codes(self.query, table)
        return float((self.mixed[cells, one] - self.mixed[cells, other]).mean())


def _codes(query: AnnData, table: pd.DataFrame) -> list[int]:
    classes = query.uns["scllmda"]["classes"].tolist()
    return [classes.index(table.attrs[name]) for name in ("label", "against")]


def other_peaks(query_types: list[int] | None = None) -> tuple[AnnData, AnnData]:
    """Return a query and a reference that share few peaks, so that cells are pooled."""
    reference, query = sl.datasets.simulate(
        n_reference=200, n_query=160, n_peaks=1500, n_types=3, shared_peaks=0.2, depth=0.06, query_types=query_types
    )
    for adata in (reference, query):
        del adata.var["sequence"]
    return query, reference


def halves() -> tuple[AnnData, AnnData]:
    """Return a query with the two halves of each of its peaks, of which either or both may be open, and a reference."""
    reference, query = pair()
    whole = Intervals.from_names(query.var_names)
    middle = (whole.start + whole.end) // 2
    parts = Intervals(whole.chrom, whole.start, middle), Intervals(whole.chrom, middle, whole.end)
    X, which = query.X.tocsr(), np.random.default_rng(0).integers(3, size=query.X.nnz)
    open_in = [sp.csr_matrix((X.data * (which != side), X.indices, X.indptr), shape=X.shape) for side in (0, 1)]
    var = pd.DataFrame(index=np.concatenate([part.names() for part in parts]))
    return AnnData(sp.csr_matrix(sp.hstack(open_in)), obs=query.obs, var=var), reference


def embedded() -> tuple[AnnData, AnnData]:
    reference, query = pair()
    sl.tl.cell_embeddings(reference, n_latent=16)
    return query, sl.get.portable_reference(reference)


def by_sequence() -> tuple[AnnData, AnnData]:
    return sl.datasets.simulate(n_reference=200, n_query=150, n_peaks=1200, n_types=4)[::-1]


CASES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "shared peaks": lambda: pair()[::-1],
    "other peaks": other_peaks,
    "one type": lambda: other_peaks([1]),
    "peaks of one side by their sequence": by_sequence,
    "one object": lambda: (together(shift=1),),
    "a frozen reference": embedded,
    "few cells": lambda: (pair()[1][:8].copy(), pair()[0]),
    "several peaks that are one of the reference": halves,
}
POOLED = {"other peaks", "one type"}


@cache
def case(name: str) -> Case:
    """Annotate, and take down what the mixture says of each cell; not to be changed."""
    seen: dict[str, Any] = {}

    def mix(logs: Any, weights: Any) -> np.ndarray:
        seen["mixed"] = sum(weight * logs[member] for member, weight in weights.items())
        return mix_as_it_is(logs, weights)

    def run(source: Any, codes: Any, *args: Any, **options: Any) -> Any:
        seen["order"], seen["is_query"] = source.order, codes < 0
        return run_as_it_is(source, codes, *args, **options)

    mix_as_it_is, run_as_it_is = _robust.mix, _label_cells.run
    objects = CASES[name]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_robust, "mix", mix)
        patch.setattr(_label_cells, "run", run)
        query = annotated(*objects, min_overlap=0.3 if len(objects) == 2 else None)
    first = len(seen["order"]) - query.n_obs
    cells = seen["order"][seen["is_query"]] - first
    labeled = cells[query.obs["scllmda_score"].to_numpy()[cells] > 0]
    mixed = np.full((query.n_obs, seen["mixed"].shape[1]), np.nan)
    mixed[labeled] = seen["mixed"]
    return Case(query, mixed)


def labeled(found: Case) -> np.ndarray:
    return np.flatnonzero(np.isfinite(found.mixed[:, 0]))


class TestSums:
    @pytest.mark.parametrize("name", list(CASES))
    def test_of_cells(self, name: str) -> None:
        found = case(name)
        proba = found.query.obsm["scllmda_proba"].to_numpy()
        for cell in labeled(found)[[0, 3, -1]]:
            table = sl.get.evidence(found.query, found.query.obs_names[cell])
            one, other = _codes(found.query, table)
            assert proba[cell].argsort()[::-1][:2].tolist() == [one, other]
            # All rows are the log odds in the end, peaks and intercept those of the model as it was fitted.
            np.testing.assert_allclose(table["contribution"].sum(), np.log(proba[cell, one] / proba[cell, other]))
            assert table.attrs["log_odds"] == pytest.approx(table["contribution"].sum())
            of_model = table["contribution"].drop(REST[2:]).sum()
            np.testing.assert_allclose(of_model, found.log_odds([cell], table), rtol=1e-6, atol=1e-6)
            # What is left is rounding: no posterior was so small that its bound is felt.
            assert abs(table.loc["(bounds)", "contribution"]) < 0.01
            assert table.index[-4:].tolist() == REST

    @pytest.mark.parametrize("name", ["shared peaks", "other peaks", "one type"])
    def test_of_a_group(self, name: str) -> None:
        found = case(name)
        cells = labeled(found)[:7]
        mask = np.isin(np.arange(found.query.n_obs), cells)
        table = sl.get.evidence(found.query, mask)
        names = found.query.obs_names[cells]
        labels = {"label": table.attrs["label"], "against": table.attrs["against"]}
        each = [sl.get.evidence(found.query, cell, **labels)["contribution"] for cell in names]
        mean = pd.concat([one.reindex(table.index) for one in each], axis=1).mean(axis=1)
        np.testing.assert_allclose(table["contribution"], mean, rtol=1e-6, atol=1e-9)
        assert table.attrs["n_cells"] == 7
        np.testing.assert_allclose(
            table["contribution"].drop(REST[2:]).sum(), found.log_odds(cells, table), rtol=1e-6, atol=1e-6
        )
        pd.testing.assert_frame_equal(sl.get.evidence(found.query, list(names[::-1])), table)

    def test_neighbors_and_calibration(self) -> None:
        found = case("other peaks")
        uns = found.query.uns["scllmda"]
        graph = found.query.obsp["scllmda_connectivities"]
        smoothed = personalized_propagation(graph, softmax(found.mixed, axis=1), restart=RobustRecipe().restart)
        table = sl.get.evidence(found.query, found.query.obs_names[5])
        one, other = _codes(found.query, table)
        in_neighborhood = np.log(smoothed[5, one] / smoothed[5, other])
        expected = in_neighborhood - found.log_odds([5], table)
        np.testing.assert_allclose(table.loc["(neighbors)", "contribution"], expected, rtol=1e-5)
        shift = min(uns["history"]["novelty_shift"], uns["params"]["novelty_recipe"]["large_shift"])
        calibrated = in_neighborhood / uns["history"]["temperature"] / shift
        expected = calibrated - in_neighborhood
        np.testing.assert_allclose(table.loc["(calibration)", "contribution"], expected, rtol=1e-5)

    def test_the_other_way_round_it_is_the_opposite(self) -> None:
        query = case("other peaks").query
        for_b, against_b = (
            sl.get.evidence(query, "B", label=one, against=other)["contribution"]
            for one, other in (("B", "CD4 T"), ("CD4 T", "B"))
        )
        np.testing.assert_allclose(for_b, -against_b.reindex(for_b.index), atol=1e-12)


def by_hand(query: AnnData, cell: int, one: int, other: int) -> pd.Series:
    """Return the contributions of the peaks to a cell's label, with inverses of matrices, one peak after the other."""
    stored = query.uns["scllmda"]["evidence"]
    peaks = np.flatnonzero(query.var["scllmda_peak"] >= 0)
    L = np.asarray(query.varm["scllmda_loadings"], dtype=float)[peaks]
    rate = query.var["scllmda_rate"].to_numpy(float)[peaks]
    V, T, G, D = (stored[name] for name in ("cell_covariance", "peak_covariance", "cell_gram", "gram"))
    X, eye = (query.X[:, peaks].toarray() > 0).astype(float), np.eye(len(V))

    def inverse(scale: float, gram: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Return (scale · gram + covariance⁻¹)⁻¹."""
        return covariance @ np.linalg.inv(eye + scale * gram @ covariance)

    def pull(j: int) -> tuple[np.ndarray, float]:
        depth = X[j, rate > 0].sum()
        of_peak = (X[j] - depth * rate)[:, None] * L
        w = inverse(depth, D, V) @ of_peak.sum(axis=0)
        own = [inverse(r, G, T) @ w if x and r else 0 * w for x, r in zip(X[j], rate, strict=True)]
        return of_peak - own, depth

    totals = query.varm["scllmda_n_open"].to_numpy(float)[peaks].T
    share = totals.sum(axis=0) / totals.sum()
    profiles = (totals + len(peaks) * share) / (totals.sum(axis=1, keepdims=True) + len(peaks))
    found = np.zeros(len(peaks))
    for name, member in stored["members"].items():
        links = np.zeros(query.n_obs, dtype=int)
        if name != "alone":
            links = query.obsp["scllmda_pooled"][cell].toarray().ravel()
        bits = {"alone": [0], "profiles": [0]}.get(name, [bit for bit in range(1, 8) if (links >> bit & 1).any()])
        for bit in bits:
            group = [cell, *np.flatnonzero(links >> bit & 1)]
            weight = member["weight"] / len(bits)
            if name == "profiles":
                # Of peaks without a count in the reference nothing is known.
                found += weight * X[group].sum(axis=0) * np.log(np.where(share > 0, profiles[one] / profiles[other], 1))
                continue
            pulls, depths = zip(*(pull(j) for j in group), strict=True)
            at = sum(pulls) @ inverse(sum(depths), D, V) @ stored["axes"]
            for kind, length in (("plain", 1), ("unit", np.linalg.norm(at.sum(axis=0)))):
                coef = member[kind]["coef"][one] - member[kind]["coef"][other]
                found += weight / 2 * at @ coef / member[kind]["spread"] / length
    return pd.Series(found, query.var_names[peaks])


@pytest.mark.parametrize("name", ["shared peaks", "other peaks"])
def test_each_peak_by_hand(name: str) -> None:
    query = case(name).query
    table = sl.get.evidence(query, query.obs_names[4])
    found = table["contribution"].drop(REST)
    expected = by_hand(query, 4, *_codes(query, table))
    np.testing.assert_allclose(found, expected.reindex(found.index), atol=3e-3 * found.abs().max(), rtol=0)
    assert found.abs().tolist() == sorted(found.abs(), reverse=True)
    assert ("pooled" in query.uns["scllmda"]["evidence"]["members"]) == (name in POOLED)


def test_a_class_whose_cells_have_no_open_peak() -> None:
    """No cell stands for it, so that it is as unlikely as the bound of posteriors lets it be."""
    reference, query = pair()
    X = reference.X.tolil()
    X[(reference.obs["cell_type"] == "Plasma").to_numpy()] = 0
    found = annotated(query, with_X(reference, sp.csr_matrix(X)))
    table = sl.get.evidence(found, "B", against="Plasma")
    assert np.isfinite(table["contribution"]).all()
    np.testing.assert_allclose(table["contribution"].sum(), table.attrs["log_odds"])
    assert table.loc["(bounds)", "contribution"] > 10


class TestTable:
    def test_how_often_peaks_are_open(self) -> None:
        query, reference = case("other peaks").query, other_peaks()[1]
        chosen = (query.obs["scllmda"] == "B").to_numpy()
        table = sl.get.evidence(query, "B").drop(REST)
        np.testing.assert_allclose(table["open"], (query[chosen, table.index].X > 0).mean(axis=0).A1)
        rate = query.var.loc[table.index, "scllmda_rate"]
        depth = (query[chosen, table.index[rate > 0]].X > 0).sum(axis=1).mean()
        np.testing.assert_allclose(table["expected"], depth * rate, rtol=1e-5)
        known = sl.pp.match_peaks(reference, query)[:, table.index]
        for column, name in (("open_label", "label"), ("open_against", "against")):
            of_type = (reference.obs["cell_type"] == table.attrs[name]).to_numpy()
            np.testing.assert_allclose(table[column], (known[of_type].X > 0).mean(axis=0).A1)

    def test_without_the_counts_of_the_reference(self) -> None:
        table = sl.get.evidence(case("a frozen reference").query, "B")
        assert table.columns.tolist() == ["contribution", "open", "expected"]

    def test_some_peaks(self) -> None:
        query = case("shared peaks").query
        whole, some = sl.get.evidence(query, "B"), sl.get.evidence(query, "B", n_peaks=5)
        pd.testing.assert_frame_equal(some.iloc[:5], whole.iloc[:5])
        assert some.index[5:].tolist() == ["(other peaks)", *REST]
        others = whole["contribution"].drop(REST).iloc[5:].sum()
        np.testing.assert_allclose(some.loc["(other peaks)", "contribution"], others)
        assert some.attrs == whole.attrs

    def test_genes(self) -> None:
        query = case("shared peaks").query
        where = Intervals.from_names(query.var_names)
        chrom = where.chrom[0]
        genes = pd.DataFrame(
            {"chrom": chrom, "start": [5000, 200_000], "end": [9000, 300_000], "strand": list("+-"), "name": list("AB")}
        )
        table = sl.get.evidence(query, "B", genes=genes).drop(REST)
        peaks = Intervals.from_names(table.index)
        starts, center = np.array([5000, 299_999]), (peaks.start + peaks.end) // 2
        nearest = abs(center[:, None] - starts).argmin(axis=1)
        there = peaks.chrom == chrom
        assert (table["gene"].notna() == there).all()
        assert table["gene"][there].tolist() == np.array(["A", "B"])[nearest[there]].tolist()
        expected = np.array([1, -1])[nearest] * (center - starts[nearest])
        assert table["distance"][there].tolist() == expected[there].tolist()
        assert table["distance"].isna().sum() == (~there).sum() > 0

    def test_motifs(self) -> None:
        query = case("peaks of one side by their sequence").query
        motif = query.uns["simulation"]["motifs"][0]
        shape = {"one": 20 * np.eye(4)[:, ["ACGT".index(base) for base in motif]], "any T": np.eye(4)[:, [3] * 9]}
        table = sl.get.evidence(query, "B", n_peaks=300, motifs=shape)
        sequences = query.var.loc[table.index[:300], "sequence"].str.upper()
        reverse = motif.translate(str.maketrans("ACGT", "TGCA"))[::-1]
        has = sequences.str.contains(motif) | sequences.str.contains(reverse)
        named = table["motifs"].iloc[:300].str.split(", ").map(lambda names: "one" in names)
        assert 0 < has.sum() < 150
        assert named[has].all()
        assert table["motifs"].iloc[300:].isna().all()


class TestWhatIsFound:
    def test_planted_peaks_lead(self) -> None:
        """Peaks that are open in one type alone lead those that speak for it by being open, of each type."""
        reference, query = pair()
        reference = sl.pp.match_peaks(reference, query)
        types, rng = reference.obs["cell_type"].cat.categories, np.random.default_rng(0)
        matched = np.flatnonzero(reference.var["matched"])
        planted = dict(zip(types, np.split(matched[: 15 * len(types)], len(types)), strict=True))
        for adata in (reference, query):
            X = adata.X.toarray()
            for name, peaks in planted.items():
                share = np.where(adata.obs["cell_type"] == name, 0.5, 0.02)[:, None]
                X[:, peaks] = rng.random((adata.n_obs, len(peaks))) < share
            adata.X = sp.csr_matrix(X, dtype=np.float32)
        found = annotated(query, reference)
        for name, peaks in planted.items():
            table = sl.get.evidence(found, name).drop(REST)
            leading = table.index[(table["contribution"] > 0) & (table["open"] > table["expected"])][:12]
            assert set(leading) <= set(query.var_names[peaks]), name

    def test_planted_motifs_lead(self) -> None:
        """Peaks that speak by being open have the motifs that a type answers to, as much more as it does."""
        query = case("peaks of one side by their sequence").query
        truth = query.uns["simulation"]
        motifs = {name: 20 * np.eye(4)[:, ["ACGT".index(b) for b in name]] for name in truth["motifs"]}
        types = list(truth["cell_types"])
        agreement = []
        for label in types:
            table = sl.get.evidence(query, label, motifs=motifs).drop(REST)
            has = np.array([[name in found.split(", ") for name in motifs] for found in table["motifs"]])
            speaks = table["contribution"].where(table["open"] > table["expected"], -table["contribution"])
            top = speaks.to_numpy(float).argsort()[::-1][: len(table) // 10]
            more = has[top].mean(axis=0) - has.mean(axis=0)
            one, other = (types.index(table.attrs[name]) for name in ("label", "against"))
            agreement.append(np.corrcoef(more, truth["activity"][one] - truth["activity"][other])[0, 1])
        assert np.mean(agreement) > 0.6
        assert min(agreement) > 0.3


class TestObjects:
    @pytest.mark.parametrize(
        ("name", "suffix"), [("shared peaks", "h5ad"), ("other peaks", "zarr"), ("other peaks", "h5mu")]
    )
    def test_files(self, name: str, suffix: str, tmp_path: Path) -> None:
        query, path = case(name).query, tmp_path / f"query.{suffix}"
        if suffix == "h5mu":
            MuData({"atac": query.copy()}).write(path)
        else:
            getattr(query, f"write_{suffix}")(path)
        pd.testing.assert_frame_equal(sl.get.evidence(sl.io.read(path), "B"), sl.get.evidence(query, "B"))

    def test_counts_of_any_kind(self, tmp_path: Path) -> None:
        query = case("shared peaks").query
        expected, before = sl.get.evidence(query, "B"), snapshot(query)
        query.write_h5ad(tmp_path / "query.h5ad")
        other = query.copy()
        for X in (query.X.toarray(), sp.csc_matrix(query.X), 3 * query.X):
            other.X = X
            pd.testing.assert_frame_equal(sl.get.evidence(other, "B"), expected)
        backed = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
        pd.testing.assert_frame_equal(sl.get.evidence(backed, "B"), expected)
        backed.file.close()
        assert added(before, snapshot(query)) == set()

    @pytest.mark.parametrize("name", ["shared peaks", "other peaks"])
    def test_order_does_not_matter(self, name: str) -> None:
        query, rng = case(name).query, np.random.default_rng(0)
        other = query[rng.permutation(query.n_obs)][:, rng.permutation(query.n_vars)]
        expected = sl.get.evidence(query, "B")["contribution"]
        found = sl.get.evidence(other, "B")["contribution"].reindex(expected.index)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3 * expected.drop(REST).abs().max())

    def test_some_cells_where_none_are_pooled(self) -> None:
        query = case("shared peaks").query
        cell = query.obs_names[7]
        pd.testing.assert_frame_equal(sl.get.evidence(query[5:9], cell), sl.get.evidence(query, cell))

    def test_layer(self) -> None:
        reference, query = pair()
        for adata in (reference, query):
            adata.layers["counts"] = adata.X
            adata.X = -adata.X
        found = annotated(query, reference, layer="counts")
        pd.testing.assert_frame_equal(sl.get.evidence(found, "B"), sl.get.evidence(case("shared peaks").query, "B"))


class TestSlots:
    @pytest.mark.parametrize("name", ["shared peaks", "other peaks"])
    def test_what_is_kept(self, name: str) -> None:
        query = case(name).query
        slots = snapshot(query)
        kept = evidence_keys(pooled=name in POOLED)
        assert annotation_keys() | kept <= slots.keys()
        assert ("obsp", "scllmda_pooled") in slots or name not in POOLED
        # Nothing is as large as cells times peaks, and loadings take two bytes each.
        assert query.varm["scllmda_loadings"].dtype == np.float16
        assert query.varm["scllmda_n_open"].columns.tolist() == query.obsm["scllmda_proba"].columns.tolist()
        links = query.obsp.get("scllmda_pooled")
        assert links is None or links.nnz <= 4 * RobustRecipe().widths[-1] * query.n_obs

    def test_another_method_leaves_none_of_it(self) -> None:
        query, reference = case("other peaks").query.copy(), other_peaks()[1]
        sl.tl.annotate(query, reference, method="lsi_lr")
        assert not evidence_keys(pooled=True) & snapshot(query).keys()
        assert "evidence" not in query.uns["scllmda"]


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"cells": "nobody"}, KeyError, r"cells='nobody'; expected the name of a cell, or a label .*'CD8 T'"),
            ({"cells": ["query-0", "nobody"]}, KeyError, r"1 of 2 cells \(first: 'nobody'\) are not"),
            ({"cells": np.zeros(100, dtype=bool)}, ValueError, "No cell is asked for"),
            ({"cells": np.ones(3, dtype=bool)}, ValueError, r"mask of shape \(3,\) for 100 cells"),
            ({"cells": "B", "against": "nothing"}, KeyError, r"against='nothing'; expected one of the classes \['B'"),
            ({"cells": "B", "label": "nothing"}, KeyError, "label='nothing'"),
            ({"cells": "B", "against": "B"}, ValueError, "'B' against itself.* Pass against="),
            ({"cells": "B", "key": "other"}, KeyError, "annotation 'other'.*Run sl.tl.annotate first"),
            ({"cells": "B", "n_peaks": 0}, ValueError, "n_peaks=0"),
            ({"cells": "B", "motifs": {"A": np.eye(4)}}, ValueError, r"var\['sequence'\].*sl.pp.peak_sequences"),
        ],
    )
    def test_wrong_values(self, options: dict[str, Any], error: type[Exception], match: str) -> None:
        query = case("shared peaks").query
        before = snapshot(query)
        with pytest.raises(error, match=match):
            sl.get.evidence(query, **options)
        assert added(before, snapshot(query)) == set()

    def test_labels_that_rest_on_no_peaks(self) -> None:
        joint = case("one object").query
        with pytest.raises(ValueError, match=r"'reference-0'.* came with their label"):
            sl.get.evidence(joint, "reference-0")
        reference, query = pair()
        X = query.X.tolil()
        X[3] = 0
        found = annotated(with_X(query, sp.csr_matrix(X)), reference)
        with pytest.raises(ValueError, match=r"'query-3'.* no open peak"):
            sl.get.evidence(found, np.arange(100) < 5)

    def test_methods_without_evidence(self) -> None:
        reference, query = pair()
        found = annotated(query, reference, method="lsi_lr")
        with pytest.raises(ValueError, match=r"method='lsi_lr'.*expected one of \['robust'\].*Pass method='robust'"):
            sl.get.evidence(found, "B")
        adata = together()
        sl.tl.cell_embeddings(adata, n_latent=8)
        sl.tl.graph_da_annotate(adata, "cell_type")
        with pytest.raises(ValueError, match=r"rest on .obsm\['X_scllmda'\], not on peaks.*sl.tl.annotate"):
            sl.get.evidence(adata, "B")

    def test_other_objects_than_were_annotated(self) -> None:
        query, pooled = case("shared peaks").query, case("other peaks").query
        with pytest.raises(ValueError, match=r"has \d+ of the \d+ peaks.*Pass the object as it was annotated"):
            sl.get.evidence(query[:, 5:], "B")
        with pytest.raises(ValueError, match=r"has 90 of the 160 cells.*counts of neighbors"):
            sl.get.evidence(pooled[:90], "B")
        for adata in (query, pooled):
            other = with_X(adata, adata.X[:, np.random.default_rng(0).permutation(adata.n_vars)])
            other.uns, other.obsm, other.varm, other.obsp = adata.uns, adata.obsm, adata.varm, adata.obsp
            with pytest.raises(ValueError, match=r"counts are not those.*Run sl.tl.annotate on the object again"):
                sl.get.evidence(other, "B")
        lost = query.copy()
        del lost.varm["scllmda_loadings"]
        with pytest.raises(KeyError, match=r"varm\['scllmda_loadings'\]"):
            sl.get.evidence(lost, "B")
