"""A query on the peaks of a reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad, read_zarr
from mudata import MuData

from scllmda.pp import match_peaks

REFERENCE = ["chr1:0-200", "chr1:300-400", "chr2:0-100"]


def on(names: list[str], X: object = None, **kwargs: object) -> AnnData:
    X = np.arange(1, 2 * len(names) + 1, dtype=np.float32).reshape(2, -1) if X is None else X
    return AnnData(X, obs=pd.DataFrame({"n": [1, 2]}, index=["a", "b"]), var=pd.DataFrame(index=names), **kwargs)


@pytest.fixture
def reference() -> AnnData:
    reference = on(REFERENCE)
    reference.var["gc"] = [0.1, 0.2, 0.3]
    return reference


def test_reindex(reference: AnnData, warnings: list[str]) -> None:
    query = on(["chr2:0-100", "chr5:1-2", "chr1:300-400", "chr1:0-200"])
    matched = match_peaks(query, reference)
    assert matched.X.toarray().tolist() == [[4, 3, 1], [8, 7, 5]]
    assert matched.X.dtype == np.float32
    assert matched.X.format == "csr"
    pd.testing.assert_frame_equal(matched.var[["gc"]], reference.var)
    assert matched.var["matched"].tolist() == [True] * 3
    assert matched.uns["match_peaks"] == {
        "n_reference": 3,
        "n_query": 4,
        "n_matched_reference": 3,
        "n_matched_query": 3,
        "fraction_of_query_counts": 28 / 36,
        "min_overlap": 0.5,
        "mode": "sum",
    }
    assert {type(value) for value in matched.uns["match_peaks"].values()} == {int, float, str}
    assert warnings == []


def test_overlapping_peaks_are_summed(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr1:100-210", "chr1:390-1000", "chr2:50-90", "chr3:0-100"])
    matched = match_peaks(query, reference)
    assert matched.X.toarray().tolist() == [[3, 0, 4], [13, 0, 9]]
    assert matched.var["matched"].tolist() == [True, False, True]
    found = matched.uns["match_peaks"]
    assert (found["n_matched_reference"], found["n_matched_query"]) == (2, 3)
    assert found["fraction_of_query_counts"] == 29 / 55
    assert found["expected_by_chance"] == 0


def test_mutual_best_peaks_are_not_summed(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr1:90-210", "chr1:390-1000", "chr2:50-90", "chr3:0-100"])
    matched = match_peaks(query, reference, mode="best")
    assert matched.X.toarray().tolist() == [[2, 0, 4], [7, 0, 9]]
    found = matched.uns["match_peaks"]
    assert (found["n_matched_reference"], found["n_matched_query"], found["mode"]) == (2, 2, "best")
    assert found["fraction_of_query_counts"] == 22 / 55


def test_a_query_peak_is_matched_once(reference: AnnData) -> None:
    matched = match_peaks(on(["chr1:150-400"]), reference, mode="best")
    assert matched.X.toarray().tolist() == [[0, 1, 0], [0, 2, 0]]


@pytest.mark.parametrize("mode", ["sum", "best"])
def test_equal_names_need_no_comparison(reference: AnnData, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("scllmda._peak_pairs.peak_positions")
    matched = match_peaks(on(REFERENCE[::-1]), reference, mode=mode)
    assert matched.X.toarray().tolist() == [[3, 2, 1], [6, 5, 4]]
    assert not {"expected_by_chance", "n_lifted"} & set(matched.uns["match_peaks"])


@pytest.mark.parametrize("form", ["{}-{}-{}", "{}_{}_{}", "{}:{}-{}"])
@pytest.mark.parametrize("prefix", ["", "chr"])
def test_names_in_other_forms(reference: AnnData, form: str, prefix: str) -> None:
    names = [form.format(f"{prefix}{c}", s, e) for c, s, e in [(2, 0, 100), (1, 0, 200), (1, 300, 400)]]
    matched = match_peaks(on(names), reference, min_overlap=1)
    assert matched.X.toarray().tolist() == [[2, 3, 1], [5, 6, 4]]
    assert matched.var_names.tolist() == REFERENCE


def test_a_peak_goes_to_itself_among_overlapping_ones() -> None:
    reference = on(["chr1:0-1000", "chr1:100-200", "chr1:150-250"])
    matched = match_peaks(on(["chr1:150-250", "chr1:100-200"]), reference)
    assert matched.X.toarray().tolist() == [[0, 2, 1], [0, 4, 3]]


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_kinds_of_counts(reference: AnnData, convert: Callable[[np.ndarray], object]) -> None:
    X = convert(np.float32([[1, 0, 2, 3], [0, 5, 0, 7]]))
    query = on(["chr1:0-90", "chr1:100-210", "chr2:50-90", "chr3:0-100"], X)
    assert match_peaks(query, reference).X.toarray().tolist() == [[1, 0, 2], [5, 0, 0]]


def test_backed_and_paths(reference: AnnData, tmp_path: Path) -> None:
    query = on(["chr1:0-90", "chr2:50-90"], sp.csr_matrix(np.float32([[1, 2], [3, 4]])))
    query.write_h5ad(tmp_path / "query.h5ad")
    reference.write_h5ad(tmp_path / "reference.h5ad")
    expected = match_peaks(query, reference)
    backed = read_h5ad(tmp_path / "query.h5ad", backed="r")
    for found in [
        match_peaks(backed, reference),
        match_peaks(str(tmp_path / "query.h5ad"), tmp_path / "reference.h5ad"),
    ]:
        assert found.X.toarray().tolist() == expected.X.toarray().tolist() == [[1, 0, 2], [3, 0, 4]]
        assert not found.isbacked


def test_what_is_kept(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr2:50-90"])
    query.obsm["X_umap"] = np.arange(4.0).reshape(2, 2)
    query.obsp["connectivities"] = sp.csr_matrix(np.eye(2))
    query.uns["note"] = {"deep": [1]}
    query.layers["raw"] = query.X
    before = query.copy()
    matched = match_peaks(query, reference)
    pd.testing.assert_frame_equal(matched.obs, before.obs)
    np.testing.assert_array_equal(matched.obsm["X_umap"], before.obsm["X_umap"])
    assert matched.obsp["connectivities"].toarray().tolist() == [[1, 0], [0, 1]]
    assert set(matched.uns) == {"note", "match_peaks"}
    assert set(matched.layers) <= {None}  # .X, by anndata 0.13

    matched.obs["n"] = 0
    matched.obsm["X_umap"][:] = 0
    matched.uns["note"]["deep"].append(2)
    matched.var["gc"] = 0
    pd.testing.assert_frame_equal(query.obs, before.obs)
    np.testing.assert_array_equal(query.obsm["X_umap"], before.obsm["X_umap"])
    assert query.uns == {"note": {"deep": [1]}}
    assert reference.var["gc"].tolist() == [0.1, 0.2, 0.3]
    assert list(reference.var) == ["gc"]
    assert list(query.var) == []


def test_mudata(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr2:50-90"])
    matched = match_peaks(MuData({"peaks": query}), MuData({"peaks": reference}), mod="peaks")
    assert matched.X.toarray().tolist() == match_peaks(query, reference).X.toarray().tolist()


def test_survives_writing(reference: AnnData, tmp_path: Path) -> None:
    matched = match_peaks(on(["chr1:0-90", "chr2:50-90"]), reference)
    matched.write_h5ad(tmp_path / "matched.h5ad")
    again = read_h5ad(tmp_path / "matched.h5ad")
    assert again.uns["match_peaks"] == matched.uns["match_peaks"]
    assert again.var["matched"].tolist() == [True, False, True]
    matched.write_zarr(tmp_path / "matched.zarr")
    assert read_zarr(tmp_path / "matched.zarr").uns["match_peaks"] == matched.uns["match_peaks"]


def test_order_of_the_query_does_not_matter(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr1:100-210", "chr1:390-1000", "chr2:50-90"])
    found, expected = match_peaks(query[:, ::-1].copy(), reference), match_peaks(query, reference)
    assert found.X.toarray().tolist() == expected.X.toarray().tolist()


def test_features_that_are_no_intervals(warnings: list[str]) -> None:
    matched = match_peaks(on(["CD4", "GATA1", "CD8A"]), on(["GATA1", "MS4A1"]))
    assert matched.X.toarray().tolist() == [[2, 0], [5, 0]]
    assert matched.var["matched"].tolist() == [True, False]
    assert len(warnings) == 1
    assert warnings[0].startswith("Matched by name only (1 names are shared)")


@pytest.mark.parametrize("which", ["query", "reference"])
def test_genes_among_the_peaks(reference: AnnData, which: str) -> None:
    genes = on(["CD4", "chr1:0-200", "chr1:300-400"])
    query, known = (genes, reference) if which == "query" else (on(REFERENCE[:2]), genes)
    expected = rf"The {which}: 1 of 3 peaks are no intervals by their names \(first: 'CD4'\).*leave them out"
    with pytest.raises(ValueError, match=expected):
        match_peaks(query, known)
    kept = genes[:, genes.var_names.str.contains(r"[:_-][0-9]+[-_][0-9]+$")].copy()
    pair = (kept, reference) if which == "query" else (query, kept)
    assert match_peaks(*pair).uns["match_peaks"]["n_matched_query"] == 2


@pytest.mark.parametrize("which", ["query", "reference"])
@pytest.mark.parametrize("bad", ["chr1-443-943.1", "chr1:500-500", "GATA1"])
def test_an_odd_name_among_many_is_left_out(which: str, bad: str, warnings: list[str]) -> None:
    names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(30)]
    odd, others = [*names[:7], bad, *names[8:]], [f"chr1-{1000 * i + 10}-{1000 * i + 510}" for i in range(30)]
    matched = match_peaks(on(odd), on(others)) if which == "query" else match_peaks(on(others), on(odd))
    assert matched.uns["match_peaks"]["n_matched_query"] == 29
    assert np.flatnonzero(~matched.var["matched"]).tolist() == [7]
    assert [w for w in warnings if w.startswith(f"The {which}: 1 of 30 peaks are no intervals")] == warnings


def test_columns_of_the_nearest_gene(reference: AnnData, warnings: list[str]) -> None:
    query = on([name.replace(":", "-") for name in REFERENCE])
    query.var["chr"], query.var["start"], query.var["end"] = "chr1", [7000, 8000, 9000], [7100, 8100, 9100]
    matched = match_peaks(query, reference)
    assert matched.X.toarray().tolist() == query.X.tolist()
    assert "3 of 3 peaks lie elsewhere by the columns .var['chr']" in warnings[0]
    query.var = query.var.drop(columns=["chr", "start", "end"])
    warnings.clear()
    assert match_peaks(query, reference).X.toarray().tolist() == matched.X.toarray().tolist()
    assert warnings == []


@pytest.mark.parametrize("form", ["GRCh38_{}", "Chr{}", "hg38.chr{}"])
def test_contigs_by_other_names(reference: AnnData, form: str) -> None:
    query = on([form.format(name.removeprefix("chr") if "hr{" in form else name) for name in REFERENCE])
    with pytest.raises(ValueError, match=r"No contig of the query .*rename them: query\.var_names = ") as error:
        match_peaks(query, reference)
    mend = str(error.value).split("rename them: ")[1].rstrip(".")
    exec(mend, {"query": query})
    assert match_peaks(query, reference).uns["match_peaks"]["n_matched_query"] == 3


def test_contigs_in_a_column_by_other_names(reference: AnnData) -> None:
    query = on(["a", "b", "c"])
    query.var["chrom"] = [f"GRCh38_{name.split(':')[0]}" for name in REFERENCE]
    for column, part in (("start", 0), ("end", 1)):
        query.var[column] = [int(name.split(":")[1].split("-")[part]) for name in REFERENCE]
    with pytest.raises(ValueError, match="No contig of the query") as error:
        match_peaks(query, reference)
    exec(str(error.value).split("rename them: ")[1].rstrip("."), {"query": query})
    assert match_peaks(query, reference).uns["match_peaks"]["n_matched_query"] == 3


def test_features_of_other_types(reference: AnnData) -> None:
    query = on(["CD4", *REFERENCE[:2]])
    query.var["feature_types"] = ["Gene Expression", "Peaks", "Peaks"]
    with pytest.raises(ValueError, match=r"1 of 3 features of the query are no peaks.*'Gene Expression'"):
        match_peaks(query, reference)
    kept = query[:, query.var["feature_types"] == "Peaks"].copy()
    assert match_peaks(kept, reference).uns["match_peaks"]["n_matched_query"] == 2
    # A column of another meaning is no matter.
    query.var["feature_types"] = "distal"
    query.var_names = REFERENCE
    assert match_peaks(query, reference).uns["match_peaks"]["n_matched_query"] == 3


def test_all_names_shared_need_no_intervals(warnings: list[str]) -> None:
    assert match_peaks(on(["CD4", "GATA1"]), on(["GATA1"])).X.toarray().tolist() == [[2], [4]]
    assert warnings == []


def test_nothing_shared_and_no_intervals() -> None:
    with pytest.raises(
        ValueError, match=r"share no name, and cannot be compared by position: the query's peaks are no intervals"
    ):
        match_peaks(on(["CD4"]), on(REFERENCE))


def test_nothing_matched(reference: AnnData) -> None:
    expected = (
        r"No query peak overlaps .*The query has 2 peaks such as chr1:5000-6000, chr7:1-2, "
        r"the reference 3 peaks such as chr1:0-200.*different genome builds"
    )
    with pytest.raises(ValueError, match=expected):
        match_peaks(on(["chr1:5000-6000", "chr7:1-2"]), reference)


@pytest.mark.parametrize("min_overlap", [-0.1, 1.5, np.nan])
def test_min_overlap_is_a_fraction(reference: AnnData, min_overlap: float) -> None:
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        match_peaks(reference, reference, min_overlap=min_overlap)


@pytest.mark.parametrize("what", ["query", "reference"])
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_repeated_names(reference: AnnData, what: str) -> None:
    twice = on(["chr1:0-90", "chr1:0-90"])
    with pytest.raises(ValueError, match=f"1 peak names of the {what} repeat"):
        match_peaks(*((twice, reference) if what == "query" else (reference, twice)))


def test_no_counts_at_all(reference: AnnData) -> None:
    matched = match_peaks(on(["chr1:0-90"], np.zeros((2, 1), np.float32)), reference)
    assert matched.uns["match_peaks"]["fraction_of_query_counts"] == 0
    assert matched.X.nnz == 0


@pytest.mark.parametrize("mode", ["mean", None, "Sum"])
def test_unknown_mode(reference: AnnData, mode: object) -> None:
    with pytest.raises(ValueError, match=f"Found mode={mode!r}; expected one of 'sum', 'best'"):
        match_peaks(reference, reference, mode=mode)


# From A to B: chr1 moves by 1,000 from base 100 on, where a gap of 400 opens at 350; chr2 turns round and becomes chr9.
CHAIN = """#from A to B
chain 9 chr1 2000 + 100 1000 chr1 5000 + 1100 2400 1
250\t0\t400
650

chain 9 chr2 1000 + 0 1000 chr9 1000 - 0 1000 2
1000

"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    (tmp_path / "AToB.over.chain").write_text(CHAIN)
    return tmp_path / "AToB.over.chain"


def test_lift_over(chain: Path) -> None:
    query = on(["chr1:0-90", "1:100-200", "chr1:300-400", "chr1:500-600", "chr2:0-100"])
    query.uns["genome"] = "A"
    reference = on(["chr1:1100-1200", "chr1:1900-2000", "chr9:900-1000", "chr1:0-90", "chr2:0-100"])
    reference.uns["genome"] = "B"
    matched = match_peaks(query, reference, chain=chain)
    assert matched.X.toarray().tolist() == [[2, 4, 5, 0, 0], [7, 9, 10, 0, 0]]
    assert matched.uns["genome"] == "B"
    assert query.uns == {"genome": "A"}
    assert query.var_names[1] == "1:100-200"
    found = matched.uns["match_peaks"]
    assert (found["n_query"], found["n_lifted"], found["n_matched_query"]) == (5, 3, 3)
    assert type(found["n_lifted"]) is int
    assert found["fraction_of_query_counts"] == 37 / 55
    assert found["expected_by_chance"] == 0


def test_lift_over_does_not_go_by_name(chain: Path) -> None:
    names = ["chr1:100-200", "chr1:1100-1200"]
    matched = match_peaks(on(names), on(names), chain=str(chain))
    assert matched.X.toarray().tolist() == [[0, 1], [0, 3]]


def test_lift_over_one_to_one(chain: Path) -> None:
    query, reference = on(["chr2:0-60", "chr2:60-100"]), on(["chr9:900-1000"])
    assert match_peaks(query, reference, chain=chain).X.toarray().tolist() == [[3], [7]]
    assert match_peaks(query, reference, chain=chain, mode="best").X.toarray().tolist() == [[1], [3]]


def test_genome_of_a_reference_without_one(chain: Path) -> None:
    query = on(["chr2:0-60"], uns={"genome": "A"})
    assert "genome" not in match_peaks(query, on(["chr9:900-1000"]), chain=chain).uns


def test_lifted_peaks_survive_writing(chain: Path, tmp_path: Path) -> None:
    matched = match_peaks(on(["chr2:0-60"]), on(["chr9:900-1000"]), chain=chain)
    matched.write_h5ad(tmp_path / "matched.h5ad")
    assert read_h5ad(tmp_path / "matched.h5ad").uns["match_peaks"] == matched.uns["match_peaks"]


def test_no_peak_can_be_lifted(chain: Path) -> None:
    expected = r"None of the query's peaks can be lifted over, .* contigs such as chr1, chr2\. The query has 2 peaks"
    with pytest.raises(ValueError, match=expected):
        match_peaks(on(["chr1:0-90", "chr3:0-90"]), on(REFERENCE), chain=chain)


def test_nothing_matched_after_lift_over(chain: Path) -> None:
    with pytest.raises(ValueError, match=r"No query peak overlaps.*Check that the chain leads the right way"):
        match_peaks(on(["chr2:0-90"]), on(REFERENCE), chain=chain)


def test_lift_over_needs_intervals(chain: Path) -> None:
    with pytest.raises(ValueError, match="the query's peaks and the reference's peaks are no intervals"):
        match_peaks(on(["CD4"]), on(["CD4"]), chain=chain)


def test_chain_is_read_before_counts(tmp_path: Path) -> None:
    query, reference = on(["CD4"], np.float32([[-1], [np.nan]])), on(["CD4"])
    with pytest.raises(FileNotFoundError, match=r"hg19ToHg38.*expected a UCSC chain file"):
        match_peaks(query, reference, chain=tmp_path / "hg19ToHg38.over.chain.gz")
    (tmp_path / "peaks.bed").write_text("chr1\t0\t100\n")
    with pytest.raises(ValueError, match=r"peaks\.bed' is no chain file"):
        match_peaks(query, reference, chain=tmp_path / "peaks.bed")


@pytest.mark.parametrize(
    ("genomes", "is_refused"),
    [
        (("hg19", "hg38"), True),
        (("GRCh37", "GRCh38.p14"), True),
        (("mm9", "mm10"), True),
        (("GRCm38", "GRCm39"), True),
        (("danRer10", "danRer11"), True),
        (("hg19", "GRCh37"), False),
        (("HG38", "grch38.p13"), False),
        (("mm10", "GRCm38"), False),
        (("mm39", "GRCm39"), False),
        (("DanRer11", " danrer11"), False),
        (("hg19", 38), False),
        (("hg19", None), False),
    ],
)
def test_genomes(reference: AnnData, chain: Path, genomes: tuple[object, object], is_refused: bool) -> None:
    query = on(REFERENCE)
    for data, genome in zip((query, reference), genomes, strict=True):
        if genome is not None:
            data.uns["genome"] = genome
    if not is_refused:
        assert match_peaks(query, reference).uns["genome"] == genomes[0]
        return
    expected = f"genome build '{genomes[0]}' .*the reference's of '{genomes[1]}' .*; expected the same.*as chain="
    with pytest.raises(ValueError, match=expected):
        match_peaks(query, reference)
    with pytest.raises(ValueError, match="No query peak overlaps"):
        match_peaks(query, reference, chain=chain)


HG19, HG38 = {"chr1": 249_250_621, "chr2": 243_199_373}, {"chr1": 248_956_422, "chr2": 242_193_529}


def noted(*, var: Any = None, lengths: dict[str, int] | None = None, uns: str | None = None) -> AnnData:
    """Return an object with notes of its genome build, as Cell Ranger, SnapATAC2 and users write them."""
    adata = on([name.replace(":", "-") for name in REFERENCE])
    if var is not None:
        adata.var["genome"] = var
    if lengths is not None:
        columns = {"reference_seq_name": list(lengths), "reference_seq_length": list(lengths.values())}
        adata.uns["reference_sequences"] = pd.DataFrame(columns)
    if uns is not None:
        adata.uns["genome"] = uns
    return adata


@pytest.mark.parametrize(
    ("query", "known", "match"),
    [
        ({"var": "GRCh38"}, {"uns": "hg19"}, r"'GRCh38' \(\.var\['genome'\]\), the reference's of 'hg19'"),
        ({"lengths": HG38}, {"uns": "hg19"}, r"'hg38' \(\.uns\['reference_sequences'\]\)"),
        ({"lengths": HG38}, {"lengths": HG19}, r"'chr1', 248956422 and 249250621 bp"),
        ({"lengths": {"chr1": 5}}, {"lengths": {"chr1": 6}}, r"'chr1', 5 and 6 bp"),
    ],
)
def test_notes_of_different_builds(query: dict[str, Any], known: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        match_peaks(noted(**query), noted(**known))


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ({"uns": ""}, {"uns": "hg19"}),
        ({"uns": " "}, {}),
        ({"var": "GRCh38"}, {"uns": "hg38"}),
        ({"var": ["GRCh38", "mm10", "mm10"]}, {"uns": "hg19"}),
        ({"uns": "mine"}, {"uns": "mine"}),
        ({"lengths": HG38}, {"var": "hg38", "uns": "GRCh38.p13"}),
    ],
)
def test_notes_that_agree(query: dict[str, Any], known: dict[str, Any], warnings: list[str]) -> None:
    assert match_peaks(noted(**query), noted(**known)).uns["match_peaks"]["n_matched_query"] == 3
    assert warnings == []


@pytest.mark.parametrize(("query", "known"), [("mine", "hg38"), ("mine", "yours"), ("GRCh38_and_mm10", "hg38")])
def test_notes_that_tell_nothing(query: str, known: str, warnings: list[str]) -> None:
    match_peaks(noted(uns=query), noted(uns=known))
    (warning,) = warnings
    assert f"of the genome build {query!r}" in warning
    assert "the peaks decide" in warning
    warnings.clear()
    match_peaks(noted(uns=known), noted(uns=known))
    assert warnings == []


def test_notes_that_contradict_each_other(warnings: list[str]) -> None:
    match_peaks(noted(uns="hg19", var="GRCh38"), noted(uns="hg38"))
    (warning,) = warnings
    assert "The query's notes of its genome build contradict each other" in warning
    assert "'hg19' in .uns['genome'], 'GRCh38' in .var['genome']" in warning


def peaks(folder: Path, name: str) -> pd.DataFrame:
    return read_h5ad(folder / f"{name}.h5ad", backed="r").var[["chrom", "start", "end"]]


def named(peaks: pd.DataFrame) -> AnnData:
    names = peaks["chrom"].astype(str) + ":" + peaks["start"].astype(str) + "-" + peaks["end"].astype(str)
    return on(names.unique().tolist())


def moved(peaks: pd.DataFrame, offset: object) -> pd.DataFrame:
    return peaks.assign(start=np.maximum(peaks["start"] + offset, 0), end=peaks["end"] + offset)


def other_build(peaks: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Move every contig by an offset of its own, as that of hg38 against hg19."""
    offset = {contig: rng.integers(10_000, 600_000) for contig in peaks["chrom"].unique()}
    return moved(peaks, peaks["chrom"].astype(str).map(offset).astype(np.int64))


GRANJA, CELL_LINES = "granja2019_bmmc_10x_hg19", "celllines_gm_hek_k562_h1_hg19"


@pytest.mark.parametrize("mode", ["sum", "best"])
def test_another_build_is_refused(shared_data: Path, mode: str) -> None:
    hg19 = peaks(shared_data, GRANJA)
    expected = (
        r"0\.\d\d% of 10000 query peaks overlap a reference peak, and 0\.\d\d% do by chance.* at least twice .*"
        r"The query has 10000 peaks such as chr1:\d+-.*, the reference 10000 peaks such as chr1:845364-.*as chain="
    )
    with pytest.raises(ValueError, match=expected):
        match_peaks(named(other_build(hg19, np.random.default_rng(0))), named(hg19), mode=mode)


def test_another_species_is_refused(shared_data: Path) -> None:
    human, mouse = peaks(shared_data, CELL_LINES), peaks(shared_data, "chen2019_cortex_snareseq_mm10_atac")
    with pytest.raises(ValueError, match="do by chance"):
        match_peaks(named(mouse), named(human))


def test_lifted_over_to_the_other_build(shared_data: Path, tmp_path: Path) -> None:
    hg19 = peaks(shared_data, GRANJA)
    rng = np.random.default_rng(0)
    contigs = hg19["chrom"].astype(str).unique().tolist()
    offset = dict(zip(contigs, rng.integers(10_000, 600_000, len(contigs)).tolist(), strict=True))
    (tmp_path / "there.chain").write_text(
        "".join(
            f"chain 1 {contig} 300000000 + 0 250000000 {contig} 300000000 + {by} {250_000_000 + by} 1\n250000000\n\n"
            for contig, by in offset.items()
        )
    )
    there = moved(hg19, hg19["chrom"].astype(str).map(offset).astype(np.int64))
    matched = match_peaks(named(hg19), named(there), chain=tmp_path / "there.chain")
    assert matched.X.toarray().tolist() == named(there).X.tolist()
    assert matched.uns["match_peaks"]["n_lifted"] == 10_000
    with pytest.raises(ValueError, match="Check that the chain leads the right way"):
        match_peaks(named(there), named(hg19), chain=tmp_path / "there.chain")


def test_peaks_called_again_are_accepted(shared_data: Path) -> None:
    rng = np.random.default_rng(0)
    hg19 = peaks(shared_data, GRANJA)
    again = hg19[rng.random(len(hg19)) > 0.2]
    again = again.assign(
        start=again["start"] + rng.integers(-100, 101, len(again)),
        end=again["end"] + rng.integers(-100, 101, len(again)),
    )
    added = moved(hg19.sample(2_000, random_state=0), 5_000_000)
    found = match_peaks(named(pd.concat([again, added])), named(hg19)).uns["match_peaks"]
    assert found["n_matched_query"] == pytest.approx(len(again), rel=0.01)
    assert found["expected_by_chance"] < 0.01


@pytest.mark.parametrize(
    ("query", "reference", "observed", "expected"),
    [(GRANJA, CELL_LINES, 0.0515, 0.0100), (CELL_LINES, GRANJA, 0.0176, 0.0034)],
)
def test_other_cells_of_the_same_build_are_accepted(
    shared_data: Path, query: str, reference: str, observed: float, expected: float
) -> None:
    found = match_peaks(named(peaks(shared_data, query)), named(peaks(shared_data, reference))).uns["match_peaks"]
    assert found["n_matched_query"] / found["n_query"] == pytest.approx(observed, abs=1e-4)
    assert found["expected_by_chance"] == pytest.approx(expected, abs=1e-4)


def test_real_platforms(shared_data: Path) -> None:
    query = read_h5ad(shared_data / "cao2018_a549_scicar_hg19_atac.h5ad")[:50].copy()
    reference = read_h5ad(shared_data / "celllines_gm_hek_k562_h1_hg19.h5ad", backed="r")
    matched = match_peaks(query, reference)
    found = matched.uns["match_peaks"]
    assert matched.shape == (50, 29_269)
    assert found["n_matched_reference"] > 5_000
    assert matched.X.sum() == pytest.approx(found["fraction_of_query_counts"] * query.X.sum())
    assert matched.var["matched"].sum() == found["n_matched_reference"]


@pytest.mark.parametrize(
    ("builds", "advice"),
    [
        (("hg38", "hg19"), r"or another chain: .* as chain= \(hg38ToHg19\.over\.chain\.gz\)"),
        (("hg19", "hg19"), "expected no chain: leave chain= out. If"),
        (("hg19", "hg38"), None),
        ((None, None), None),
    ],
)
def test_the_way_that_a_chain_leads(tmp_path: Path, builds: tuple[str | None, str | None], advice: str | None) -> None:
    path = tmp_path / "hg19ToHg38.over.chain"
    path.write_text("chain 9 chr1 249250621 + 0 1000000 chr1 248956422 + 500 1000500 1\n1000000\n")
    query, reference = (
        AnnData(
            np.ones((2, 3), dtype=np.float32),
            var=pd.DataFrame(index=[f"chr1:{start}-{start + 200}" for start in (first, first + 9000, first + 30_000)]),
            uns={} if build is None else {"genome": build},
        )
        for first, build in zip((1000, 1500), builds, strict=True)
    )
    if advice is not None:
        with pytest.raises(ValueError, match=f"leads from hg19 to hg38, .* the query's of '{builds[0]}' .* {advice}"):
            match_peaks(query, reference, chain=path)
    else:
        assert match_peaks(query, reference, chain=path).uns["match_peaks"]["n_lifted"] == 3
