"""What labels of bone marrow rest on: `python benchmarks/evidence.py FOLDER`, by hand.

Donor D5T1 is annotated by D6T1 (coarse types). Of four types, the peaks that speak for the type against CD4 T cells by
being open, in the order of their contributions: how many of the first 500 lie within 100 kb of where a gene starts that
is known for the type, or for one of the others, and how many of 500 peaks would by chance. The genes are textbook
markers. Rows go to `benchmarks/evidence.csv`, and the figure of B cells to `docs/figures/`. Printed besides: what is
kept of an annotation for it, and the seconds that one cell and 1,000 cells take.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import anndata as ad
import numpy as np
import pandas as pd
from _real_data import GRANJA

import scllmda as sl
from scllmda.genomics import Intervals, nearest_starts, read_tss

OUTPUT = Path(__file__).with_suffix(".csv")
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "evidence_b_cells.png"
GENES = "genes/gencode_genes_hg19.bed.gz"
KNOWN = {
    "B": "MS4A1 CD79A CD79B PAX5 BLK CD19 CD22 FCRL1 FCRL2 FCRL3 FCRL5 FCRLA BANK1 TNFRSF13B TNFRSF13C POU2AF1 EBF1 "
    "CD37 VPREB3 TCL1A SPIB BACH2 CXCR5 IGHM IGHD IGLL5 AFF3 CD40 RALGPS2 COL19A1",
    "Mono": "CD14 LYZ CSF1R CEBPA CEBPB CEBPD FCN1 VCAN S100A8 S100A9 S100A12 CD36 MAFB KLF4 TLR2 TLR4 CLEC7A CD93 "
    "SPI1 ITGAX ITGAM LILRB2 LILRA5 TREM1 FCGR1A ALOX5 NLRP3 IL1B CCR1 TGFBI",
    "NK": "NKG7 GNLY PRF1 GZMB KLRD1 KLRC1 KLRF1 NCAM1 FGFBP2 FCGR3A KIR2DL1 KIR3DL1 CD247 TBX21 EOMES SH2D1B XCL1 "
    "XCL2 CLIC3 SPON2 NCR1 IL2RB PRSS23 KLRB1 CTSW S1PR5",
    "CD8": "CD8A CD8B GZMK GZMA GZMH EOMES CCL5 CST7 KLRG1 CD3D CD3E CD3G NKG7 PRF1 RUNX3 CRTAM ZNF683 CCL4",
}
"""Genes by type; T cells' own are those of CD8 cells, some of which NK cells have too."""
UNNAMED = r"[.]|^(?:RP|CT|LL|KB|XX|AC|AL|AP)\w*-|^(?:SNO|MIR|RNU|RN7|RNA5|Y_RNA)|P\d*$|-AS\d$"
"""Genes with the names of clones, pseudogenes and small RNAs, which the figure does without."""
AGAINST, N_PEAKS, NEAR = "CD4", 500, 100_000


def annotated(folder: Path) -> ad.AnnData:
    """Return donor D5T1, annotated by D6T1."""
    adata = ad.read_h5ad(folder / GRANJA.file)
    side = GRANJA.sides(adata.obs["batch"])
    query, reference = adata[side == "D5T1"].copy(), adata[side == "D6T1"].copy()
    sl.tl.annotate(query, reference, labels_key="cell_type_coarse")
    return query


def rows(query: ad.AnnData, genes: pd.DataFrame) -> list[dict[str, object]]:
    """Return a row for each type, with the peaks near genes of each type."""
    found = []
    for label in KNOWN:
        table = sl.get.evidence(query, label, against=AGAINST)
        table = table[table["open"].notna()]
        speaks = (table["contribution"] > 0) & (table["open"] > table["expected"])
        first = np.flatnonzero(speaks)[:N_PEAKS]
        row: dict[str, object] = {"peaks that speak for": label}
        for of, names in KNOWN.items():
            starts = read_tss(genes[genes["name"].isin(names.split())])
            nearest, distance = nearest_starts(Intervals.from_names(table.index), starts)
            is_near = (nearest >= 0) & (abs(distance) <= NEAR)
            row |= {
                f"near {of} genes": int(is_near[first].sum()),
                f"{of} by chance": round(N_PEAKS * is_near.mean(), 1),
            }
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the data and genes")
    folder = parser.parse_args().folder
    query = annotated(folder)
    columns = ["chrom", "start", "end", "name", "score", "strand"]
    genes = pd.read_csv(folder / GENES, sep="\t", header=None, names=columns)
    table = pd.DataFrame(rows(query, genes))
    table.to_csv(OUTPUT, index=False)
    print(table.to_markdown(index=False))
    named = genes[~genes["name"].str.contains(UNNAMED)]
    sl.pl.evidence(query, "B", against=AGAINST, genes=named, save=FIGURE, show=False)

    kept = query.varm["scllmda_loadings"].nbytes + query.varm["scllmda_n_open"].to_numpy().nbytes
    print(f"\n{query.n_obs:,} cells × {query.n_vars:,} peaks; {kept / 1e6:.1f} MB are kept for it.")
    for name, cells in (("one cell", [query.obs_names[0]]), ("1,000 cells", query.obs_names[:1000])):
        start = perf_counter()
        sl.get.evidence(query, cells)
        print(f"{name}: {perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
