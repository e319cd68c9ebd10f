"""Footprints of sites that were planted into fragments of a transposase that prefers some DNA."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from matplotlib import pyplot as plt
from mudata import MuData
from tests._objects import added, snapshot

import scllmda as sl
from scllmda._files import columns_of_their_own
from scllmda.genomics import Intervals, Motif, open_dna

mpl.use("Agg")

WORD = "TGACGTCATGC"
MOTIF = Motif("MA1", "bound", 50 * np.eye(4)[:, ["ACGT".index(base) for base in WORD]])
COMPLEMENT = str.maketrans("ACGT", "TGCA")
N_PEAKS, WIDTH, GAP = 120, 600, 250
CORE = 8
"""Places on either side of a bound site's center that are protected."""


@dataclass(frozen=True)
class Experiment:
    adata: AnnData
    genome: Path
    fragments: Path
    sites: pd.DataFrame
    preference: np.ndarray
    """(4096,) of the transposase."""


def codes(text: str) -> np.ndarray:
    return np.array(["ACGT".index(base) for base in text])


def words_around(bases: np.ndarray) -> np.ndarray:
    """Return the word around each place of a contig, 0 where it leaves the contig."""
    inner = np.lib.stride_tricks.sliding_window_view(bases, 6) @ 4 ** np.arange(5, -1, -1)
    return np.pad(inner, (3, 2))


def reverse_complement(word: int) -> int:
    digits = [3 - (word >> 2 * i & 3) for i in range(6)]
    return int(np.array(digits) @ 4 ** np.arange(5, -1, -1))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Two labels; proteins sit on the sites in cells of the first alone. Sites are on both strands."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("footprint")
    n = N_PEAKS * (WIDTH + GAP) + GAP
    bases = rng.integers(0, 4, n)
    starts = GAP + np.arange(N_PEAKS) * (WIDTH + GAP)
    at, strands = starts + rng.integers(250, 340, N_PEAKS), rng.choice(["+", "-"], N_PEAKS)
    for start, strand in zip(at, strands, strict=True):
        text = WORD if strand == "+" else WORD.translate(COMPLEMENT)[::-1]
        bases[start : start + len(WORD)] = codes(text)
    half = np.exp(rng.normal(0, 0.8, 4096))
    preference = half * half[[reverse_complement(word) for word in range(4096)]]
    rate = preference[words_around(bases)] * np.isin(np.arange(n), np.add.outer(starts, np.arange(WIDTH)).ravel())
    bound = rate.copy()
    for start, strand in zip(at, strands, strict=True):
        center = start + 5 + (strand == "-")
        bound[center - CORE : center + CORE + 1] *= 0.2
    barcodes = np.array([f"s#{i}" for i in range(40)])
    lines = []
    for label, rates in enumerate((bound, rate)):
        cuts = rng.choice(n, size=(80_000, 2), p=rates / rates.sum()).astype(int)
        cuts.sort(axis=1)
        cells = barcodes[rng.integers(0, 20, len(cuts)) + 20 * label]
        lines += [f"chr1\t{a}\t{b}\t{cell}\t1\n" for (a, b), cell in zip(cuts.tolist(), cells, strict=True) if a < b]
    with gzip.open(folder / "fragments.tsv.gz", "wt", compresslevel=1) as file:
        file.write("# made up\n" + "".join(lines[i] for i in rng.permutation(len(lines))))
    (folder / "genome.fa").write_text(">chr1\n" + "".join(np.array(list("ACGT"))[bases]) + "\n")
    adata = AnnData(sp.csr_matrix((40, N_PEAKS), dtype=np.float32), obs=pd.DataFrame(index=barcodes))
    adata.var_names = [f"chr1:{start}-{start + WIDTH}" for start in starts]
    adata.obs["label"] = pd.Categorical(np.repeat(["bound", "free"], 20))
    sites = pd.DataFrame({"chrom": "1", "start": at, "end": at + len(WORD), "strand": strands})
    return Experiment(adata, folder / "genome.fa", folder / "fragments.tsv.gz", sites, preference)


@pytest.fixture(scope="module")
def found(made: Experiment) -> AnnData:
    adata = made.adata.copy()
    sl.tl.footprint(adata, made.fragments, "bound", genome=made.genome, groupby="label", flank=200, sites=made.sites)
    return adata


def mean_in(table: pd.DataFrame, label: str, column: str, low: int, high: int) -> float:
    inside = (table["label"] == label) & table["position"].abs().between(low, high)
    return float(table.loc[inside, column].mean())


def test_recovers_the_protected_core(found: AnnData) -> None:
    table = sl.get.footprint(found)
    assert mean_in(table, "bound", "profile", 0, CORE) == pytest.approx(0.2, abs=0.05)
    assert mean_in(table, "free", "profile", 0, CORE) == pytest.approx(1, abs=0.1)
    for label in ("bound", "free"):
        beside = table[(table["label"] == label) & (table["position"].abs() > CORE)]
        assert beside["profile"].mean() == pytest.approx(1, abs=0.05)
        # What preference alone does at each of the places is what is taken out.
        assert beside["profile"].std() < 0.5 * beside["uncorrected"].std()
    free = table[(table["label"] == "free") & (table["position"].abs() <= CORE)]
    assert abs(free["uncorrected"] - 1).max() > 0.5, "the motif is DNA that is cut more, or less, than other"
    assert abs(free["profile"] - 1).max() < 0.4 * abs(free["uncorrected"] - 1).max()
    assert found.uns["footprint"]["n_sites"] == N_PEAKS


def test_counts_are_those_of_a_loop(made: Experiment, found: AnnData) -> None:
    table = sl.get.footprint(found).set_index(["label", "position"])["n_insertions"]
    text = gzip.decompress(made.fragments.read_bytes()).decode()
    lines = [line.split("\t") for line in text.splitlines()[1:]]
    cuts = pd.DataFrame([(int(a), int(b), int(cell[2:]) < 20) for _, a, b, cell, _ in lines])
    expected = {label: np.zeros(401, dtype=int) for label in ("bound", "free")}
    for start, strand in zip(made.sites["start"], made.sites["strand"], strict=True):
        center = start + 5 + (strand == "-")
        for column in (0, 1):
            distance = (cuts[column] - center) * (1 if strand == "+" else -1)
            for label, mine in (("bound", cuts[2]), ("free", ~cuts[2])):
                inside = distance[mine & (abs(distance) <= 200)]
                expected[label] += np.bincount(inside + 200, minlength=401)
    for label, counts in expected.items():
        np.testing.assert_array_equal(table[label].to_numpy(), counts)
    totals = found.uns["footprint"]["labels"]
    assert totals["n_cells"].tolist() == [20, 20]
    assert totals["n_insertions"].tolist() == [int(counts.sum()) for counts in expected.values()]


def test_words_around_places(made: Experiment) -> None:
    bases = codes(made.genome.read_text().split("\n")[1])
    peaks = Intervals.from_names(["chr1:900-1000", "1:950-1100", "chr1:200-260"])
    dna = open_dna(made.genome, peaks, flank=7)
    assert dna.regions.names().tolist() == ["chr1:200-260", "chr1:900-1100"]
    expected = words_around(bases)
    for region, (start, end) in enumerate(((200, 260), (900, 1100))):
        places = np.arange(start - 7, end + 8)
        np.testing.assert_array_equal(dna.words[dna.offset[region] + places - start], expected[places])
    places = dna.place(pd.Series(["1", "chr1", "chr1", "chr2"]), np.array([1099, 1100, 200, 200]))
    assert dna.region_of(places).tolist() == [1, -1, 0, -1]


def test_preference_is_the_planted_one(made: Experiment) -> None:
    """As far as so many cuts tell, away from sites."""
    from scllmda.genomics import InsertionCounts, read_gene_table, table_sites
    from scllmda.pp import fragment_blocks, look_at

    dna = open_dna(made.genome, Intervals.from_names(made.adata.var_names), flank=200)
    counts = InsertionCounts(dna, table_sites(dna, read_gene_table(made.sites, "sites")), 1, 200)
    for block in fragment_blocks(look_at(made.fragments)):
        for end in ("start", "end"):
            place = dna.place(block["contig"], block[end].to_numpy())
            counts.add(place, np.zeros(len(place), dtype=np.int64))
    got = np.log(counts.preference())
    assert np.corrcoef(got, np.log(made.preference))[0, 1] > 0.9
    other = [reverse_complement(word) for word in range(4096)]
    np.testing.assert_allclose(got, got[other])


def test_finds_the_sites_of_the_motif_or_of_a_file(made: Experiment, found: AnnData, tmp_path: Path) -> None:
    adata = made.adata.copy()
    options = {"genome": made.genome, "groupby": "label", "flank": 200}
    sl.tl.footprint(adata, made.fragments, "Bound", motifs=[MOTIF], **options)
    text = made.genome.read_text().split("\n")[1]
    n_exact = sum(text.count(word) for word in (WORD, WORD.translate(COMPLEMENT)[::-1]))
    assert n_exact <= adata.uns["footprint"]["n_sites"] < 2 * n_exact, "and those that chance has made alike"
    assert mean_in(sl.get.footprint(adata), "bound", "profile", 0, CORE) < 0.5
    bed = made.sites.assign(name="x", score=0)[["chrom", "start", "end", "name", "score", "strand"]]
    bed.to_csv(tmp_path / "sites.bed", sep="\t", header=False, index=False)
    sl.tl.footprint(adata, made.fragments, sites=tmp_path / "sites.bed", key_added="bed", **options)
    pd.testing.assert_frame_equal(sl.get.footprint(adata, key="bed"), sl.get.footprint(found))


def test_samples_shifts_and_unlabeled_cells(made: Experiment, found: AnnData, tmp_path: Path) -> None:
    adata = made.adata.copy()
    adata.obs_names = [f"{name}-a" for name in adata.obs_names]
    moved = pd.read_csv(made.fragments, sep="\t", skiprows=1, header=None)
    moved[1] -= 4
    moved[2] += 5
    moved.to_csv(tmp_path / "moved.tsv", sep="\t", header=False, index=False)
    options = {"genome": made.genome, "groupby": "label", "flank": 200, "sites": made.sites}
    sl.tl.footprint(adata, {"a": tmp_path / "moved.tsv"}, shift=(4, -5), **options)
    pd.testing.assert_frame_equal(sl.get.footprint(adata), sl.get.footprint(found))
    adata.obs["label"] = adata.obs["label"].astype(object).replace({"free": "unknown"})
    sl.tl.footprint(adata, {"a": tmp_path / "moved.tsv"}, shift=(4, -5), **options)
    assert sl.get.footprint(adata)["label"].cat.categories.tolist() == ["bound"]


def test_writes_one_slot_which_files_hold(made: Experiment, found: AnnData, tmp_path: Path) -> None:
    before = snapshot(made.adata)
    with columns_of_their_own():
        mdata = MuData({"atac": made.adata.copy()})
    options = {"genome": made.genome, "groupby": "label", "flank": 200, "sites": made.sites}
    copy = sl.tl.footprint(mdata, made.fragments, "bound", copy=True, **options)
    assert added(before, snapshot(mdata["atac"])) == set()
    assert added(before, snapshot(copy["atac"])) == {("uns", "footprint")}
    copy.write(tmp_path / "a.h5mu")
    pd.testing.assert_frame_equal(sl.get.footprint(tmp_path / "a.h5mu"), sl.get.footprint(found))
    figure = sl.pl.footprint(found, return_fig=True)
    assert [ax.get_title() for ax in figure.axes] == [
        "corrected for Tn5's preference",
        "Tn5's preference",
        "as counted",
    ]
    raw = sl.pl.footprint(found, smooth=1, panels="profile", return_fig=True)
    lines = {line.get_label(): line for line in raw.axes[0].get_lines()}
    table = sl.get.footprint(found)
    curve = table.loc[table["label"] == "bound", "profile"].to_numpy()
    ratio = lines["bound (20 cells)"].get_ydata() / curve
    np.testing.assert_allclose(ratio, ratio[0])
    plt.close("all")


def test_errors(made: Experiment, tmp_path: Path) -> None:
    adata, options = made.adata.copy(), {"genome": made.genome, "groupby": "label"}
    call = sl.tl.footprint
    with pytest.raises(FileNotFoundError, match="fragments"):
        call(adata, tmp_path / "none.tsv", MOTIF, **options)
    with pytest.raises(FileNotFoundError, match="genome="):
        call(adata, made.fragments, MOTIF, groupby="label", genome=tmp_path / "none.fa")
    with pytest.raises(TypeError, match="no sites="):
        call(adata, made.fragments, **options)
    with pytest.raises(ValueError, match=r"None of 1 motifs has the id or name 'GATA1'.*'bound'"):
        call(adata, made.fragments, "GATA1", motifs=[MOTIF], **options)
    absent = Motif("no", "no", 50 * np.eye(4)[:, [0, 1, 2, 3] * 5])
    with pytest.raises(ValueError, match="None of 2 peaks has a site of the motif 'no'"):
        call(adata[:, :2].copy(), made.fragments, absent, **options)
    with pytest.raises(ValueError, match="None of the sites= lies in one of"):
        call(adata, made.fragments, sites=made.sites.assign(chrom="2"), **options)
    other = adata.copy()
    other.obs_names = [f"x{i}" for i in range(40)]
    with pytest.raises(ValueError, match=r"None of the 40 cells is in the fragments, whose first barcode is 's#"):
        call(other, made.fragments, MOTIF, **options)
    (tmp_path / "other.fa").write_text(">chr7\nACGT\n")
    with pytest.raises(ValueError, match=r"120 of 120 regions .* lacks; .* Pass genome="):
        call(adata, made.fragments, MOTIF, groupby="label", genome=tmp_path / "other.fa")
    with pytest.raises(TypeError, match="genome=None"):
        call(adata, made.fragments, MOTIF, groupby="label", genome=None)
    (tmp_path / "contigs.tsv").write_text("scaffold_9\t10\t90\ts#1\t1\n")
    with pytest.raises(ValueError, match="The first fragment is on 'scaffold_9', the first peak is chr1:"):
        call(adata, tmp_path / "contigs.tsv", MOTIF, **options)
    with pytest.raises(ValueError, match=r"Pass groupby= a column with labels"):
        call(adata[:, :5].copy(), made.fragments, MOTIF, unlabeled=["bound", "free"], **options)
    with pytest.raises(ValueError, match="norm_width= of flank= at most"):
        call(adata, made.fragments, MOTIF, flank=20, **options)
    other.obs_names = ["a"] * 40
    with pytest.raises(ValueError, match="names of cells repeat"):
        call(other, made.fragments, MOTIF, **options)
    with pytest.raises(KeyError, match=r"Run sl\.tl\.footprint first"):
        sl.pl.footprint(adata)
