from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad

from scllmda.datasets import simulate
from scllmda.pp import count_fragments, peak_sequences

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {"n_reference": 80, "n_query": 60, "n_peaks": 300}


@pytest.fixture(scope="module")
def default() -> tuple[AnnData, AnnData]:
    return simulate(rng=1)


def assert_same(first: AnnData, second: AnnData) -> None:
    pd.testing.assert_frame_equal(first.obs, second.obs)
    pd.testing.assert_frame_equal(first.var, second.var)
    assert first.uns["simulation"].keys() == second.uns["simulation"].keys()
    for key, value in first.uns["simulation"].items():
        np.testing.assert_array_equal(second.uns["simulation"][key], value)
    assert first.X.indptr.tobytes() == second.X.indptr.tobytes()
    assert first.X.indices.tobytes() == second.X.indices.tobytes()
    assert first.X.data.tobytes() == second.X.data.tobytes()


def matched(reference: AnnData, query: AnnData) -> np.ndarray:
    """Return the bp that each query peak shares with the reference peak whose middle is nearest, at least 0."""
    overlap = np.zeros(query.n_vars)
    for chrom in query.var["chrom"].cat.categories:
        ours, theirs = (a.var[a.var["chrom"] == chrom] for a in (query, reference))
        start, end = (np.asarray(ours[c])[:, None] for c in ("start", "end"))
        shared = np.minimum(end, np.asarray(theirs["end"])) - np.maximum(start, np.asarray(theirs["start"]))
        overlap[np.asarray(query.var["chrom"] == chrom)] = shared.max(axis=1).clip(0)
    return overlap


def test_slots(default: tuple[AnnData, AnnData]) -> None:
    reference, query = default
    assert reference.shape == (600, 3000)
    assert query.shape == (400, 3000)
    for adata, platform, donors in ((reference, "reference", ["donor 1", "donor 2"]), (query, "query", ["donor 3"])):
        assert sp.isspmatrix_csr(adata.X)
        assert adata.X.dtype == np.float32
        assert adata.X.has_canonical_format
        assert adata.X.data.min() == 1
        assert (adata.X.data <= 2).mean() > 0.95
        assert list(adata.obs) == ["cell_type", "batch", "platform"]
        assert all(isinstance(adata.obs[c].dtype, pd.CategoricalDtype) for c in adata.obs)
        assert list(adata.obs["cell_type"].cat.categories) == [
            "CD4 T",
            "CD8 T",
            "B",
            "Plasma",
            "CD14 Mono",
            "CD16 Mono",
        ]
        assert list(adata.obs["batch"].cat.categories) == donors
        assert set(adata.obs["platform"]) == {platform}
        assert list(adata.var) == ["chrom", "start", "end", "sequence"]
        place = (
            adata.var["chrom"].astype(str) + ":" + adata.var["start"].astype(str) + "-" + adata.var["end"].astype(str)
        )
        assert list(adata.var_names) == list(place)
        assert adata.var_names.is_unique
        assert adata.var["sequence"].str.fullmatch("[ACGT]+").all()
        assert (adata.var["sequence"].str.len() == adata.var["end"] - adata.var["start"]).all()
        assert not adata.var.duplicated(["chrom", "start"]).any()
        assert adata.var.sort_values(["chrom", "start"]).index.equals(adata.var_names)
        assert list(adata.uns) == ["simulation", "atac"]
        assert not [k for k, v in adata.uns["simulation"].items() if v is None or isinstance(v, tuple)]
    assert not set(reference.obs_names) & set(query.obs_names)
    assert reference.uns["simulation"]["activity"] is not query.uns["simulation"]["activity"]


def test_depth(default: tuple[AnnData, AnnData]) -> None:
    reference, query = (np.asarray(a.X.sum(axis=1)).ravel() for a in default)
    assert np.median(reference) == pytest.approx(0.1 * 3000, rel=0.1)
    assert np.median(query) == pytest.approx(np.exp(-0.5) * 0.1 * 3000, rel=0.1)
    assert np.log(reference).std() == pytest.approx(0.4, rel=0.15)
    assert 0.05 < np.median(default[0].X.getnnz(axis=1)) / 3000 < 0.1


def test_same_seed_same_bytes() -> None:
    for first, second in zip(simulate(**SMALL, rng=3), simulate(**SMALL, rng=3), strict=True):
        assert_same(first, second)
    other = simulate(**SMALL, rng=4)[0]
    assert list(simulate(**SMALL, rng=3)[0].var_names) != list(other.var_names)


def test_generator_is_the_seed() -> None:
    seeded = simulate(**SMALL, rng=3)
    drawn = simulate(**SMALL, rng=np.random.default_rng(3))
    assert "rng" not in drawn[0].uns["simulation"]
    for first, second in zip(seeded, drawn, strict=True):
        del first.uns["simulation"]["rng"]
        assert_same(first, second)


def test_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate(**SMALL)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("name", ["genome.fa", "genome.fa.gz"])
def test_sequence_is_the_fasta(tmp_path: Path, name: str) -> None:
    pyfaidx = pytest.importorskip("pyfaidx")
    fasta = tmp_path / name
    reference, query = simulate(**SMALL, fasta=fasta)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert_same(reference, simulate(**SMALL)[0])
    content = gzip.decompress(fasta.read_bytes()) if name.endswith(".gz") else fasta.read_bytes()
    assert max(map(len, content.splitlines())) == 60
    plain = tmp_path / "plain.fa"
    plain.write_bytes(content)
    with pyfaidx.Fasta(str(plain)) as genome:
        assert list(genome.keys()) == ["chr1", "chr2", "chr3"]
        for adata in (reference, query):
            fetched = [genome[r.chrom][r.start : r.end].seq for r in adata.var.itertuples()]
            assert list(adata.var["sequence"]) == fetched


def test_fasta_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.fa.gz", "b.fa.gz"):
        simulate(**SMALL, fasta=str(tmp_path / name))
    assert (tmp_path / "a.fa.gz").read_bytes() == (tmp_path / "b.fa.gz").read_bytes()


def test_without_shift_platforms_are_alike() -> None:
    reference, query = simulate(n_peaks=500, shift=0, n_reference=1000, n_query=1000)
    assert list(reference.var_names) == list(query.var_names)
    pd.testing.assert_frame_equal(reference.var, query.var)
    totals = [np.asarray(a.X.sum(axis=1)).ravel() for a in (reference, query)]
    assert np.median(totals[0]) == pytest.approx(np.median(totals[1]), rel=0.1)
    shares = [a.obs["cell_type"].value_counts(normalize=True, sort=False) for a in (reference, query)]
    assert np.abs(shares[0] - shares[1]).max() < 0.06
    means = [np.log(np.asarray(a.X.mean(axis=0)).ravel() + 0.01) for a in (reference, query)]
    assert np.corrcoef(*means)[0, 1] > 0.97


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_disjoint_peaks(shift: float) -> None:
    reference, query = simulate(**SMALL, shared_peaks=0, shift=shift)
    assert matched(reference, query).max() == 0


@pytest.mark.parametrize(("shared_peaks", "shift"), [(0.8, 1.0), (0.5, 1.0), (0.8, 3.0), (1.0, 2.0)])
def test_shared_peaks_are_jittered(shared_peaks: float, shift: float) -> None:
    reference, query = simulate(**SMALL, shared_peaks=shared_peaks, shift=shift)
    overlap = matched(reference, query)
    assert (overlap > 0).sum() == round(300 * shared_peaks**shift)
    assert overlap[overlap > 0].min() >= 0.75 * 500
    assert not set(reference.var_names) & set(query.var_names)


def test_shift_widens_the_gap() -> None:
    correlations = []
    for shift in (0.0, 1.0, 3.0):
        reference, query = simulate(n_reference=400, n_query=400, n_peaks=400, shared_peaks=1, shift=shift)
        profiles = [np.log(np.asarray(a.X.mean(axis=0)).ravel() + 0.01) for a in (reference, query)]
        correlations.append(np.corrcoef(*profiles)[0, 1])
    assert correlations[0] > correlations[1] > correlations[2]


def test_motifs_are_in_the_dna_and_open_their_types() -> None:
    reference, _ = simulate(n_peaks=1500, n_reference=600, residual=0)
    simulation = reference.uns["simulation"]
    complement = str.maketrans("ACGT", "TGCA")
    strands = [(m, m.translate(complement)[::-1]) for m in simulation["motifs"]]
    present = np.stack([reference.var["sequence"].str.contains("|".join(s)) for s in strands], axis=1).astype(float)
    assert present.mean() > 0.05  # by chance, 10 bp are in 500 bp once in a thousand

    types = reference.obs["cell_type"].cat
    profile = np.stack([np.asarray(reference[types.codes == t].X.mean(axis=0)).ravel() for t in range(6)])
    profile = np.log(profile / profile.sum(axis=1, keepdims=True) + 1e-5)
    effect = np.linalg.lstsq(present - present.mean(axis=0), (profile - profile.mean(axis=0)).T, rcond=None)[0].T
    expected = simulation["activity"] - simulation["activity"].mean(axis=0)
    assert np.corrcoef(effect.ravel(), expected.ravel())[0, 1] > 0.8


def test_without_signal_the_dna_says_nothing() -> None:
    assert not simulate(**SMALL, signal=0)[0].uns["simulation"]["activity"].any()


def test_related_types_share_motifs() -> None:
    activity = simulate(**SMALL)[0].uns["simulation"]["activity"]
    similarity = np.corrcoef(activity)
    siblings = [similarity[i, i + 1] for i in (0, 2, 4)]
    others = similarity[np.arange(6)[:, None] // 2 > np.arange(6) // 2]
    assert min(siblings) > others.max()
    assert (activity != 0).sum(axis=1).max() <= 7


def test_absent_types() -> None:
    full, _ = simulate(**SMALL)
    reference, query = simulate(**SMALL, query_types=[5, 0])
    assert list(query.obs["cell_type"].cat.categories) == ["CD4 T", "CD16 Mono"]
    assert set(query.obs["cell_type"]) == {"CD4 T", "CD16 Mono"}
    np.testing.assert_array_equal(reference.uns["simulation"]["query_types"], [0, 5])
    np.testing.assert_array_equal(reference.X.toarray(), full.X.toarray())

    reference, query = simulate(**SMALL, reference_types=4)
    assert reference.obs["cell_type"].nunique() == 4
    assert query.obs["cell_type"].nunique() == 6


def test_every_type_is_present_among_few_cells() -> None:
    for adata in simulate(n_reference=25, n_query=25, n_peaks=50, n_types=25, shift=3):
        assert adata.obs["cell_type"].nunique() == 25
    assert adata.obs["cell_type"].cat.categories[-1] == "Type 25"


@pytest.mark.parametrize(
    "params",
    [
        {"n_reference": 1, "n_query": 1, "n_peaks": 1, "n_types": 1, "n_motifs": 1, "peak_width": 128},
        {"n_reference": 10, "n_query": 10, "n_peaks": 10, "n_types": 3, "n_motifs": 2, "shift": 3, "shared_peaks": 0.1},
    ],
)
def test_smallest(params: dict[str, Any]) -> None:
    for adata in simulate(**params):
        assert adata.n_vars == params["n_peaks"]
        assert (adata.var["start"] >= 0).all()


@pytest.mark.parametrize("part", [0, 1])
def test_h5ad_round_trip(tmp_path: Path, part: int) -> None:
    adata = simulate(**SMALL)[part]
    adata.write_h5ad(tmp_path / "simulated.h5ad")
    back = read_h5ad(tmp_path / "simulated.h5ad")
    np.testing.assert_array_equal(back.X.toarray(), adata.X.toarray())
    pd.testing.assert_frame_equal(back.obs, adata.obs)
    assert list(back.var["sequence"]) == list(adata.var["sequence"])
    assert back.uns["simulation"].keys() == adata.uns["simulation"].keys()
    for key, value in adata.uns["simulation"].items():
        np.testing.assert_array_equal(back.uns["simulation"][key], value)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"n_reference": 0}, "n_reference=0, expected an integer, at least 1"),
        ({"n_query": 0}, "n_query=0"),
        ({"n_query": 5}, "n_query=5, expected a cell for each of the 6 types"),
        ({"n_peaks": 5}, "n_peaks=5, expected at least as many as n_types, 6"),
        ({"n_peaks": 100.5}, r"n_peaks=100.5 \(float\); expected a whole number"),
        ({"n_types": 0}, "n_types=0"),
        ({"n_motifs": 0}, "n_motifs=0"),
        ({"peak_width": 50}, "peak_width=50, expected an integer, at least 128"),
        ({"shared_peaks": 1.1}, "shared_peaks=1.1, expected a share between 0 and 1"),
        ({"shared_peaks": -0.1}, "shared_peaks=-0.1"),
        ({"shift": -1}, "shift=-1, expected a number between 0"),
        ({"shift": np.nan}, "shift=nan"),
        ({"depth": 0}, "depth=0"),
        ({"signal": np.inf}, "signal=inf"),
        ({"residual": -1}, "residual=-1"),
        ({"query_types": 7}, "query_types=7, expected between 1 and n_types, 6"),
        ({"query_types": [6]}, r"query_types=\[6\], expected different indices between 0 and 5"),
        ({"query_types": ["B"]}, r"query_types=\['B'\] \(list\); expected a whole number or a list of"),
        ({"reference_types": []}, r"reference_types=\[\], expected different indices"),
        ({"reference_types": [1, 1]}, r"reference_types=\[1, 1\], expected different indices"),
    ],
)
def test_impossible_parameters(params: dict[str, Any], match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        simulate(**params)


def test_fasta_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Did not find the folder"):
        simulate(fasta=tmp_path / "nowhere" / "genome.fa")


@pytest.mark.parametrize("seed", [0, 1])
def test_peaks_are_richer_in_gc_than_what_lies_around(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of vertebrates: its own genome is not taken for a wrong build."""
    warnings: list[str] = []
    monkeypatch.setattr("scllmda._logging.warning", warnings.append)
    reference, query = simulate(n_reference=20, n_query=20, n_peaks=1500, fasta=tmp_path / "genome.fa", rng=seed)
    for adata in (reference, query):
        known = adata.var.pop("sequence").tolist()
        peak_sequences(adata, tmp_path / "genome.fa")
        assert adata.var["sequence"].tolist() == known
    assert warnings == []


def counted(fragments: pd.DataFrame, peaks: pd.DataFrame, cells: pd.Index) -> np.ndarray:
    """Count both ends of each fragment in the peaks of sorted ``var``, (cells, peaks)."""
    counts = np.zeros((len(cells), len(peaks)))
    row = cells.get_indexer(fragments["barcode"])
    for chrom in peaks["chrom"].cat.categories:
        on = np.flatnonzero(peaks["chrom"] == chrom)
        starts, ends = peaks["start"].to_numpy()[on], peaks["end"].to_numpy()[on]
        for site in (fragments["start"], fragments["end"] - 1):
            here = (fragments["chrom"] == chrom).to_numpy()
            peak = np.searchsorted(starts, site[here], side="right") - 1
            inside = (peak >= 0) & (site[here] < ends[peak])
            np.add.at(counts, (row[here][inside], on[peak[inside]]), 1)
    return counts


@pytest.mark.parametrize("settings", [{}, {"peak_width": 128, "shift": 3}, {"shared_peaks": 1}, {"shared_peaks": 0}])
def test_fragments_are_the_counts(tmp_path: Path, settings: dict[str, Any]) -> None:
    reference, query = simulate(**SMALL, **settings, depth=0.3, fragments=tmp_path / "fragments.tsv.gz")
    assert_same(query, simulate(**SMALL, **settings, depth=0.3)[1])
    columns = ["chrom", "start", "end", "barcode", "count"]
    fragments = pd.read_csv(tmp_path / "fragments.tsv.gz", sep="\t", names=columns)
    assert fragments.equals(fragments.sort_values(["chrom", "start", "end"], kind="stable", ignore_index=True))
    assert (
        (fragments["end"] - fragments["start"]).between(2, 1.5 * query.var["end"].sub(query.var["start"]).max()).all()
    )
    np.testing.assert_array_equal(counted(fragments, query.var, query.obs_names), query.X.toarray())
    # Background is spread over all cells alike.
    per_cell = fragments["barcode"].value_counts().reindex(query.obs_names)
    in_peaks = (query.X.sum(axis=1).A1 / per_cell).to_numpy()
    assert abs(in_peaks[:30].mean() - in_peaks[30:].mean()) < 0.05
    if settings.get("shared_peaks") == 0:
        # Where only the reference has peaks, cells are as open as their type is there.
        there = counted(fragments, reference.var, query.obs_names)
        means = [
            pd.DataFrame(x).groupby(a.obs["cell_type"].to_numpy(), observed=True).mean().T
            for x, a in ((there, query), (reference.X.toarray(), reference))
        ]
        of_types = [(m.sub(m.mean(axis=1), axis=0)) for m in means]
        same = np.corrcoef(np.r_[of_types[0].to_numpy().T, of_types[1].to_numpy().T])[:6, 6:]
        assert (same.argmax(axis=1) == np.arange(6)).all()


def test_fragments_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.tsv.gz", "b.tsv.gz"):
        simulate(**SMALL, fragments=str(tmp_path / name))
    assert (tmp_path / "a.tsv.gz").read_bytes() == (tmp_path / "b.tsv.gz").read_bytes()


def test_fragments_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.*of fragments"):
        simulate(fragments=tmp_path / "nowhere" / "fragments.tsv.gz")


def test_snapatac2_counts_the_fragments_alike(tmp_path: Path) -> None:
    pytest.importorskip("snapatac2")
    query = simulate(**SMALL, fragments=tmp_path / "fragments.tsv.gz")[1]
    found = count_fragments(tmp_path / "fragments.tsv.gz", query, barcodes=query.obs_names)
    np.testing.assert_array_equal(found.X.toarray(), query.X.toarray())
