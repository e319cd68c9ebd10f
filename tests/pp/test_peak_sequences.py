"""The DNA under every peak, in the object."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from mudata import MuData

from scllmda.pp import peak_sequences

NAMES = ["chr1:0-4", "chr9:0-3", "chr2:2-4"]
SEQUENCES = ["ACGT", "NNN", "TG"]


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nacgtn\n>chr2\nttTgg\n")
    return path


@pytest.fixture
def adata() -> AnnData:
    adata = AnnData(
        np.arange(6, dtype=np.float32).reshape(2, 3),
        obs=pd.DataFrame({"cell_type": ["B", "T"]}, index=["a", "b"]),
        var=pd.DataFrame({"gc": [0.1, 0.2, 0.3]}, index=NAMES),
    )
    adata.layers["raw"] = adata.X * 2
    adata.varm["v"] = np.arange(6.0).reshape(3, 2)
    adata.uns["note"] = "kept"
    return adata


@pytest.fixture
def mdata(adata: AnnData) -> MuData:
    rna = AnnData(np.ones((2, 2), np.float32), obs=pd.DataFrame(index=["a", "b"]), var=pd.DataFrame(index=["g1", "g2"]))
    return MuData({"atac": adata, "rna": rna})


def contents(adata: AnnData) -> dict[str, list[str]]:
    return {
        attr: sorted(filter(None, getattr(adata, attr)))
        for attr in ["obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns"]
    }


def test_writes_the_slot_and_nothing_else(adata: AnnData, fasta: Path) -> None:
    before = adata.copy()
    assert peak_sequences(adata, fasta, missing="n") is None
    assert adata.var["sequence"].tolist() == SEQUENCES
    assert contents(adata) == {**contents(before), "var": ["gc", "sequence"]}
    np.testing.assert_array_equal(adata.X, before.X)
    pd.testing.assert_frame_equal(adata.var[["gc"]], before.var)
    pd.testing.assert_frame_equal(adata.obs, before.obs)


def test_key_added_and_window(adata: AnnData, fasta: Path) -> None:
    peak_sequences(adata, str(fasta), window=6, missing="n", key_added="dna")
    assert adata.var["dna"].tolist() == ["NACGTN", "N" * 6, "TTTGGN"]
    assert "sequence" not in adata.var


def test_copy(adata: AnnData, fasta: Path) -> None:
    copied = peak_sequences(adata, fasta, missing="drop", copy=True)
    assert copied.var["sequence"].tolist() == ["ACGT", "TG"]
    assert adata.var_names.tolist() == NAMES
    assert "sequence" not in adata.var


def test_drop(adata: AnnData, fasta: Path) -> None:
    peak_sequences(adata, fasta, missing="drop")
    assert adata.var_names.tolist() == ["chr1:0-4", "chr2:2-4"]
    assert adata.var["sequence"].tolist() == ["ACGT", "TG"]
    assert adata.X.tolist() == [[0, 2], [3, 5]]
    assert adata.layers["raw"].tolist() == [[0, 4], [6, 10]]
    assert adata.varm["v"].tolist() == [[0, 1], [4, 5]]


def test_missing_raises_and_leaves_all_as_it_was(adata: AnnData, fasta: Path) -> None:
    before = contents(adata)
    with pytest.raises(ValueError, match="1 of 3 peaks lie on 1 contigs that the FASTA lacks"):
        peak_sequences(adata, fasta)
    assert contents(adata) == before


def test_nothing_left_to_keep(adata: AnnData, fasta: Path) -> None:
    adata = adata[:, [1]].copy()
    with pytest.raises(ValueError, match="None of the 1 peaks lies on a contig"):
        peak_sequences(adata, fasta, missing="drop")
    assert adata.n_vars == 1


def test_view(adata: AnnData, fasta: Path) -> None:
    view = adata[:, [2, 0]]
    peak_sequences(view, fasta)
    assert view.var["sequence"].tolist() == ["TG", "ACGT"]
    assert "sequence" not in adata.var


def test_columns_of_var(adata: AnnData, fasta: Path) -> None:
    adata.var[["chr", "start", "end"]] = [["1", 1, 3], ["2", 0, 1], ["1", 0, 1]]
    adata.var_names = ["p1", "p2", "p3"]
    peak_sequences(adata, fasta)
    assert adata.var["sequence"].tolist() == ["CG", "T", "A"]


def test_genome_object(adata: AnnData, fasta: Path) -> None:
    peak_sequences(adata, SimpleNamespace(fasta=fasta), missing="n")
    assert adata.var["sequence"].tolist() == SEQUENCES


def test_genome_noted_in_the_object(adata: AnnData, fasta: Path) -> None:
    adata.uns["files"] = {"genome": str(fasta)}
    peak_sequences(adata, missing="n")
    assert adata.var["sequence"].tolist() == SEQUENCES


def test_genome_noted_in_the_mudata(mdata: MuData, fasta: Path) -> None:
    mdata.uns["files"] = {"fragments": "fragments.tsv.gz", "genome": str(fasta)}
    peak_sequences(mdata, missing="n")
    assert mdata["atac"].var["sequence"].tolist() == SEQUENCES


@pytest.mark.parametrize("files", [None, {"fragments": "fragments.tsv.gz"}])
def test_no_genome(adata: AnnData, files: dict[str, str] | None) -> None:
    if files:
        adata.uns["files"] = files
    with pytest.raises(ValueError, match=r"Found neither genome= nor .uns\['files'\]\['genome'\].*locate_genome"):
        peak_sequences(adata)


def test_genome_of_another_type(adata: AnnData) -> None:
    with pytest.raises(TypeError, match="Found genome=38; expected the path of a FASTA"):
        peak_sequences(adata, 38)


def test_mudata(mdata: MuData, fasta: Path) -> None:
    assert peak_sequences(mdata, fasta, missing="n") is None
    assert mdata["atac"].var["sequence"].tolist() == SEQUENCES
    assert list(mdata["rna"].var) == []


def test_mudata_drop(mdata: MuData, fasta: Path) -> None:
    columns = sorted(mdata.obs), sorted(mdata.var)
    peak_sequences(mdata, fasta, missing="drop")
    assert mdata["atac"].var["sequence"].tolist() == ["ACGT", "TG"]
    assert mdata.var_names.tolist() == ["chr1:0-4", "chr2:2-4", "g1", "g2"]
    assert mdata.shape == (2, 4)
    assert (sorted(mdata.obs), sorted(mdata.var)) == columns


def test_mudata_copy_drop(mdata: MuData, fasta: Path) -> None:
    copied = peak_sequences(mdata, fasta, missing="drop", copy=True)
    assert copied.shape == (2, 4)
    assert mdata.shape == (2, 5)
    assert "sequence" not in mdata["atac"].var


def test_mudata_view(mdata: MuData, fasta: Path) -> None:
    view = mdata[["a"]]
    with pytest.raises(ValueError, match=r"view of a MuData and missing='drop'.*\.copy\(\)"):
        peak_sequences(view, fasta, missing="drop")
    assert view.shape == (1, 5)
    assert peak_sequences(view, fasta, missing="drop", copy=True).shape == (1, 4)
    peak_sequences(view, fasta, missing="n")
    assert view["atac"].var["sequence"].tolist() == SEQUENCES
    assert "sequence" not in mdata["atac"].var


def test_mudata_without_the_modality(mdata: MuData, fasta: Path) -> None:
    with pytest.raises(KeyError, match="no modality 'peaks'"):
        peak_sequences(mdata, fasta, mod="peaks")


def test_backed(adata: AnnData, fasta: Path, tmp_path: Path) -> None:
    adata.write_h5ad(tmp_path / "adata.h5ad")
    backed = read_h5ad(tmp_path / "adata.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"backed AnnData and missing='drop'.*\.to_memory\(\)"):
        peak_sequences(backed, fasta, missing="drop")
    peak_sequences(backed, fasta, missing="n")
    assert backed.isbacked
    assert backed.var["sequence"].tolist() == SEQUENCES


def test_survives_writing(adata: AnnData, fasta: Path, tmp_path: Path) -> None:
    peak_sequences(adata, fasta, missing="n")
    adata.write_h5ad(tmp_path / "adata.h5ad")
    assert read_h5ad(tmp_path / "adata.h5ad").var["sequence"].tolist() == SEQUENCES


def test_warns_if_most_sequences_are_unknown(adata: AnnData, fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("scllmda._logging.warning", warnings.append)
    peak_sequences(adata, fasta, missing="n")
    assert warnings == []
    adata.var_names = ["chr9:0-4", "chr9:5-8", "chr2:2-4"]
    peak_sequences(adata, fasta, missing="n")
    assert len(warnings) == 1
    assert warnings[0].startswith("2 of 3 sequences are nothing but N.")


def test_peaks_that_are_no_intervals(adata: AnnData, fasta: Path) -> None:
    adata.var_names = ["GATA1", "chr1:0-3", "CD4"]
    with pytest.raises(ValueError, match=r"2 of 3 peaks are no intervals by their names \(first: 'GATA1', 'CD4'\)"):
        peak_sequences(adata, fasta)


@pytest.mark.parametrize(
    ("data", "genome"),
    [
        ("celllines_gm_hek_k562_h1_hg19_seq.h5ad", "hg19_chr1_chr17_first1Mb.fa.gz"),
        ("granja2019_bmmc_10x_hg19_seq.h5ad", "hg19_chr1_chr17_first1Mb.fa.gz"),
    ],
)
def test_real_sequences(shared_data: Path, data: str, genome: str) -> None:
    adata = read_h5ad(shared_data / data)
    first_megabase = adata.var["chrom"].isin(["chr1", "chr17"]) & (adata.var["end"] < 999_000)
    adata = adata[:5, first_megabase].copy()
    peak_sequences(adata, shared_data / genome, window=256)
    known = [
        (ours, theirs)
        for ours, theirs in zip(adata.var["sequence"], adata.var["seq"], strict=True)
        if "N" not in theirs and "N" not in ours
    ]
    assert len(known) > 3
    assert all(ours == theirs for ours, theirs in known)


@pytest.mark.parametrize("missing", ["raise", "drop", "n"])
def test_a_peak_past_the_end_of_its_contig_is_kept(fasta: Path, missing: str) -> None:
    adata = AnnData(np.ones((1, 3)), var=pd.DataFrame(index=["chr1:0-4", "chr2:2-9", "chr2:1-3"]))
    peak_sequences(adata, fasta, missing=missing)
    assert adata.var["sequence"].tolist() == ["ACGT", "TGGNNNN", "TT"]


def test_a_genome_replaced_by_an_older_one_is_read_as_it_is(adata: AnnData, fasta: Path) -> None:
    peak_sequences(adata, fasta, missing="n")
    fasta.write_text(">chr1 another release\nTTGCA\n>chr2\nCAtgT\n")
    os.utime(fasta, (1_000_000_000, 1_000_000_000))
    peak_sequences(adata, fasta, missing="n")
    assert adata.var["sequence"].tolist() == ["TTGC", "NNN", "TG"]


def test_without_a_key_the_fit_is_checked_and_nothing_stored(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">chr1\nACGTACGT\n")
    adata = AnnData(np.ones((1, 1)), var=pd.DataFrame(index=["chr1:0-3"]))
    peak_sequences(adata, tmp_path / "genome.fa", key_added=None)
    assert list(adata.var) == []
    beyond = AnnData(np.ones((1, 1)), var=pd.DataFrame(index=["chr1:9-30"]))
    with pytest.raises(ValueError, match="build"):
        peak_sequences(beyond, tmp_path / "genome.fa", key_added=None)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("missing", ["raise", "drop", "n"])
def test_an_odd_name_is_left_without_a_base(fasta: Path, missing: str, window: int | None) -> None:
    names = [*[f"chr1:{i % 3}-{i % 3 + 2 + i // 3}" for i in range(9)], "chr1-0-3.1", "chr2:0-4"]
    adata = AnnData(np.ones((2, 11), dtype=np.float32), var=pd.DataFrame(index=names))
    known = adata[:, [i for i in range(11) if i != 9]].copy()
    peak_sequences(adata, fasta, missing=missing, window=window)
    peak_sequences(known, fasta, missing=missing, window=window)
    assert adata.var.loc[known.var_names, "sequence"].tolist() == known.var["sequence"].tolist()
    assert adata.n_vars == (10 if missing == "drop" else 11)
    if missing != "drop":
        assert adata.var.loc["chr1-0-3.1", "sequence"] == "N" * (window or 1)
