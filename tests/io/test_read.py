"""Objects from what Cell Ranger writes, and one mechanism for all paths."""

from __future__ import annotations

import gzip
import io
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from mudata import MuData
from scipy.io import mmwrite
from scipy.sparse import csr_matrix

import scllmda as sl

PEAKS = ["chr1:100-600", "chr2:5-80", "chrX:7-9"]
BARCODES = ["AAAC-1", "CCCG-1"]
COUNTS = np.array([[0, 3, 1, 2, 4], [5, 0, 0, 0, 7]])
"""Of three peaks and two genes, which have one name."""
FEATURES = {
    "id": [*PEAKS, "ENSG1", "ENSG2"],
    "name": [*PEAKS, "GENE", "GENE"],
    "feature_type": [*["Peaks"] * 3, *["Gene Expression"] * 2],
    "genome": ["GRCh38"] * 5,
    "interval": [*PEAKS, "chr1:0-50", "chr1:60-80"],
}


def make_h5(path: Path, n_features: int = 5, **changes: list[str]) -> Path:
    """Write a matrix as Cell Ranger does: ARC's, or with the peaks alone ATAC's."""
    sparse = csr_matrix(COUNTS[:, :n_features].astype(np.int32))
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, values in (("data", sparse.data), ("indices", sparse.indices), ("indptr", sparse.indptr)):
            matrix[name] = values
        matrix["shape"] = [n_features, 2]
        matrix["barcodes"] = np.array(BARCODES, dtype="S")
        for name, values in (FEATURES | changes).items():
            matrix[f"features/{name}"] = np.array(values[:n_features], dtype="S")
        matrix["features/_all_tag_keys"] = np.array(["genome"], dtype="S")
    return path


def make_folder(folder: Path, *, arc: bool, prefix: str = "", gzipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    n = 5 if arc else 3
    mmwrite(folder / f"{prefix}matrix.mtx", csr_matrix(COUNTS[:, :n].T), field="integer")
    (folder / f"{prefix}barcodes.tsv").write_text("".join(f"{name}\n" for name in BARCODES))
    rows = zip(*(FEATURES[name] for name in ("id", "name", "feature_type", "interval")), strict=True)
    if arc:
        lines = ["\t".join([*row[:3], *row[3].replace(":", "-").split("-")]) for row in rows]
        (folder / f"{prefix}features.tsv").write_text("\n".join(lines) + "\n")
    else:
        bed = ["\t".join(name.replace(":", "-").split("-")) for name in PEAKS]
        (folder / f"{prefix}peaks.bed").write_text("\n".join(["# id=x", *bed]) + "\n")
    if gzipped:
        for path in list(folder.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    return folder


def assert_peaks(adata: AnnData, genome: str | None) -> None:
    assert adata.obs_names.tolist() == BARCODES
    assert adata.var_names.tolist() == PEAKS
    assert adata.var["feature_types"].unique().tolist() == ["Peaks"]
    assert adata.var["gene_ids"].tolist() == PEAKS
    assert isinstance(adata.X, csr_matrix)
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS[:, :3])
    assert adata.uns.get("genome") == genome


def assert_multiome(mdata: MuData, genome: str | None) -> None:
    assert isinstance(mdata, MuData)
    assert set(mdata.mod) == {"atac", "rna"}
    assert_peaks(mdata["atac"], genome)
    assert mdata["rna"].var_names.tolist() == ["GENE", "GENE-1"]
    assert mdata["rna"].var["gene_ids"].tolist() == ["ENSG1", "ENSG2"]
    assert mdata["rna"].var["interval"].tolist() == ["chr1:0-50", "chr1:60-80"]
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), COUNTS[:, 3:])


class TestCellRanger:
    def test_h5_of_atac(self, tmp_path: Path) -> None:
        assert_peaks(sl.io.read(make_h5(tmp_path / "filtered_peak_bc_matrix.h5", 3)), "GRCh38")

    def test_h5_of_arc(self, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
        assert_multiome(sl.io.read(str(make_h5(tmp_path / "a.h5"))), "GRCh38")
        assert not [warning for warning in recwarn if "not unique" in str(warning.message)]

    def test_two_genomes_are_of_no_build(self, tmp_path: Path) -> None:
        path = make_h5(tmp_path / "a.h5", genome=["GRCh38", "mm10", "mm10", "GRCh38", "mm10"])
        assert "genome" not in sl.io.read(path)["atac"].uns

    @pytest.mark.parametrize("gzipped", [True, False])
    @pytest.mark.parametrize("prefix", ["", "GSM1_sample."])
    def test_folders(self, gzipped: bool, prefix: str, tmp_path: Path) -> None:
        atac = make_folder(tmp_path / "a", arc=False, prefix=prefix, gzipped=gzipped)
        arc = make_folder(tmp_path / "b", arc=True, prefix=prefix, gzipped=gzipped)
        assert_peaks(sl.io.read(atac), None)
        assert_multiome(sl.io.read(arc), None)

    def test_a_part_of_a_folder(self, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "a", arc=False, gzipped=True)
        for name in ("matrix.mtx.gz", "barcodes.tsv.gz", "peaks.bed.gz"):
            with pytest.raises(ValueError, match=r"is a part of a matrix of Cell Ranger; .* Pass that: ") as error:
                sl.io.read(folder / name)
            assert str(error.value).endswith(repr(str(folder)))

    def test_what_is_said(self, tmp_path: Path) -> None:
        before, said, path = sc.settings.logfile, io.StringIO(), make_h5(tmp_path / "a.h5", 3)
        sc.settings.logfile = said
        try:
            with sc.settings.verbosity.override(2):
                sl.io.read(path)
        finally:
            sc.settings.logfile = before
        assert [line.strip().partition(" ")[0] for line in said.getvalue().splitlines()] == ["reading", "finished:"]

    def test_verbosity_is_as_before_after_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise OSError

        monkeypatch.setattr(sc, "read_10x_h5", broken)
        before = sc.settings.verbosity
        with pytest.raises(OSError, match="Cannot read"):
            sl.io.read(make_h5(tmp_path / "a.h5", 3))
        assert sc.settings.verbosity == before

    def test_a_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        monkeypatch.setattr("scllmda._logging.result", said.append)
        outs = tmp_path / "run" / "outs"
        make_folder(outs / "filtered_peak_bc_matrix", arc=False)
        make_folder(outs / "raw_peak_bc_matrix", arc=False)
        assert_peaks(sl.io.read(outs), None)
        make_h5(outs / "filtered_peak_bc_matrix.h5", 3)
        make_h5(outs / "raw_peak_bc_matrix.h5", 3)
        for folder in (outs, outs.parent):
            assert_peaks(sl.io.read(folder), "GRCh38")
        assert [text.partition(": ")[2] for text in said] == [
            f"read 'filtered_peak_bc_matrix{end}', the called cells." for end in ("", ".h5", ".h5")
        ]

    def test_a_run_of_arc(self, tmp_path: Path) -> None:
        make_h5(tmp_path / "filtered_feature_bc_matrix.h5")
        assert_multiome(sl.io.read(tmp_path), "GRCh38")

    def test_all_barcodes_alone(self, tmp_path: Path) -> None:
        raw = make_h5(tmp_path / "raw_peak_bc_matrix.h5", 3)
        with pytest.raises(ValueError, match=r"holds 'raw_peak_bc_matrix.h5', of all barcodes") as error:
            sl.io.read(tmp_path)
        assert f"Pass {str(raw)!r} if all barcodes are wanted" in str(error.value)
        assert_peaks(sl.io.read(raw), "GRCh38")

    def test_other_functions_take_these_paths(self, tmp_path: Path) -> None:
        path = make_h5(tmp_path / "filtered_feature_bc_matrix.h5")
        matched = sl.pp.match_peaks(make_folder(tmp_path / "a", arc=False), path)
        np.testing.assert_array_equal(matched.X.toarray(), COUNTS[:, :3])
        assert matched.var["matched"].all()

    def test_of_expression_alone(self, tmp_path: Path) -> None:
        adata = sl.io.read(make_h5(tmp_path / "a.h5", feature_type=["Gene Expression"] * 5))
        assert isinstance(adata, AnnData)
        with pytest.raises(ValueError, match="5 of 5 features of the data are no peaks"):
            sl.pp.peak_islands(adata)

    def test_another_modality(self, tmp_path: Path) -> None:
        path = make_h5(tmp_path / "a.h5")
        with pytest.raises(KeyError, match=r"has no modality 'peaks', only \['atac', 'rna'\]"):
            sl.io.read(path, mod="peaks")


class TestDamaged:
    @pytest.mark.parametrize("name", ["matrix.mtx", "barcodes.tsv", "peaks.bed"])
    def test_cut_off(self, name: str, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "a", arc=False)
        path = folder / f"{name}.gz"
        path.write_bytes(path.read_bytes()[:-12])
        with pytest.raises(
            OSError, match=r"Cannot read '.*a' \(.*\); expected a whole file. It is damaged, incomplete"
        ):
            sl.io.read(folder)

    @pytest.mark.parametrize("name", ["barcodes.tsv", "peaks.bed"])
    def test_without_a_file(self, name: str, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "a", arc=False)
        (folder / f"{name}.gz").unlink()
        with pytest.raises(OSError, match=f"expected one file .*{name}.* in the folder, found none beside"):
            sl.io.read(folder)

    def test_with_a_file_twice(self, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "a", arc=False)
        shutil.copy(folder / "barcodes.tsv.gz", folder / "other_barcodes.tsv.gz")
        with pytest.raises(OSError, match=r"found \['barcodes.tsv.gz', 'other_barcodes.tsv.gz'\]"):
            sl.io.read(folder)

    def test_of_other_lengths(self, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "a", arc=True, gzipped=False)
        (folder / "barcodes.tsv").write_text("AAAC-1\n")
        with pytest.raises(OSError, match="has 5 rows and 2 columns, and beside it are 5 features and 1 barcodes"):
            sl.io.read(folder)

    def test_features_of_two_columns(self, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "a", arc=True, gzipped=False)
        (folder / "features.tsv").write_text("ENSG1\tGENE\n" * 5)
        with pytest.raises(OSError, match=r"features.tsv has 2 columns, and at least 3 were expected"):
            sl.io.read(folder)

    @pytest.mark.parametrize("key", ["matrix/features", "matrix/indptr"])
    def test_h5_that_lacks_something(self, key: str, tmp_path: Path) -> None:
        path = make_h5(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file[key]
        with pytest.raises(OSError, match=r"Cannot read '.*a.h5' .* damaged, incomplete or of another kind"):
            sl.io.read(path)

    def test_h5_of_something_else(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["values"] = [1.0]
        with pytest.raises(
            ValueError, match=r"holds neither an AnnData nor a MuData; .* Found the entries \['values'\]"
        ):
            sl.io.read(tmp_path / "a.h5")

    def test_a_folder_without_a_matrix(self, tmp_path: Path) -> None:
        with pytest.raises(
            ValueError, match=r"format of folder '.*'; expected a .h5ad, .h5mu, .zarr, or an .h5 or fold"
        ):
            sl.io.read(tmp_path)

    def test_fragments(self, tmp_path: Path) -> None:
        path = tmp_path / "fragments.tsv.gz"
        path.write_bytes(gzip.compress(b"chr1\t1\t9\tA\t1\n"))
        with pytest.raises(
            ValueError, match=r"Count fragments in the peaks of the reference: scllmda.pp.count_fragments\("
        ):
            sl.io.read(path)


class TestRealFiles:
    @pytest.mark.parametrize("name", ["atac_filtered_peak_bc_matrix", "multiome_filtered_feature_bc_matrix"])
    def test_h5_and_folder_hold_the_same(self, name: str, shared_data: Path) -> None:
        read = [sl.io.read(shared_data / "tenx" / f"{name}{end}") for end in (".h5", "")]
        atac = [data["atac"] if isinstance(data, MuData) else data for data in read]
        assert atac[0].shape == (1000, 174)
        assert atac[0].uns["genome"] == "GRCh38"
        for data in read:
            assert isinstance(data, MuData) == name.startswith("multiome")
        if isinstance(read[0], MuData):
            assert (read[0]["rna"].X != read[1]["rna"].X).nnz == 0
            shared = read[1]["rna"].var.columns
            pd.testing.assert_frame_equal(read[0]["rna"].var[shared].astype(str), read[1]["rna"].var.astype(str))
        assert (atac[0].X != atac[1].X).nnz == 0
        assert atac[0].var_names.equals(atac[1].var_names)
        assert atac[0].obs_names.equals(atac[1].obs_names)

    def test_as_muon_reads_it(self, shared_data: Path) -> None:
        import muon

        path = shared_data / "tenx" / "multiome_filtered_feature_bc_matrix.h5"
        ours, theirs = sl.io.read(path), muon.read_10x_h5(path)
        assert set(ours.mod) == set(theirs.mod)
        for name in ours.mod:
            pd.testing.assert_frame_equal(ours[name].var, theirs[name].var)
            assert (ours[name].X != theirs[name].X).nnz == 0

    def test_maestro(self, shared_data: Path) -> None:
        adata = sl.io.read(shared_data / "tenx" / "maestro_test_peak_count.h5")
        assert adata.shape == (100, 4283)
        assert adata.uns["genome"] == "GRCh38"
        with h5py.File(shared_data / "tenx" / "maestro_test_peak_count.h5") as file:
            assert adata.X.sum() == file["matrix/data"][()].sum()
            assert adata.obs_names.tolist() == file["matrix/barcodes"].asstr()[()].tolist()
        # Names with "_" are understood.
        assert sl.pp.peak_islands(adata).uns["peak_islands"]["n_peaks_in_islands"] == adata.n_vars

    def test_names_that_are_numbers(self, shared_data: Path) -> None:
        """Positions are in columns by other names there; what to do about it is said by whatever needs them."""
        adata = sl.io.read(shared_data / "tenx" / "scframework_mm10_named_var_unlabelled.h5ad")
        with pytest.raises(ValueError, match=r"None of the 5000 peaks .* \(first: '0'\).*\.var\['chrom'\], .*'end'\]"):
            sl.pp.peak_islands(adata)
        adata.var["end"] = adata.var["stop"]
        assert sl.pp.peak_islands(adata).uns["peak_islands"]["n_peaks"] == 5000
