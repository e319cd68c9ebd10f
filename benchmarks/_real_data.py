"""The real data of the benchmarks: files, and their batches as two sides of a transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import anndata as ad
import pandas as pd


@dataclass(frozen=True, eq=False)
class Split:
    file: str
    batches: dict[str, list[str]]
    """Of the two sides, by their names."""
    labels: tuple[str, ...] = ("cell_type",)
    """Columns, from fine to coarse."""

    def sides(self, batch: pd.Series) -> pd.Series:
        """Return the name of the side that each cell's batch is of."""
        return batch.astype(str).map({b: side for side, batches in self.batches.items() for b in batches})


GRANJA = Split(
    "granja2019_bmmc_10x_hg19.h5ad",
    {"D6T1": ["BMMC_D6T1"], "D5T1": ["BMMC_D5T1"]},
    ("cell_type", "cell_type_coarse"),
)
CORTEX = Split(
    "chen2019_cortex_snareseq_mm10_atac.h5ad",
    {"A–D": ["09A", "09B", "09C", "09D"], "E–H": ["09E", "09F", "09G", "09H"]},
)
CELL_LINES = Split(
    "celllines_gm_hek_k562_h1_hg19.h5ad",
    {"sciATAC": ["sciATAC_Cusanovich2015"], "C1": ["C1_Buenrostro2015_chromVAR", "C1_Buenrostro2015_bam"]},
)
CELL_LINES_WITH_DNA = replace(CELL_LINES, file="celllines_gm_hek_k562_h1_hg19_seq.h5ad")
"""The same cells on those peaks whose DNA is known."""


@dataclass(frozen=True, eq=False)
class Side:
    """Cells of one file that are reference or query of a transfer between files."""

    file: str
    labels: str = "cell_type"
    """The column of them."""
    batches: tuple[str, ...] = ()
    """Those whose cells take part; all of them if empty."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What labels are called on the other side, where that differs."""

    def read(self, folder: Path) -> ad.AnnData:
        """Return the cells, with labels in `.obs["cell_type"]` and a name of its own for each."""
        adata = ad.read_h5ad(folder / self.file)
        if self.batches:
            adata = adata[adata.obs["batch"].isin(self.batches)].copy()
        adata.obs["cell_type"] = adata.obs[self.labels].astype(str).replace(dict(self.names))
        adata.obs_names = [f"{name}-{i}" for i, name in enumerate(adata.obs_names)]  # some files repeat them
        return adata


SCHEP = Side("schep2017_cells12_c1_hg19.h5ad", labels="cell_type_coarse")
LINES_AS_SCHEP = {"GM12878": "LCL", "H1": "ESC"}
LINES = Side(CELL_LINES.file, names=LINES_AS_SCHEP)
LINES_SCIATAC = Side(CELL_LINES.file, batches=tuple(CELL_LINES.batches["sciATAC"]), names=LINES_AS_SCHEP)
MARROW = {
    donor: Side(GRANJA.file, labels=GRANJA.labels[1], batches=tuple(batches))
    for donor, batches in GRANJA.batches.items()
}
PBMC = Side("archr_pbsmall_hg19_peaks.h5ad")
PBMC_ON_MARROW_PEAKS = Side("archr_pbsmall_on_granja_peaks_hg19.h5ad")
PBMC_OF_MARROW = {"CD4": "T", "CD8": "T"}
"""The label of the blood cells that stands for several of the marrow."""
