"""The real data of the benchmarks: files, and their batches as two sides of a transfer."""

from __future__ import annotations

from dataclasses import dataclass

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
