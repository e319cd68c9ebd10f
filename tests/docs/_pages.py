"""The pages with code, and the small simulated data that their code finds."""

from __future__ import annotations

import gzip
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData
from scipy.io import mmwrite
from tests._objects import paired, together

import scllmda as sl

ROOT = Path(__file__).parents[2]


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    code: str
    line: int
    """Of its first line in the page."""


def blocks(page: Path, language: str) -> Iterator[Block]:
    """Yield the blocks of a language, those in lists too."""
    text = page.read_text()
    for found in re.finditer(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL):
        yield Block(language, textwrap.dedent(found[2]), text[: found.start()].count("\n") + 2)


def python_of(page: str) -> list[str]:
    """Return the Python code of a page of the documentation, block by block."""
    return [block.code for block in blocks(ROOT / "docs" / page, "python")]


def pages() -> list[Path]:
    """Return the README, the page for contributors and all written pages of the documentation."""
    docs = ROOT / "docs"
    written = (
        page
        for page in docs.rglob("*.md")
        if not {"_build", "generated", "tutorials"} & set(page.relative_to(docs).parts)
    )
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(written)]


@cache
def _simulated(fasta: Path) -> tuple[AnnData, AnnData]:
    return sl.datasets.simulate(n_reference=90, n_query=60, n_peaks=300, n_types=3, depth=0.2, fasta=fasta)


class World:
    """What pages find, each made when it is asked for: objects by their names, files in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fasta = folder / "hg38.fa"
        self.reference_cells, self.query_cells = (a.copy() for a in _simulated(self._fasta))
        for cells in (self.reference_cells, self.query_cells):
            del cells.var["sequence"]
        self.reference_cells.obs["lineage"] = self.reference_cells.obs["cell_type"].astype(str).str[:-1]

    def reference(self) -> AnnData:
        return self.reference_cells.copy()

    def query(self) -> AnnData:
        query = self.query_cells.copy()
        query.obs["leiden"] = query.obs["cell_type"].cat.codes.astype(str).astype("category")
        query.var["peak"] = query.var_names
        query.layers["counts"] = query.X.copy()
        return query

    def adata(self) -> AnnData:
        """Cells whose peaks have their sequences."""
        adata = self.query_cells.copy()
        sl.pp.peak_sequences(adata, self._fasta)
        return adata

    def both(self) -> AnnData:
        return together()

    def annotated(self) -> AnnData:
        """Cells with labels and sequences, enough of them for marker peaks."""
        adata, _ = sl.datasets.simulate(n_reference=300, n_peaks=800, n_types=3, depth=0.2)
        adata.obs["scllmda"] = adata.obs["cell_type"]
        self.motifs = adata.uns["simulation"]["motifs"]
        return adata

    def atlas(self) -> AnnData:
        return self.reference_cells.copy()

    def query_hg19(self) -> AnnData:
        return self.query_cells.copy()

    def multiome(self) -> MuData:
        atac = self.reference_cells.copy()
        atac.obs["donor"] = atac.obs["batch"].astype(str)
        return paired(atac, n_genes=12)

    def observed(self) -> AnnData:
        """Expression of the query, as the prediction has it."""
        rna = paired(self.query_cells, n_genes=12)["rna"][self.query_cells.obs_names].copy()
        rna.X = np.log1p(rna.X.toarray())
        return rna.X

    def write(self, name: str) -> None:
        """Write a file by its name."""
        path = self.folder / name
        if name.endswith(".h5ad"):
            {"reference": self.reference_cells, "query": self.query_cells, "query_hg19": self.query_cells}[
                path.stem
            ].write_h5ad(path)
        elif name == "dnabert2":
            pytest.importorskip("torch")  # which other pages do without
            from tests.encoders.conftest import write_dnabert2

            path.mkdir()
            write_dnabert2(path)
        elif name.endswith(".over.chain.gz"):
            with gzip.open(path, "wt") as file:
                for contig, size in self._contigs():
                    file.write(f"chain 9 {contig} {size} + 0 {size} {contig} {size} + 0 {size} 1\n{size}\n\n")
        elif name == "genes.bed":
            path.write_text("".join(f"{c}\t{a}\t{b}\tG{i}\t0\t+\n" for i, (c, a, b) in enumerate(self._genes())))
        elif name.endswith(".gtf.gz"):
            with gzip.open(path, "wt") as file:
                for i, (c, a, b) in enumerate(self._genes()):
                    file.write(f'{c}\tx\tgene\t{a + 1}\t{b}\t.\t+\t.\tgene_id "G{i}"; gene_name "G{i}";\n')
        elif name == "motifs.meme":
            self._write_motifs(path)
        elif name == "my_run":
            self._write_run(path / "outs" / "filtered_peak_bc_matrix")
        elif name == "fragments.tsv.gz":
            self._write_fragments(path)
        else:
            raise KeyError(name)

    def _write_run(self, folder: Path) -> None:
        """Write the query as Cell Ranger ATAC does."""
        folder.mkdir(parents=True)
        mmwrite(folder / "matrix.mtx", self.query_cells.X.T.astype(int))
        self.query_cells.var[["chrom", "start", "end"]].to_csv(
            folder / "peaks.bed", sep="\t", header=False, index=False
        )
        (folder / "barcodes.tsv").write_text("".join(f"{cell}\n" for cell in self.query_cells.obs_names))

    def _contigs(self) -> Iterator[tuple[str, int]]:
        for record in self._fasta.read_text().split(">")[1:]:
            name, _, bases = record.partition("\n")
            yield name, len(bases.replace("\n", ""))

    def _genes(self) -> list[tuple[str, int, int]]:
        var = self.reference_cells.var[::2]
        return [(str(c), int(a), int(b)) for c, a, b in zip(var["chrom"], var["start"], var["end"], strict=True)]

    def _write_motifs(self, path: Path) -> None:
        """Write the motifs that were planted into the peaks of annotated cells."""
        text = "MEME version 4\n\nALPHABET= ACGT\n\n"
        for i, word in enumerate(self.motifs):
            rows = "\n".join(" ".join(str(float(base == letter)) for letter in "ACGT") for base in word)
            text += f"MOTIF M{i} {word}\nletter-probability matrix: alength= 4 w= {len(word)} nsites= 20\n{rows}\n\n"
        path.write_text(text)

    def _write_fragments(self, path: Path) -> None:
        """Write three fragments for each count, in the middle of its peak: enough for every cell to pass for one."""
        counts, var = self.query_cells.X.tocoo(), self.query_cells.var
        chrom, start = var["chrom"].astype(str).to_numpy(), (var["start"] + var["end"]).to_numpy() // 2
        rows = sorted(
            (chrom[j], int(start[j]) + shift, int(start[j]) + shift + 50, self.query_cells.obs_names[i])
            for i, j in zip(counts.row, counts.col, strict=True)
            for shift in range(3)
        )
        with gzip.open(path, "wt") as file:
            file.writelines(f"{c}\t{a}\t{b}\t{cell}\t1\n" for c, a, b, cell in rows)


class Page(NamedTuple):
    """What a page finds when its first block is run."""

    names: str = ""
    """Objects, files and, as `module`, imports that the page's reader has made."""
    needs: str = ""
    """A module that has to be installed."""


PAGES: dict[str, Page] = {
    "README.md": Page("my_run reference.h5ad"),
    "CONTRIBUTING.md": Page(),
    "docs/api.md": Page(),
    "docs/index.md": Page("my_run reference.h5ad"),
    "docs/installation.md": Page("adata dnabert2"),
    "docs/methods.md": Page("sl query reference atlas multiome hg38_genes.gtf.gz"),
    "docs/troubleshooting.md": Page("sl query reference query_hg19 hg38.fa hg19ToHg38.over.chain.gz"),
    "docs/guide/cells.md": Page("query reference"),
    "docs/guide/check_reference.md": Page("query reference"),
    "docs/guide/choosing.md": Page("query reference hg38.fa"),
    "docs/guide/counts.md": Page(
        "query.h5ad query_hg19.h5ad reference.h5ad fragments.tsv.gz hg19ToHg38.over.chain.gz genes.bed",
        needs="snapatac2",
    ),
    "docs/guide/dna.md": Page("query reference hg38.fa dnabert2"),
    "docs/guide/evidence.md": Page("query reference genes.bed"),
    "docs/guide/footprints.md": Page("query reference fragments.tsv.gz hg38.fa", needs="pyjaspar"),
    "docs/guide/labels.md": Page("query reference both"),
    "docs/guide/markers.md": Page("query reference both genes.bed"),
    "docs/guide/metrics.md": Page("query reference multiome observed", needs="igraph"),
    "docs/guide/motifs.md": Page("annotated motifs.meme"),
    "docs/guide/results.md": Page("query reference multiome"),
    "docs/guide/scale.md": Page("query.h5ad reference.h5ad", needs="distributed"),
    "docs/guide/scores.md": Page("query reference"),
    "docs/guide/two_studies.md": Page("query.h5ad reference.h5ad fragments.tsv.gz", needs="snapatac2"),
}


RUN_ELSEWHERE = {
    "docs/cellxgene.md": "tests/test_cellxgene.py",
    "docs/r_users.md": "tests/test_r_users.py",
}
"""Pages whose code tests of their own run, on data of their own."""


def namespace(page: Page, folder: Path) -> dict[str, Any]:
    """Return the names that a page finds, and write its files."""
    if not page.names:
        return {}
    world, names = World(folder), {}
    for name in page.names.split():
        make: Callable[[], Any] | None = getattr(world, name, None)
        if name == "sl":
            names[name] = sl
        elif make is not None:
            names[name] = make()
        elif not (folder / name).exists():
            world.write(name)
    return names
