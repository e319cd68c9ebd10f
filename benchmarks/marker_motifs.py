"""Which scanner finds motifs, and which motifs are found: `python benchmarks/marker_motifs.py FOLDER`, by hand.

Experiments, whose rows go to `benchmarks/marker_motifs.csv`; `seconds` are those of the processor:

- `scan`: 10,000 sequences of 500 bases of open chromatin (hg19) × 879 motifs of JASPAR 2024, on one core, with scores
  in hundredths of a bit and the thresholds of `genomics.score_threshold`. `sites`, and `mb` in memory at the most
  beyond what was there before. Scanners that are not installed are left out: `pip install lightmotif MOODS-python
  memelite`. memelite chooses its own thresholds, and is timed at its second call; the first compiles. Bio.motifs scans
  200 of the sequences.
- `planted`: simulated types, their planted motifs among 200 others. `first`: share of types whose first motif opens
  their peaks more than those of other types; `best`: share whose first motif is the one that does so most; `found`:
  motifs at an FDR of 5 %, of all types; `false`: how many of them are not planted. `correlation`: of the mean scores of
  types by `tl.motif_activity` with what motifs do there, relative to other types.
- `shuffled`: the same with shuffled labels (`labels`), whose marker peaks are those at an FDR of 5 %; with random peaks
  as marker peaks (`peaks`); and with the 300 first peaks of shuffled labels, whatever their FDR (`first peaks`). `any`:
  1 if there is a motif at an FDR of 5 %.
- `known`: real cells with real DNA. For a motif that is known of a cell type, `rank`: its place among the clusters of
  motifs by marker peaks, and by a rank test of its scores in these and all other cells; `fdr` of that.
"""

from __future__ import annotations

import gzip
import resource
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _experiments import SEVERAL, Rows, Scores, run_experiments
from _real_data import CELL_LINES_WITH_DNA
from scipy.stats import false_discovery_control, mannwhitneyu

import scllmda as sl
from scllmda.genomics import (
    Intervals,
    Motif,
    find_motif_sites,
    motif_clusters,
    overlapping_pairs,
    read_motifs,
    score_threshold,
)

SCORES = ["sites", "seconds", "mb", "first", "best", "found", "false", "correlation", "any", "rank", "fdr"]
N_DRAWS = 20
FDR = 0.05
INTERVALS = "hg19_covered_intervals.fa.gz"
OTHER_STUDY = "schep2017_cells12_c1_hg19.h5ad"
KNOWN = {
    "cell lines": {"K562": "GATA1", "GM12878": "NFKB1", "H1": "POU5F1"},
    "Schep": {
        **{"Erythroblast (TF1)": "GATA1", "K562": "GATA1", "Monocyte": "Spi1", "HL60": "CEBPD"},
        **{"LCL": "NFKB1", "Fibroblast": "TEAD1", "ESC": "POU5F1"},
    },
}
"""Written down before any result was seen, but for NFKB1 and CEBPD, which stand for their families."""


def sequences(folder: Path, n: int = 10_000, width: int = 500) -> list[str]:
    with gzip.open(folder / INTERVALS, "rt") as lines:
        dna = "".join(line.strip() for line in lines if not line.startswith(">")).upper()
    return [dna[i * width : (i + 1) * width] for i in range(n)]


Matrices = list[tuple[np.ndarray, int]]
"""Scores in hundredths of a bit, (4, L), and the threshold."""


def ours(dna: Sequence[str], motifs: Sequence[Motif], matrices: Matrices) -> int:
    return len(find_motif_sites(dna, motifs))


def of_lightmotif(dna: Sequence[str], motifs: Sequence[Motif], matrices: Matrices) -> int:
    import lightmotif

    striped = lightmotif.stripe("N".join(dna))
    n = 0
    for scores, threshold in matrices:
        rows = dict(zip("ACGT", scores.astype(float).tolist(), strict=True)) | {"N": [-1e6] * scores.shape[1]}
        matrix = lightmotif.ScoringMatrix(rows)
        for strand in (matrix, matrix.reverse_complement()):
            n += sum(1 for _ in lightmotif.scan(strand, striped, threshold=threshold - 0.5))
    return n


def of_moods(dna: Sequence[str], motifs: Sequence[Motif], matrices: Matrices) -> int:
    import MOODS.scan

    scanner = MOODS.scan.Scanner(7)
    both = [(m.astype(float).tolist(), float(t)) for scores, t in matrices for m in (scores, scores[::-1, ::-1])]
    scanner.set_motifs([matrix for matrix, _ in both], [0.25] * 4, [threshold for _, threshold in both])
    return sum(len(found) for text in dna for found in scanner.scan(text))


def of_memelite(dna: Sequence[str], motifs: Sequence[Motif], matrices: Matrices) -> int:
    from memelite import fimo

    code = np.array([["ACGT".find(base) for base in text] for text in dna])
    one_hot = np.stack([code == i for i in range(4)], axis=1).astype(np.int8)
    return sum(map(len, fimo({motif.id: motif.probabilities() for motif in motifs}, one_hot, threshold=5e-5)))


def of_biopython(dna: Sequence[str], motifs: Sequence[Motif], matrices: Matrices) -> int:
    from Bio.motifs.matrix import PositionSpecificScoringMatrix

    n = 0
    for scores, threshold in matrices:
        rows = dict(zip("ACGT", scores.astype(float).tolist(), strict=True))
        matrix = PositionSpecificScoringMatrix("ACGT", rows)
        n += sum(1 for text in dna for _ in matrix.search(text, threshold=threshold - 0.5))
    return n


SCANNERS: dict[str, tuple[str, int, Callable[..., int]]] = {
    "scllmda": ("numpy", 10_000, ours),
    "lightmotif": ("lightmotif", 10_000, of_lightmotif),
    "MOODS": ("MOODS", 10_000, of_moods),
    "memelite": ("memelite", 10_000, of_memelite),
    "Bio.motifs": ("Bio", 200, of_biopython),
}


def scan(folder: Path, seed: int) -> Rows:
    for name, (module, n, _) in SCANNERS.items():
        if find_spec(module) is not None:
            key = {"task": f"{n:,} × 500 bases", "method": name, "setting": "879 motifs"}
            yield key, partial(in_a_process, time_scanner, folder, name)


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def time_scanner(folder: Path, name: str) -> Scores:
    _, n, run = SCANNERS[name]
    if name == "memelite":
        import numba

        numba.set_num_threads(1)
    dna, motifs = sequences(folder, n), read_motifs("JASPAR2024")
    matrices = [(motif.scores(), score_threshold(motif.scores(), 5e-5)[0]) for motif in motifs]
    # Compiles, and imports.
    run(dna[:2], motifs[:2], matrices[:2])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, process_time()
    sites = run(dna, motifs, matrices)
    seconds = process_time() - start
    return {
        "sites": sites,
        "seconds": seconds,
        "mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000,
    }


@cache
def simulated(seed: int) -> tuple[ad.AnnData, dict[str, np.ndarray]]:
    """Return simulated cells, and their motifs among others."""
    adata, _ = sl.datasets.simulate(rng=seed)
    rng = np.random.default_rng(seed)
    others = ["".join(rng.choice(list("ACGT"), rng.integers(8, 13))) for _ in range(200)]
    words = {f"other {i}": word for i, word in enumerate(others)}
    words |= {f"planted {i}": word for i, word in enumerate(adata.uns["simulation"]["motifs"])}
    return adata, {name: 20 * np.eye(4)[:, ["ACGT".index(b) for b in word]] for name, word in words.items()}


def planted(folder: Path, seed: int) -> Rows:
    def scores() -> Scores:
        adata, motifs = simulated(seed)
        types, activity = list(adata.uns["simulation"]["cell_types"]), adata.uns["simulation"]["activity"]
        contrast = activity - activity.mean(axis=0)
        of_type = [{f"planted {m}": value for m, value in enumerate(row)} for row in contrast]
        start = process_time()
        sl.tl.marker_peaks(adata, "cell_type")
        sl.tl.marker_motifs(adata, "cell_type", motifs=motifs)
        seconds = process_time() - start
        table = sl.get.marker_motifs(adata, "cell_type_marker_motifs", fdr=1)
        first = table.drop_duplicates("group").set_index("group")["motif"]
        found = table[table["fdr"] <= FDR]
        sl.tl.motif_activity(adata, motifs={name: m for name, m in motifs.items() if name.startswith("planted")})
        means = adata.obsm["motif_activity"].groupby(adata.obs["cell_type"], observed=True).mean().loc[types]
        return {
            "seconds": seconds,
            "first": np.mean([of_type[i].get(first[name], 0) > 0 for i, name in enumerate(types)]),
            "best": np.mean([first[name] == max(of_type[i], key=of_type[i].get) for i, name in enumerate(types)]),
            "found": len(found),
            "false": int(found["motif"].str.startswith("other").sum()),
            "correlation": np.corrcoef(means.to_numpy().ravel(), contrast.ravel())[0, 1],
        }

    yield {"task": "600 × 3,000, 6 types", "method": "marker_motifs", "setting": "18 of 218 motifs"}, scores


def shuffled(folder: Path, seed: int) -> Rows:
    def scores(setting: str) -> Scores:
        adata, motifs = simulated(0)
        rng = np.random.default_rng(seed)
        adata.obs["shuffled"] = rng.permutation(adata.obs["cell_type"].to_numpy())
        sl.tl.marker_peaks(adata, "shuffled")
        options: dict[str, Any] = {"fdr": 1, "n_peaks": 300} if setting == "first peaks" else {}
        if setting == "peaks":
            options["peaks"] = {str(i): rng.choice(adata.var_names, 300, replace=False) for i in range(6)}
        elif setting == "labels" and not len(sl.get.marker_peaks(adata, "shuffled_marker_peaks")):
            return {"found": 0, "any": 0}
        sl.tl.marker_motifs(adata, "shuffled", motifs=motifs, **options)
        found = len(sl.get.marker_motifs(adata, "shuffled_marker_motifs"))
        return {"found": found, "any": int(found > 0)}

    for setting in ("labels", "peaks", "first peaks"):
        yield {"task": "600 × 3,000, 6 types", "method": "marker_motifs", "setting": setting}, partial(scores, setting)


def known(folder: Path, seed: int) -> Rows:
    for task, load in (("cell lines", cell_lines), ("Schep", other_study)):
        for method, ranks in (("marker_motifs", by_marker_peaks), ("motif_activity", by_activity)):

            def scores(task: str, load: Callable[..., Any], ranks: Callable[..., Any]) -> dict[str, Scores]:
                adata, motifs = load(folder), read_motifs("JASPAR2024")
                clusters = motif_clusters(motifs)
                rows: dict[str, Scores] = {}
                for cell_type, (pvalue, fdr) in ranks(adata, motifs).items():
                    if (name := KNOWN[task].get(cell_type)) is None:
                        continue
                    mine = next(i for i, motif in enumerate(motifs) if motif.name == name)
                    best = pd.Series(pvalue).groupby(clusters).min()
                    of_cluster = best[clusters[mine]]
                    rank = int((best < of_cluster).sum()) + 1 if np.isfinite(of_cluster) else np.nan
                    cluster = clusters == clusters[mine]
                    rows[f"{name} in {cell_type}"] = {"rank": rank, "fdr": fdr[cluster].min()}
                return rows

            yield {"task": task, "method": method, "setting": SEVERAL}, partial(scores, task, load, ranks)


def cell_lines(folder: Path) -> ad.AnnData:
    adata = ad.read_h5ad(folder / CELL_LINES_WITH_DNA.file)
    adata.var["sequence"] = adata.var["seq"]
    return adata


def other_study(folder: Path) -> ad.AnnData:
    """Return the cells on those peaks of whose middle 256 bases at least half lie in intervals with known DNA."""
    adata = ad.read_h5ad(folder / OTHER_STUDY)
    adata.obs_names_make_unique()
    adata.obs["cell_type"] = adata.obs["cell_type_coarse"].astype(str)
    with gzip.open(folder / INTERVALS, "rt") as lines:
        names, bases = zip(*(part.split("\n", 1) for part in lines.read().split(">")[1:]), strict=True)
    known = Intervals.from_names(list(names))
    middle = ((adata.var["start"] + adata.var["end"]) // 2).to_numpy()
    wanted = Intervals(adata.var["chrom"].astype(str).to_numpy(), middle - 128, middle + 128)
    dna = np.full((adata.n_vars, 256), "N")
    for peak, interval in zip(*overlapping_pairs(wanted, known), strict=True):
        text = np.array(list(bases[interval].replace("\n", "").upper()))
        shift = int(known.start[interval] - wanted.start[peak])
        into = slice(max(shift, 0), min(shift + len(text), 256))
        dna[peak, into] = text[into.start - shift : into.stop - shift]
    adata.var["sequence"] = ["".join(row) for row in dna]
    return adata[:, (adata.var["sequence"].str.count("[ACGT]") >= 128).to_numpy()].copy()


Ranked = dict[str, tuple[np.ndarray, np.ndarray]]
"""By cell type: p-values of all motifs for being more frequent or active there, and FDRs."""


def by_marker_peaks(adata: ad.AnnData, motifs: Sequence[Motif]) -> Ranked:
    sl.tl.marker_peaks(adata, "cell_type")
    sl.tl.marker_motifs(adata, "cell_type", motifs=motifs)
    found = adata.uns["cell_type_marker_motifs"]
    pvalue = np.where(found["log2fc"] > 0, found["pvalue"], np.where(np.isnan(found["pvalue"]), np.nan, 1))
    return {name: (pvalue[:, i], found["fdr"][:, i]) for i, name in enumerate(found["groups"])}


def by_activity(adata: ad.AnnData, motifs: Sequence[Motif]) -> Ranked:
    sl.tl.motif_activity(adata, motifs=motifs)
    scores, labels = adata.obsm["motif_activity"].to_numpy(), adata.obs["cell_type"].to_numpy()
    found: Ranked = {}
    for name in np.unique(labels):
        pvalue = mannwhitneyu(scores[labels == name], scores[labels != name], alternative="greater").pvalue
        found[str(name)] = pvalue, false_discovery_control(pvalue)
    return found


EXPERIMENTS = {"scan": scan, "planted": planted, "shuffled": shuffled, "known": known}

if __name__ == "__main__":
    run_experiments(__file__, __doc__, EXPERIMENTS, SCORES, {"planted": range(5), "shuffled": range(N_DRAWS)})
