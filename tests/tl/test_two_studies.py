"""Reference and query of two studies: other peaks, few cells, one type, labels in doubt, and what is said of it."""

from __future__ import annotations

import io
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from tests._objects import annotated, pair

import scllmda as sl
from scllmda import _logging
from scllmda.tl._cell_space import space_of_two
from scllmda.tl._joint_counts import joint_counts_of_two
from scllmda.tl._sequences import Sequences


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return what is logged at scanpy's default verbosity, by level."""
    found: dict[str, list[str]] = {"result": [], "warning": []}
    for level, messages in found.items():
        monkeypatch.setattr(_logging, level, messages.append)
    return found


def with_peaks(adata: AnnData, n: int, *, at: int, seed: int = 0) -> AnnData:
    """Return an object with ``n`` more peaks, far from the others and open by chance."""
    rng = np.random.default_rng(seed)
    more = sp.csr_matrix(rng.random((adata.n_obs, n)) < 0.1, dtype=np.float32)
    var = pd.DataFrame(index=[f"chr9:{at + 1000 * i}-{at + 1000 * i + 500}" for i in range(n)])
    bare = AnnData(adata.X, obs=adata.obs, var=pd.DataFrame(index=adata.var_names))
    return AnnData(sp.csr_matrix(sp.hstack([bare.X, more])), obs=adata.obs, var=pd.concat([bare.var, var]))


def space(query: AnnData, reference: AnnData) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """Return where cells are, in the order that they come in, the space, and the coverage."""
    labeled, codes = np.arange(reference.n_obs), np.zeros(reference.n_obs, dtype=int)
    pairing = {"min_overlap": 0.5, "chain": None}
    joint = joint_counts_of_two(query, reference, labeled, codes, (None, None), pairing, none_allowed=False)
    rng = np.random.default_rng(0)
    sequences = Sequences(sl.encoders.get("kmer"))
    found = space_of_two(query, reference, joint, sequences, of_query=sequences, n_latent=8, rng=rng)
    return found.cells.X[np.argsort(joint.order)], found.cells, dict(found.coverage)


class TestOtherPeaks:
    def test_what_one_side_has_alone_does_not_move_cells(self) -> None:
        reference, query = pair()
        query = sl.pp.match_peaks(query, reference)
        query = query[:, query.var["matched"]].copy()
        plain, _, coverage = space(query, reference)
        more, other, wider = space(with_peaks(query, 700, at=10**6), with_peaks(reference, 900, at=10**7))
        assert wider["n_used"] == coverage["n_used"]
        np.testing.assert_allclose(abs(more), abs(plain), atol=0.02 * plain.std())
        # But for whom its cells are like.
        assert other.around is not None
        assert not np.allclose(np.linalg.norm(other.around, axis=1), np.linalg.norm(other.X, axis=1))

    @pytest.mark.parametrize("which", ["query", "reference"])
    @pytest.mark.parametrize("sequence", [False, True])
    def test_odd_names_are_left_out(self, which: str, *, sequence: bool) -> None:
        """As if they were not there, wherever they stand."""
        objects = dict(zip(("reference", "query"), pair(sequence=sequence), strict=True))
        for adata in objects.values():
            adata.var = adata.var[["sequence"]] if sequence else adata.var[[]]
        odd, rows = objects[which], [0, 5, 400]
        objects[which] = odd[:, [i for i in range(odd.n_vars) if i not in rows]].copy()
        expected = annotated(objects["query"], objects["reference"])
        odd.var_names = [f"{name}.1" if i in rows else name for i, name in enumerate(odd.var_names)]
        objects[which] = odd
        found = annotated(objects["query"], objects["reference"])
        assert found.obs["scllmda_raw"].tolist() == expected.obs["scllmda_raw"].tolist()
        np.testing.assert_allclose(found.obs["scllmda_score"], expected.obs["scllmda_score"], atol=1e-4)

    def test_neighbors_come_from_all_peaks_of_a_side(self) -> None:
        """Two kinds of query cells that no shared peak tells apart are not pooled with one another."""
        reference, query = pair()
        kind = np.arange(query.n_obs) % 2 == 0
        rng = np.random.default_rng(1)
        own = rng.random((query.n_obs, 300)) < np.where(np.equal.outer(kind, np.arange(300) < 150), 0.4, 0.02)
        query = with_peaks(query, 300, at=10**6)
        X = query.X.tolil()
        X[:, -300:] = own
        query = AnnData(sp.csr_matrix(X), obs=query.obs, var=query.var)
        found = annotated(query, reference)
        i, j = found.obsp["scllmda_connectivities"].nonzero()
        assert (kind[i] == kind[j]).mean() > 0.95

    def test_cells_without_a_shared_open_peak_are_labeled_by_their_neighbors(self) -> None:
        reference, query = pair()
        query = with_peaks(query, 300, at=10**6)
        X = query.X.tolil()
        marked = (query.obs["cell_type"] == query.obs["cell_type"].iloc[0]).to_numpy()
        X[:, -300:] = np.random.default_rng(0).random((query.n_obs, 300)) < np.where(marked, 0.5, 0.02)[:, None]
        X[0, :-300] = 0
        found = annotated(AnnData(sp.csr_matrix(X), obs=query.obs, var=query.var), reference)
        assert found.obs["scllmda_raw"].iloc[0] != "Unassigned"
        assert found.obs["scllmda_score"].iloc[0] > 0


class TestOrder:
    @pytest.mark.parametrize("what", ["peaks", "cells"])
    @pytest.mark.parametrize("sequence", [False, True])
    def test_does_not_matter(self, what: str, sequence: bool) -> None:
        reference, query = pair(sequence=sequence)
        rng = np.random.default_rng(0)
        first = annotated(query, reference, max_false_rejection=0.05)
        cells, others = (
            (rng.permutation(a.n_obs), slice(None)) if what == "cells" else (slice(None), rng.permutation(a.n_vars))
            for a in (query, reference)
        )
        second = annotated(query[cells].copy(), reference[others].copy(), max_false_rejection=0.05)
        expected = first[cells]
        for column in ("scllmda", "scllmda_raw", "scllmda_score", "scllmda_novelty"):
            np.testing.assert_array_equal(second.obs[column].to_numpy(), expected.obs[column].to_numpy())
        np.testing.assert_array_equal(second.obsm["scllmda_proba"], expected.obsm["scllmda_proba"])
        assert (second.obsp["scllmda_connectivities"] != expected.obsp["scllmda_connectivities"]).nnz == 0

    def test_of_one_object_neither(self) -> None:
        reference, query = pair()
        query.obs["cell_type"] = "unknown"
        query.var_names = reference.var_names
        adata = ad.concat([reference, query])
        order = np.random.default_rng(0).permutation(adata.n_obs)
        first, second = annotated(adata), annotated(adata[order].copy())
        for column in ("scllmda", "scllmda_score"):
            np.testing.assert_array_equal(second.obs[column].to_numpy(), first.obs[column].iloc[order].to_numpy())


class TestSmallQueries:
    @pytest.mark.parametrize("n", [1, 5, 12])
    def test_are_labeled_nearly_as_in_company(self, n: int) -> None:
        reference, query = sl.datasets.simulate(n_reference=400, n_query=150, n_peaks=1500, n_types=4, shift=0.5)
        del reference.var["sequence"], query.var["sequence"]
        truth = query.obs["cell_type"].to_numpy(str)
        right = []
        for first in range(0, 60, max(n, 6)):
            some = query[first : first + n].copy()
            found = sl.tl.annotate(some, reference, copy=True)
            assert (found.obs["scllmda"] != "Unassigned").all()
            right += (found.obs["scllmda_raw"].to_numpy(str) == truth[first : first + n]).tolist()
        together = annotated(query, reference).obs["scllmda_raw"].to_numpy(str)
        assert np.mean(right) >= (together == truth)[:60].mean() - 0.1

    def test_nothing_is_rejected_and_it_is_said(self, said: dict[str, list[str]]) -> None:
        reference, query = pair()
        found = annotated(query[:5].copy(), reference, max_false_rejection=0.01)
        assert (found.obs["scllmda"] != "Unassigned").all()
        assert "among 5 query cells no type has enough" in said["warning"][-1]
        assert "novelty_shift" not in found.uns["scllmda"]["history"]
        said["warning"].clear()
        annotated(query[:5].copy(), reference, max_false_rejection=None)
        assert said["warning"] == []

    def test_neither_by_graph_da_annotate(self, said: dict[str, list[str]]) -> None:
        rng = np.random.default_rng(0)
        truth = np.arange(130) % 3
        adata = AnnData(obs=pd.DataFrame({"cell_type": np.array(["a", "b", "c"])[truth]}, index=map(str, range(130))))
        adata.obsm["X"] = 3 * np.eye(3, 6)[truth] + 0.3 * rng.standard_normal((130, 6))
        adata.obs.iloc[90:, 0] = "unknown"
        sl.tl.graph_da_annotate(adata[:95].copy(), "cell_type", use_rep="X")
        assert "among 5 query cells no type has enough" in said["warning"].pop()
        sl.tl.graph_da_annotate(adata.copy(), "cell_type", use_rep="X")
        assert said["warning"] == []
        adata.obsm["X"][90:] += 30 * np.eye(1, 6, 5)
        sl.tl.graph_da_annotate(adata, "cell_type", use_rep="X")
        assert "none of the reference's types" in said["warning"].pop()


class TestContradictedLabels:
    def test_are_named_and_used_as_they_are(self) -> None:
        reference, query = sl.datasets.simulate(n_reference=600, n_query=150, n_peaks=1500, n_types=4, shift=0)
        del reference.var["sequence"], query.var["sequence"]
        rng = np.random.default_rng(0)
        labels = reference.obs["cell_type"].to_numpy(str)
        types, wrong = np.unique(labels), rng.random(600) < 0.15
        labels[wrong] = [rng.choice(types[types != label]) for label in labels[wrong]]
        noisy = reference.copy()
        noisy.obs["cell_type"] = labels
        found = annotated(query, noisy)
        named = np.isin(reference.obs_names, found.uns["scllmda"]["reference"]["contradicted"])
        assert named[wrong].mean() >= 0.8
        assert wrong[named].mean() >= 0.8
        np.testing.assert_array_equal(noisy.obs["cell_type"], labels)
        truth = query.obs["cell_type"].to_numpy(str)
        clean = annotated(query, reference)
        right = [(adata.obs["scllmda_raw"].to_numpy(str) == truth).mean() for adata in (found, clean)]
        assert right[0] >= right[1] - 0.05

    def test_order_of_names_is_the_reference_s(self) -> None:
        reference, query = pair()
        labels = reference.obs["cell_type"].to_numpy(str)
        labels[:20] = np.roll(np.unique(labels), 1)[np.unique(labels, return_inverse=True)[1][:20]]
        reference.obs["cell_type"] = labels
        named = annotated(query, reference).uns["scllmda"]["reference"]["contradicted"]
        assert len(named) > 0
        assert named.tolist() == [name for name in reference.obs_names if name in set(named)]


class TestWhatIsSaid:
    def test_one_line_at_default_verbosity(self) -> None:
        written, before = io.StringIO(), sc.settings.logfile
        reference, query = pair()
        sc.settings.logfile = written
        try:
            annotated(query, reference)
        finally:
            sc.settings.logfile = before
        lines = [line for line in written.getvalue().splitlines() if line.startswith("scllmda: ")]
        assert len(lines) == 1
        assert "100 cells labeled by 'robust'; 4 types; 0.0% unassigned; median score 0." in lines[0]
        assert "640 of 800 of the query's peaks are 640 of the reference's 800" in lines[0]
        assert lines[0].endswith("no sequence")

    def test_which_side_s_sequence(self, said: dict[str, list[str]]) -> None:
        reference, query = pair(sequence=True)
        for objects, side in (((query, reference), "both"), (None, "query"), (None, "reference")):
            if objects is None:
                objects = tuple(adata.copy() for adata in (query, reference))
                del objects[1 if side == "query" else 0].var["sequence"]
            found = annotated(*objects)
            assert said["result"][-1].endswith(f"sequence of {side}: .var['sequence']")
            assert found.uns["scllmda"]["coverage"]["sequence_side"] == side

    def test_few_shared_peaks(self, said: dict[str, list[str]]) -> None:
        reference, query = pair()
        annotated(query, reference)
        assert said["warning"] == []
        annotated(with_peaks(query, 6000, at=10**6), with_peaks(reference, 6000, at=10**8))
        assert "shares 640 of its 6,800 peaks with the reference (9.4%" in said["warning"][0]
        assert "count them on the reference's peaks" in said["warning"][0]

    def test_sequence_that_was_not_used(self, said: dict[str, list[str]]) -> None:
        reference, query = pair()
        reference.varm["X_kmer"] = np.ones((reference.n_vars, 3))
        annotated(query, reference)
        assert "There are sequences, and none was used" in said["warning"][0]


class TestParametersWithoutEffect:
    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ({"chain": "x.chain"}, "chain='x.chain' has no effect without reference="),
            ({"min_overlap": 0.2}, "min_overlap=0.2 has no effect without reference="),
            ({"frozen": True}, "frozen=True has no effect without reference="),
        ],
    )
    def test_without_reference(self, options: dict[str, Any], found: str) -> None:
        reference, _ = pair()
        reference.obs["cell_type"] = reference.obs["cell_type"].astype(str)
        reference.obs.iloc[:50, reference.obs.columns.get_loc("cell_type")] = "unknown"
        with pytest.raises(ValueError, match=f"{found}.*left out"):
            sl.tl.annotate(reference, **options)

    def test_genome_with_a_baseline(self) -> None:
        reference, query = pair()
        with pytest.raises(ValueError, match=r"genome='hg38.fa' has no effect with method='lsi_lr', which reads"):
            sl.tl.annotate(query, reference, method="lsi_lr", genome="hg38.fa")

    def test_those_with_effect_are_kept(self) -> None:
        reference, query = pair()
        params = annotated(query, reference, min_overlap=0.3).uns["scllmda"]["params"]
        assert (params["min_overlap"], params["frozen"]) == (0.3, False)
        assert "chain" not in params
        assert params["novelty_recipe"]["fewest_cells"] == 10
