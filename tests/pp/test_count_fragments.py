"""Counts of fragments are those of a loop over lines and peaks, whatever the files and peaks look like."""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from scipy.sparse import csr_matrix

import scllmda as sl
from scllmda._files import columns_of_their_own

pytest.importorskip("snapatac2")

Fragment = tuple[str, int, int, str]
PEAKS = ["chr2:500-900", "chr1:100-200", "chr1:150-400", "chr1:2000-2600", "chrM:10-700", "chr3:5-90"]
"""Not sorted, with two that overlap, and one on a contig without fragments."""
BARCODES = ["AAAC-1", "CCCG", "lib1#GGGT-1", "s:TTTA_2", "x"]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of temporary files, which tests find empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def some_fragments(n: int = 400, seed: int = 0) -> list[Fragment]:
    """Return fragments by position, some of them equal, on contigs with and without peaks."""
    rng = np.random.default_rng(seed)
    contig = rng.choice(["chr1", "chr2", "chrM", "GL000220.1"], n)
    start = rng.integers(0, 3000, n)
    end = start + rng.choice([1, 40, 150, 700], n)
    barcode = rng.choice(BARCODES, n, p=[0.4, 0.3, 0.2, 0.09, 0.01])
    found = [(str(c), int(s), int(e), str(b)) for c, s, e, b in zip(contig, start, end, barcode, strict=True)]
    return sorted([*found, *found[:20]])


FRAGMENTS = some_fragments()


def text(fragments: Sequence[Fragment] = FRAGMENTS, *, more: str = "\t2") -> str:
    return "".join(f"{contig}\t{start}\t{end}\t{barcode}{more}\n" for contig, start, end, barcode in fragments)


def counted(fragments: Sequence[Fragment], peaks: Sequence[str], barcodes: Sequence[str], counting: str) -> Any:
    """Return counts (n_cells, n_peaks), by a loop."""
    X = np.zeros((len(barcodes), len(peaks)))
    for j, peak in enumerate(peaks):
        contig, _, positions = peak.partition(":")
        first, last = map(int, positions.split("-"))
        for of, start, end, barcode in fragments:
            if of != contig or barcode not in barcodes:
                continue
            ends = [first <= cut < last for cut in (start, end - 1)]
            n = {"insertion": sum(ends), "paired-insertion": any(ends), "fragment": start < last and end > first}
            X[barcodes.index(barcode), j] += n[counting]
    return X


def write_fragments(path: Path, content: str | None = None, *, gzipped: bool = False) -> Path:
    raw = (content or text()).encode()
    path.write_bytes(gzip.compress(raw) if gzipped else raw)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_fragments(tmp_path / "fragments.tsv")


def members(content: str) -> bytes:
    """Return text in gzip members one after the other, the last one empty, as bgzip writes it."""
    raw = content.encode()
    return b"".join(gzip.compress(raw[i : i + 1000]) for i in range(0, len(raw), 1000)) + gzip.compress(b"")


HEADER = "# id=a\n# reference_path=/ref/refdata-cellranger-arc-GRCh38-2020-A\n#\n# primary_contig=chr1\n"
SHUFFLED = [FRAGMENTS[i] for i in np.random.default_rng(1).permutation(len(FRAGMENTS))]
FORMS = {
    "plain": text().encode(),
    "gzip": gzip.compress(text().encode(), mtime=0),
    "blocks": members(text()),
    "header": (HEADER + text()).encode(),
    "header, gzip": gzip.compress((HEADER + text()).encode(), mtime=0),
    "four columns": text(more="").encode(),
    "six columns": text(more="\t1\t+").encode(),
    "unsorted": text(SHUFFLED).encode(),
    "by barcode": text(sorted(FRAGMENTS, key=lambda fragment: fragment[3])).encode(),
    "CRLF": text().replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_files(form: str, tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "my fragments"
    path.write_bytes(FORMS[form])
    adata = sl.pp.count_fragments(path, PEAKS, min_fragments=1)
    assert adata.obs_names.tolist() == sorted(BARCODES)
    assert isinstance(adata.X, csr_matrix)
    assert (adata.X.dtype, adata.X.has_canonical_format) == (np.float32, True)
    np.testing.assert_array_equal(adata.X.toarray(), counted(FRAGMENTS, PEAKS, sorted(BARCODES), "insertion"))
    assert adata.uns.get("genome") == ("hg38" if "header" in form else None)
    assert sorted(tmp_path.iterdir()) == sorted([path, temporary])
    assert not any(temporary.iterdir())


@pytest.mark.parametrize("counting", ["insertion", "fragment", "paired-insertion"])
def test_what_is_counted(counting: Any, path: Path) -> None:
    adata = sl.pp.count_fragments(path, PEAKS, min_fragments=1, counting=counting)
    names = adata.obs_names.tolist()
    np.testing.assert_array_equal(adata.X.toarray(), counted(FRAGMENTS, PEAKS, names, counting))
    known = [f for f in FRAGMENTS if f[0] in {"chr1", "chr2", "chrM", "chr3"}]
    n = Counter(f[3] for f in known)
    assert adata.obs["n_fragments"].to_dict() == n
    inside = Counter(f[3] for f in known if counted([f], PEAKS, [f[3]], "fragment").any())
    np.testing.assert_allclose(adata.obs["frip"], [inside[name] / n[name] for name in names])
    summary = adata.uns["count_fragments"]
    assert (summary["counting"], summary["min_fragments"], summary["n_left_out"]) == (counting, 1, 0)
    assert summary["fraction_in_peaks"] == pytest.approx(inside.total() / n.total())
    assert set(adata.obs) == {"n_fragments", "frip"}
    assert set(adata.uns) == {"count_fragments"}


@pytest.mark.parametrize("bare_fragments", [False, True])
def test_contigs_by_other_names(bare_fragments: bool, tmp_path: Path) -> None:
    def bare(name: str) -> str:
        return name.replace("chrM", "MT").removeprefix("chr")

    fragments = [(bare(f[0]), *f[1:]) for f in FRAGMENTS] if bare_fragments else FRAGMENTS
    peaks = PEAKS if bare_fragments else list(map(bare, PEAKS))
    adata = sl.pp.count_fragments(write_fragments(tmp_path / "f.tsv", text(fragments)), peaks, min_fragments=1)
    assert adata.var_names.tolist() == peaks
    np.testing.assert_array_equal(adata.X.toarray(), counted(FRAGMENTS, PEAKS, sorted(BARCODES), "insertion"))


def test_contigs_that_cannot_be_counted(path: Path, warnings: list[str]) -> None:
    adata = sl.pp.count_fragments(path, [*PEAKS, "HLA-A*01:01:5-90"], min_fragments=1)
    assert not adata.X[:, -1].nnz
    np.testing.assert_array_equal(adata.X[:, :-1].toarray(), counted(FRAGMENTS, PEAKS, sorted(BARCODES), "insertion"))
    assert len(warnings) == 1
    assert "1 of 7 peaks are on contigs with ':' or '-'" in warnings[0]


def of_peaks(tmp_path: Path) -> dict[str, Any]:
    """Return the same peaks in every form."""
    table = pd.DataFrame([name.replace(":", "-").split("-") for name in PEAKS], columns=["chrom", "start", "end"])
    reference = AnnData(np.ones((2, len(PEAKS)), np.float32), var=pd.DataFrame({"gc": 0.5}, index=PEAKS))
    reference.uns |= {"genome": "hg38", "files": {"genome": "hg38.fa", "fragments": "others.tsv.gz"}}
    reference.write_h5ad(tmp_path / "reference.h5ad")
    with columns_of_their_own():
        both = MuData({"peaks": reference.copy()})
    bed = "track name=x\n" + "".join("\t".join([*row, "name", "5"]) + "\n" for row in table.to_numpy())
    (tmp_path / "peaks.narrowPeak").write_text(bed)
    (tmp_path / "peaks.bed.gz").write_bytes(gzip.compress(bed.encode()))
    return {
        "AnnData": reference,
        "MuData": both,
        "h5ad": tmp_path / "reference.h5ad",
        "BED": tmp_path / "peaks.narrowPeak",
        "BED, gzip": str(tmp_path / "peaks.bed.gz"),
        "names": PEAKS,
        "index": reference.var_names,
        "array": np.array(PEAKS),
        "var": reference.var,
        "table": table,
        "table with names": table.set_index(pd.Index(PEAKS)),
    }


@pytest.mark.parametrize("form", list(of_peaks(Path(tempfile.mkdtemp()))))
def test_forms_of_peaks(form: str, path: Path, tmp_path: Path) -> None:
    adata = sl.pp.count_fragments(path, of_peaks(tmp_path)[form], mod="peaks", min_fragments=1)
    assert adata.var_names.tolist() == PEAKS
    assert adata.var.columns.tolist() == ["chrom", "start", "end", "feature_types"]
    assert (
        adata.var["chrom"] + ":" + adata.var["start"].astype(str) + "-" + adata.var["end"].astype(str)
    ).tolist() == PEAKS
    np.testing.assert_array_equal(adata.X.toarray(), counted(FRAGMENTS, PEAKS, sorted(BARCODES), "insertion"))
    notes = {key: value for key, value in adata.uns.items() if key != "count_fragments"}
    of_object = form in {"AnnData", "MuData", "h5ad"}
    assert notes == ({"genome": "hg38", "files": {"genome": "hg38.fa"}} if of_object else {})


def test_names_of_the_reference_stay(path: Path) -> None:
    names = ["chr2-500-900", "chr1_100_200", "1:150-400", "chr1:2,000-2,600", "chrM:10-700", "chr3:5-90"]
    adata = sl.pp.count_fragments(path, names, min_fragments=1)
    assert adata.var_names.tolist() == names
    np.testing.assert_array_equal(adata.X.toarray(), counted(FRAGMENTS, PEAKS, sorted(BARCODES), "insertion"))


def test_peaks_without_a_position_get_zeros(path: Path, warnings: list[str]) -> None:
    many = [f"chr1:{start}-{start + 50}" for start in range(0, 2000, 100)]
    adata = sl.pp.count_fragments(path, ["odd", *many], barcodes=sorted(BARCODES))
    assert adata.var_names.tolist() == ["odd", *many]
    np.testing.assert_array_equal(adata.X.toarray()[:, 1:], counted(FRAGMENTS, many, sorted(BARCODES), "insertion"))
    assert adata.var.loc["odd", ["chrom", "start", "end"]].tolist() == ["", 0, 0]
    assert not adata.X[:, 0].nnz
    assert "1 of 21 peaks are no intervals" in warnings[0]


class TestCells:
    def test_with_enough_fragments(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        monkeypatch.setattr("scllmda._logging.result", said.append)
        n = Counter(f[3] for f in FRAGMENTS if f[0] != "GL000220.1")
        for fewest in (None, 80):
            adata = sl.pp.count_fragments(path, PEAKS, min_fragments=fewest)
            expected = sorted(name for name in n if n[name] >= (fewest or 100))
            assert adata.obs_names.tolist() == expected
            assert adata.uns["count_fragments"]["n_left_out"] == len(n) - len(expected) > 0
            np.testing.assert_array_equal(adata.X.toarray(), counted(FRAGMENTS, PEAKS, expected, "insertion"))
        share = f"{adata.uns['count_fragments']['fraction_in_peaks']:.1%}"
        assert said[1] == (
            f"Counted 2 cells × 6 peaks, with {share} of their fragments in peaks. 3 barcodes with fewer than 80 "
            "fragments are left out (min_fragments=)."
        )

    @pytest.mark.parametrize("kind", [list, pd.Index, np.array, pd.Series, tuple])
    def test_that_are_given(self, kind: Callable[[list[str]], Any], path: Path, warnings: list[str]) -> None:
        names = ["x", "none of these", "AAAC-1"]
        adata = sl.pp.count_fragments(path, PEAKS, barcodes=kind(names))
        assert adata.obs_names.tolist() == names
        np.testing.assert_array_equal(adata.X.toarray(), counted(FRAGMENTS, PEAKS, names, "insertion"))
        assert adata.obs["n_fragments"].dtype == np.int64
        assert adata.obs["n_fragments"].iloc[1] == 0
        assert (adata.uns["count_fragments"]["n_absent"], adata.uns["count_fragments"]["n_left_out"]) == (1, 0)
        assert warnings == ["1 of 3 barcodes have no fragment on a contig of the peaks: zeros."]

    def test_that_are_given_and_have_enough(self, path: Path) -> None:
        adata = sl.pp.count_fragments(path, PEAKS, barcodes=["x", "none of these", "AAAC-1"], min_fragments=50)
        assert adata.obs_names.tolist() == ["AAAC-1"]
        assert (adata.uns["count_fragments"]["n_absent"], adata.uns["count_fragments"]["n_left_out"]) == (0, 2)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("barcodes.tsv", "CCCG\nAAAC-1\n"),
            ("barcodes.tsv.gz", "CCCG\nAAAC-1\n"),
            ("barcodes.tsv", "CCCG\t5\nAAAC-1\t6\n"),
            ("singlecell.csv", "barcode,total,is__cell_barcode\nNO_BARCODE,9,0\nCCCG,8,1\nx,1,0\nAAAC-1,7,1\n"),
            ("singlecell.csv", "barcode,is_hg_cell_barcode,is_mm_cell_barcode\nx,0,0\nCCCG,0,1\nAAAC-1,1,0\n"),
            ("per_barcode_metrics.csv", "barcode,gex_barcode,is_cell\nCCCG,C,1\nx,A,0\nAAAC-1,A,1\n"),
            ("mine.csv.gz", "barcode\nCCCG\nAAAC-1\n"),
        ],
    )
    def test_of_a_file(self, name: str, content: str, path: Path, tmp_path: Path) -> None:
        file = write_fragments(tmp_path / name, content, gzipped=name.endswith(".gz"))
        adata = sl.pp.count_fragments(path, PEAKS, barcodes=file)
        assert adata.obs_names.tolist() == ["CCCG", "AAAC-1"]


class TestSamples:
    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        for folder in ("one/outs", "two/outs"):
            (tmp_path / folder).mkdir(parents=True)
        second = text(some_fragments(seed=1))
        return [
            write_fragments(tmp_path / "one" / "outs" / "atac_fragments.tsv.gz", gzipped=True),
            write_fragments(tmp_path / "two" / "outs" / "fragments.tsv.gz", second, gzipped=True),
            write_fragments(tmp_path / "GSM1_liver_fragments.bed.gz", second, gzipped=True),
        ]

    def test_several_files(self, paths: list[Path]) -> None:
        adata = sl.pp.count_fragments(paths, PEAKS, min_fragments=1)
        samples = ["one", "two", "GSM1_liver"]
        assert adata.obs_names.tolist() == [f"{name}-{sample}" for sample in samples for name in sorted(BARCODES)]
        assert adata.obs["sample"].tolist() == [sample for sample in samples for _ in BARCODES]
        both = [counted(f, PEAKS, sorted(BARCODES), "insertion") for f in (FRAGMENTS, some_fragments(seed=1))]
        np.testing.assert_array_equal(adata.X.toarray(), np.vstack([*both, both[1]]))

    def test_a_dictionary_and_barcodes(self, paths: list[Path]) -> None:
        names = ["CCCG-b", "x-a-b", "no-b", "AAAC-1-a-b"]
        adata = sl.pp.count_fragments({"a-b": paths[0], "b": paths[1]}, PEAKS, barcodes=names)
        assert adata.obs_names.tolist() == names
        assert adata.obs["sample"].tolist() == ["b", "a-b", "b", "a-b"]
        first = counted(FRAGMENTS, PEAKS, ["x", "AAAC-1"], "insertion")
        second = counted(some_fragments(seed=1), PEAKS, ["CCCG", "no"], "insertion")
        np.testing.assert_array_equal(adata.X.toarray(), [second[0], first[0], second[1], first[1]])

    def test_one_file_of_a_name(self, paths: list[Path]) -> None:
        adata = sl.pp.count_fragments({"a": paths[0]}, PEAKS, min_fragments=1)
        assert adata.obs_names.tolist() == [f"{name}-a" for name in sorted(BARCODES)]

    def test_two_of_one_name(self, paths: list[Path]) -> None:
        with pytest.raises(ValueError, match=r"Two files .* have the name 'one'; .* Pass a dictionary: fragments="):
            sl.pp.count_fragments([paths[0], paths[0]], PEAKS)

    def test_barcodes_of_no_sample(self, paths: list[Path]) -> None:
        with pytest.raises(ValueError, match=r"The barcode 'CCCG' .* barcode-sample, with one of \['a', 'b'\]"):
            sl.pp.count_fragments({"a": paths[0], "b": paths[1]}, PEAKS, barcodes=["CCCG"])


BAD = {
    "cut off": (
        gzip.compress(text().encode(), mtime=0)[:900],
        OSError,
        "UnexpectedEof.*If it was cut off, copy it again",
    ),
    "cut in the first line": (gzip.compress(text().encode(), mtime=0)[:20], OSError, "expected a whole file"),
    "an empty line": ((text() + "\n").encode(), OSError, "and no empty line"),
    "a line of text": ((text() + "chr1\tx\t9\tA\n").encode(), OSError, r"InvalidStartPosition.*chr1\\tx\\t9"),
    "names of columns": (b"chrom\tstart\tend\tbarcode\nchr1\t1\t9\tA\n", ValueError, "has to begin with '#', or to be"),
    "blanks": (b"chr1 1 9 A 1\n", ValueError, r"its first line is 'chr1 1 9 A 1'\); expected contig, start, end and"),
    "a BED of three columns": (b"chr1\t1\t9\n", ValueError, r"is no file of fragments \("),
    "nothing": (b"", ValueError, "it is empty"),
    "a header alone": (HEADER.encode(), ValueError, "it is empty"),
}


@pytest.mark.parametrize(("moved", "is_said"), [(0, False), (33_000, True)])
def test_as_many_fragments_as_by_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int, is_said: bool
) -> None:
    said: list[str] = []
    monkeypatch.setattr("scllmda._logging.warning", said.append)
    rng = np.random.default_rng(0)
    at = 100_000 + 20_000 * rng.integers(0, 200, 2000)
    everywhere = rng.integers(100_000, 4_100_000, 2000)
    fragments = [("chr1", start, start + 50, "AAAC") for start in np.sort(np.concatenate([at, everywhere])).tolist()]
    path = write_fragments(tmp_path / "fragments.tsv", text(fragments))
    # Peaks lie where fragments are dense, or 33 kb from there, as in another genome build.
    starts = np.arange(100_000, 4_100_000, 20_000) + moved
    peaks = [f"chr1:{start}-{start + 500}" for start in starts.tolist()]
    found = sl.pp.count_fragments(path, peaks).uns["count_fragments"]
    assert (found["fraction_in_peaks"] < 2 * found["fraction_by_chance"]) == is_said
    assert any("do by chance, after shifting the peaks" in text for text in said) == is_said


@pytest.mark.parametrize("what", BAD)
def test_files_that_are_none(what: str, tmp_path: Path, temporary: Path) -> None:
    content, error, words = BAD[what]
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(content)
    with pytest.raises(error, match=words):
        sl.pp.count_fragments(path, PEAKS)
    assert not any(temporary.iterdir())


def test_other_genomes(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"None of \d+ fragments lies in one of 1 peaks.*chr1 or 1"):
        sl.pp.count_fragments(path, ["chr1:100000-200000"], min_fragments=1)
    with pytest.raises(ValueError, match=r"No fragment is on a contig of the peaks.*'GL000220.1', where no peak is"):
        sl.pp.count_fragments(path, ["chr7:100-200"])
    reference = AnnData(var=pd.DataFrame(index=PEAKS), uns={"genome": "hg19"})
    headed = write_fragments(tmp_path / "headed.tsv", HEADER + text())
    with pytest.raises(ValueError, match="of the genome build hg38, by their header, and the peaks= of hg19"):
        sl.pp.count_fragments(headed, reference)
    reference.uns["genome"] = "GRCh38.p13"
    assert sl.pp.count_fragments(headed, reference, min_fragments=1).uns["genome"] == "GRCh38.p13"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_fragments": 10_000}, "None of 5 barcodes has min_fragments=10000 fragments, 1[0-9]{2} at most"),
        (
            {"barcodes": ["AAAC", "CCCG-1"]},
            r"None of the 2 barcodes \(first: 'AAAC'\) is in the fragments, whose f",
        ),
        ({"barcodes": ["x", "AAAC-1", "x"]}, r"1 barcodes in barcodes= repeat \(first: 'x'\)"),
        ({"peaks": ["chr1:1-9", "chr1:1-9"]}, r"1 peak names of the peaks repeat \(first: 'chr1:1-9'\)"),
        ({"peaks": ["GATA1", "CD4"]}, "None of the 2 peaks is an interval"),
        ({"peaks": ["chr-1:5-90"]}, "1 of 1 peaks are on contigs with ':' or '-'"),
    ],
)
def test_what_cannot_be_counted(options: dict[str, Any], words: str, path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        sl.pp.count_fragments(**{"fragments": path, "peaks": PEAKS, **options})


def test_a_table_without_barcodes(path: Path, tmp_path: Path) -> None:
    table = write_fragments(tmp_path / "cells.csv", "cell,n\nA,5\n")
    with pytest.raises(OSError, match=r"has no column 'barcode', only \['cell', 'n'\]"):
        sl.pp.count_fragments(path, PEAKS, barcodes=table)


def test_without_snapatac2(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snapatac2", None)
    with pytest.raises(ImportError, match=r"not installed. Install it: pip install 'scllmda\[fragments\]'"):
        sl.pp.count_fragments(path, PEAKS)


def test_it_survives_files(path: Path, tmp_path: Path) -> None:
    adata = sl.pp.count_fragments({"a": path}, PEAKS, barcodes=["AAAC-1-a", "no-a"])
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = sl.io.read(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(again.obs, adata.obs)
    assert again.uns["count_fragments"] == adata.uns["count_fragments"]
    assert (again.X != adata.X).nnz == 0


class TestRealFragments:
    def test_archr_on_the_peaks_of_marrow(self, shared_data: Path) -> None:
        """They were counted by insertions in what is beside them; cells are in another order there."""
        known = ad.read_h5ad(shared_data / "archr_pbsmall_on_granja_peaks_hg19.h5ad")
        fragments = shared_data / "fragments" / "archr_pbsmall_hg19_labelled.fragments.tsv.gz"
        adata = sl.pp.count_fragments(fragments, known)
        assert adata.n_obs == known.n_obs
        assert (adata[known.obs_names].X != known.X).nnz == 0

    def test_cell_ranger_counts_insertions(self, shared_data: Path) -> None:
        """The fragments are those of some regions, so that sums over cells can only be as large as the matrix says."""
        folder = shared_data / "fragments"
        try:
            known = sl.io.read(folder / "muon_multiome_hg38.h5mu")["atac"]
        except OSError as error:
            if "weak reference" not in str(error):
                raise
            pytest.skip("mudata 0.4 cannot read what muon 0.1 wrote, by itself neither")
        exact = {}
        for counting in ("insertion", "fragment"):
            adata = sl.pp.count_fragments(
                folder / "muon_multiome_hg38.fragments.tsv.gz", known, barcodes=known.obs_names, counting=counting
            )
            assert adata.obs_names.equals(known.obs_names)
            found, expected = (np.asarray(a.X.sum(axis=0)).ravel() for a in (adata, known))
            exact[counting] = ((found > 0) & (found == expected)).sum()
            if counting == "insertion":
                assert (found <= expected + 1).all()
        assert exact == {"insertion": 117, "fragment": 1}

    @pytest.mark.parametrize(
        "name", ["picsnatac_10x_header_hg38.fragments.tsv.gz", "scploidy_rat_liver_4col.fragments.txt.gz"]
    )
    def test_bins(self, name: str, shared_data: Path) -> None:
        """Counts in bins that hold every cut: a header of 51 lines; and four columns, of a rat."""
        path = shared_data / "fragments" / name
        lines = pd.read_csv(
            path, sep="\t", header=None, comment="#", usecols=range(4), names=["chrom", "start", "end", "cell"]
        )
        cuts = pd.concat([lines.assign(at=lines["start"]), lines.assign(at=lines["end"] - 1)])
        cuts["bin"] = cuts["chrom"] + ":" + (cuts["at"] // 10**6 * 10**6).astype(str)
        cuts["bin"] += "-" + ((cuts["at"] // 10**6 + 1) * 10**6).astype(str)
        table = cuts.groupby(["cell", "bin"]).size()
        adata = sl.pp.count_fragments(path, sorted(cuts["bin"].unique()), min_fragments=1)
        assert adata.n_obs == lines["cell"].nunique()
        assert adata.uns["count_fragments"]["fraction_in_peaks"] == 1
        rows, columns = (
            adata.obs_names.get_indexer(table.index.get_level_values(0)),
            adata.var_names.get_indexer(table.index.get_level_values(1)),
        )
        assert (sp.csr_matrix((table.to_numpy(), (rows, columns)), shape=adata.shape) != adata.X).nnz == 0
        assert adata.uns.get("genome") == ("hg38" if "header" in name else None)

    def test_labels_of_blood_by_marrow(self, shared_data: Path) -> None:
        """From fragments to labels in the reference's peaks, by a third of one donor.

        Three counts per cell lie in these peaks, since the fragments are of two chromosomes.
        """
        marrow = ad.read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad")
        reference = marrow[marrow.obs["batch"] == "BMMC_D5T1"][::3].copy()
        fragments = shared_data / "fragments" / "archr_pbsmall_hg19_labelled.fragments.tsv.gz"
        query = sl.pp.count_fragments(fragments, reference)
        sl.tl.annotate(query, reference, labels_key="cell_type_coarse", device="cpu")
        labels = query.obs["scllmda_raw"].astype(str).replace({"CD4": "T", "CD8": "T", "Mono": "M"})
        assert (labels == query.obs_names.str[0]).mean() >= 0.55
        assert query.uns["scllmda"]["coverage"]["n_matched_query"] == reference.n_vars
