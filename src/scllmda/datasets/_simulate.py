"""Simulate a labeled reference and a query whose accessibility is written in their DNA."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from scipy.special import expit, softmax

from .._checks import checked
from .._keys import SEQUENCE
from ._fragments import write_fragments
from ._genome import GC_MEAN, GC_SD, MIN_PEAK_WIDTH, Genome, random_genome, write_fasta

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray

CELL_TYPES = (
    *("CD4 T", "CD8 T", "B", "Plasma", "CD14 Mono", "CD16 Mono", "NK", "ILC", "cDC", "pDC", "HSC", "CMP"),
    *("Erythroblast", "Megakaryocyte", "Neutrophil", "Eosinophil", "Basophil", "Mast", "Fibroblast", "Endothelial"),
)
"""Names of the cell types. Pairs (0 and 1, 2 and 3, …) share a lineage."""

# These constants define the simulated world; they are choices, not estimates. `simulate` says how well labels can be
# told in it.
MOTIFS_PER_LINEAGE = 4
MOTIFS_PER_TYPE = 3
"""Number of motifs that a lineage, and a type beyond its lineage, responds to."""
LINEAGE_ACTIVITY = 1.2
TYPE_ACTIVITY = 0.8
"""Log-odds that an instance of such a motif adds to the openness of a peak, for a lineage and for a type."""
BASE_MEAN, BASE_SD = -2.5, 1.0
"""Mean and standard deviation of the base rates of peaks in log-odds."""
PROPORTION_SD = 0.3
"""Standard deviation of the log proportions of the cell types."""
LIBRARY_SD = 0.4
"""Standard deviation of the natural log of library sizes within a donor. It is .52 to .61 for donors of bone marrow
(10x) and libraries of cortex (SNARE-seq) with all types together."""

# The constants below are what shift=1 does to the query, in natural log units unless said otherwise.
DEPTH_LOSS = 0.5
"""Loss of log depth."""
LIBRARY_SD_GAIN = 0.05
"""Increase of the standard deviation of log library sizes."""
CAPTURE_BIAS_SD = 0.2
"""Standard deviation of the log rates of peaks between platforms that has no known cause."""
GC_BIAS_SD = 0.1
"""Change of the log rate of a peak per standard deviation of its GC content."""
DONOR_BIAS_SD = 0.1
"""Standard deviation of the log rates of peaks between donors."""
PROPORTION_SHIFT_SD = 0.4
"""Standard deviation of the change of the log proportions of cell types."""
EDGE_JITTER = 20
"""Largest distance in bp by which the edges of a peak move."""

GENE_SPACING = 20_000
"""Distance in bp from one transcription start to the next."""
PROMOTER = (-1000, 100)
"""Distances in bp from the transcription start within which a peak is a promoter, as in Cell Ranger ATAC."""


@dataclass(frozen=True)
class _Platform:
    """The technical properties of one experiment."""

    name: str
    """Either "reference" or "query"."""
    donors: tuple[str, ...]
    """Names of the donors."""
    depth: float
    """Median counts per cell and peak."""
    depth_sd: float
    """Standard deviation of the natural log of the library size."""
    log_proportions: NDArray[np.float64]
    """Log proportions of the cell types, up to a constant."""
    bias_sd: tuple[float, float, float]
    """Standard deviations of the natural log of the rates of peaks: by capture, by GC content, by donor."""
    jitter: int
    """Largest distance in bp of an edge of a peak from the edge of its place."""


@checked
def simulate(
    *,
    n_reference: int = 600,
    n_query: int = 400,
    n_peaks: int = 3000,
    n_types: int = 6,
    n_motifs: int = 18,
    shared_peaks: float = 0.8,
    shift: float = 1.0,
    depth: float = 0.1,
    peak_width: int = 500,
    signal: float = 1.0,
    residual: float = 0.2,
    reference_types: int | Sequence[int] | None = None,
    query_types: int | Sequence[int] | None = None,
    fasta: str | PathLike[str] | None = None,
    fragments: str | PathLike[str] | None = None,
    rng: int | np.random.Generator = 0,
) -> tuple[AnnData, AnnData]:
    r"""Simulate a reference and a query scATAC-seq experiment on a random, motif-driven genome.

    Random motifs are planted into the peaks of a random genome, and each cell type answers to a few of them.
    For peak :math:`i` and cell type :math:`t`,

    .. math:: \operatorname{logit} P(i \text{ open in } t) = a_i + \sum_m n_{im} A_{tm} + v_{it}

    with :math:`n_{im}` the planted instances of motif :math:`m`, :math:`A` sparse activities, in part common to the
    two types of a lineage (0 and 1, 2 and 3, …), :math:`a_i` a base rate and :math:`v_{it}` a residual that the DNA
    does not hold. A cell's counts are Poisson draws in proportion to this probability times the bias of its platform
    and donor; library sizes are log-normal.

    Parameters
    ----------
    n_reference, n_query
        Cells of each object.
    n_peaks
        Peaks of each object.
    n_types
        Cell types.
    n_motifs
        Motifs of 8-12 bp in the library.
    shared_peaks
        Share of each object's peaks that are the same place in the genome, at ``shift=1``. At any other it is
        ``shared_peaks**shift``: all of them without shift. ``0`` gives disjoint peak sets whatever the shift.
        The query's edges lie a few bp away from the reference's, so the names of shared peaks differ.
    shift
        Scale of all differences between the platforms (depth, capture and GC bias, proportions of the cell types,
        peak sets) and between donors, from 0 (none) to 3 (extreme). With the other defaults, logistic regression on
        a joint TF-IDF + LSI of the matched peaks labels about 100, 97, 90 and 73 % of the query right at shift 0, 1,
        2 and 3; from the DNA alone (5-mers, disjoint peaks) it is about 90 % at shift 1.
    depth
        Median counts per cell and peak of the reference; that of the query is ``exp(-0.5 * shift)`` times this.
    peak_width
        Width in bp, at least 128; the query's peaks are up to a quarter narrower or wider.
    signal
        Scale of the motif activities; with ``0`` the DNA says nothing about the cell types.
    residual
        Standard deviation of :math:`v_{it}` in log-odds.
    reference_types, query_types
        Cell types present: their indices, or how many of the first ones, or all (``None``).
    fasta
        Also write the genome there, compressed if the name ends in ``.gz``.
    fragments
        Also write the query's fragments there, compressed if the name ends in ``.gz``: contig, start, end, barcode (the
        cell's name) and 1, sorted, separated by tabs. Their ends in the query's peaks are the counts of ``.X``; others
        lie in the reference's own peaks, as the cell's type has them open, and in between.
    rng
        Seed or generator. The same one gives the same bytes.

    Returns
    -------
    Reference and query, each with

    ``.X``
        Counts, CSR float32, (cells, peaks).
    ``.obs["cell_type"]``, ``.obs["batch"]``, ``.obs["platform"]``
        True cell type; donor (two in the reference, another in the query); "reference" or "query".
    ``.var["chrom"]``, ``.var["start"]``, ``.var["end"]``, ``.var["sequence"]``
        The peak's place in bp, zero-based and half-open as in its name, and the bases there.
    ``.uns["atac"]["peak_annotation"]``
        The nearest gene of each peak, as muon keeps it: a table with the index ``gene`` and the columns ``peak``
        (name), ``distance`` (bp from the gene's start) and ``peak_type`` ("promoter" or "distal"). Genes start every
        20 kb.
    ``.uns["simulation"]``
        The parameters (``rng`` if it is a seed; no paths), and the truth: ``cell_types``, ``motifs`` (their most
        probable bases) and ``activity``, (types, motifs).

    Raises
    ------
    ValueError
        A parameter is out of range.
    FileNotFoundError
        The folder of ``fasta`` or ``fragments`` does not exist.

    See Also
    --------
    scllmda.tl.annotate : Labels the query.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate(n_reference=60, n_query=40, n_peaks=200)
    >>> reference.shape, query.shape
    ((60, 200), (40, 200))
    >>> sorted(reference.var.columns)
    ['chrom', 'end', 'sequence', 'start']
    """
    for name, value, low in (
        ("n_reference", n_reference, 1),
        ("n_query", n_query, 1),
        ("n_types", n_types, 1),
        ("n_peaks", n_peaks, 1),
        ("n_motifs", n_motifs, 1),
        ("peak_width", peak_width, MIN_PEAK_WIDTH),
    ):
        _require(isinstance(value, int | np.integer) and value >= low, name, value, f"an integer, at least {low}")
    _require(n_peaks >= n_types, "n_peaks", n_peaks, f"at least as many as n_types, {n_types}")
    _require(0 <= shared_peaks <= 1, "shared_peaks", shared_peaks, "a share between 0 and 1")
    _require(0 <= shift <= 3, "shift", shift, "a number between 0 (no shift) and 3 (extreme)")
    _require(0 < depth <= 1, "depth", depth, "counts per cell and peak, above 0 and at most 1")
    _require(0 <= signal < np.inf, "signal", signal, "a finite number, at least 0")
    _require(0 <= residual < np.inf, "residual", residual, "a finite number, at least 0")
    in_reference = _types_present(reference_types, n_types, n_reference, "reference")
    in_query = _types_present(query_types, n_types, n_query, "query")
    fasta, fragments = _to_write(fasta, "fasta"), _to_write(fragments, "fragments")

    simulation: dict[str, Any] = {
        "n_reference": n_reference,
        "n_query": n_query,
        "n_peaks": n_peaks,
        "n_types": n_types,
        "n_motifs": n_motifs,
        "shared_peaks": float(shared_peaks),
        "shift": float(shift),
        "depth": float(depth),
        "peak_width": peak_width,
        "signal": float(signal),
        "residual": float(residual),
        "reference_types": in_reference,
        "query_types": in_query,
    }
    if not isinstance(rng, np.random.Generator):
        simulation["rng"] = int(rng)
    rng = np.random.default_rng(rng)

    n_shared = round(n_peaks * shared_peaks**shift) if shared_peaks else 0
    n_places = 2 * n_peaks - n_shared
    genome = random_genome(rng, n_places, peak_width, n_motifs)
    activity = signal * _activities(rng, n_types, n_motifs)
    log_odds = (
        rng.normal(BASE_MEAN, BASE_SD, n_places)
        + activity @ genome.instances.T
        + residual * rng.standard_normal((n_types, n_places))
    )
    at_reference, at_query = _platforms(rng, n_types, shift, depth, peak_width)
    places = rng.permutation(n_places)
    reference = _experiment(rng, at_reference, genome, np.sort(places[:n_peaks]), log_odds, in_reference, n_reference)
    query = _experiment(rng, at_query, genome, np.sort(places[-n_peaks:]), log_odds, in_query, n_query)

    simulation |= {"cell_types": np.array(_type_names(n_types)), "motifs": genome.motifs, "activity": activity}
    for adata in (reference, query):
        adata.uns["simulation"] = deepcopy(simulation)
        adata.uns["atac"] = {"peak_annotation": _nearest_genes(adata.var)}
    if fasta is not None:
        write_fasta(genome.chromosomes(), fasta)
    if fragments is not None:
        elsewhere, own = np.sort(places[:-n_peaks]), np.sort(places[-n_peaks:])
        more = _counts_elsewhere(rng, at_query, genome, elsewhere, own, log_odds, query)
        write_fragments(rng, genome, query, elsewhere, more, fragments)
    return reference, query


def _platforms(
    rng: np.random.Generator, n_types: int, shift: float, depth: float, peak_width: int
) -> tuple[_Platform, _Platform]:
    """Return the platforms of the reference and the query, which ``shift`` sets apart."""
    log_proportions = PROPORTION_SD * rng.standard_normal(n_types)
    reference = _Platform(
        name="reference",
        donors=("donor 1", "donor 2"),
        depth=depth,
        depth_sd=LIBRARY_SD,
        log_proportions=log_proportions,
        bias_sd=(0, 0, shift * DONOR_BIAS_SD),
        jitter=0,
    )
    query = _Platform(
        name="query",
        donors=("donor 3",),
        depth=depth * np.exp(-shift * DEPTH_LOSS),
        depth_sd=LIBRARY_SD + shift * LIBRARY_SD_GAIN,
        log_proportions=log_proportions + shift * PROPORTION_SHIFT_SD * rng.standard_normal(n_types),
        bias_sd=(shift * CAPTURE_BIAS_SD, shift * GC_BIAS_SD, shift * DONOR_BIAS_SD),
        jitter=min(round(shift * EDGE_JITTER), peak_width // 8),
    )
    return reference, query


def _to_write(path: str | PathLike[str] | None, name: str) -> Path | None:
    """Return the path of a file to write, in a folder that is there."""
    if path is None:
        return None
    path = Path(path).expanduser()
    if not path.parent.is_dir():
        msg = f"Did not find the folder {str(path.parent)!r} of {name}, expected one that exists. Create it first."
        raise FileNotFoundError(msg)
    return path


def _require(holds: bool, name: str, found: object, expected: str) -> None:  # noqa: FBT001
    if not holds:
        msg = f"Found {name}={found!r}, expected {expected}. Call simulate({name}=…) with such a value."
        raise ValueError(msg)


def _types_present(types: int | Sequence[int] | None, n_types: int, n_cells: int, platform: str) -> NDArray[np.int64]:
    """Return the indices of the cell types present on a platform, ascending."""
    name = f"{platform}_types"
    if types is None or isinstance(types, int | np.integer):
        n_present = n_types if types is None else int(types)
        _require(1 <= n_present <= n_types, name, types, f"between 1 and n_types, {n_types}")
        present = np.arange(n_present, dtype=np.int64)
    else:
        fine = all(isinstance(t, int | np.integer) and 0 <= t < n_types for t in types)
        fine = fine and len(set(types)) == len(types) > 0
        _require(fine, name, list(types), f"different indices between 0 and {n_types - 1}")
        present = np.sort(np.asarray(types, dtype=np.int64))
    _require(n_cells >= present.size, f"n_{platform}", n_cells, f"a cell for each of the {present.size} types present")
    return present


def _type_names(n_types: int) -> list[str]:
    return [*CELL_TYPES[:n_types], *(f"Type {i + 1}" for i in range(len(CELL_TYPES), n_types))]


def _activities(rng: np.random.Generator, n_types: int, n_motifs: int) -> NDArray[np.float64]:
    """Return motif activities in log-odds per instance, (types, motifs): those of the lineage plus the type's own."""
    n_lineages = -(-n_types // 2)
    of_lineage = _deal(rng, n_lineages, n_motifs, MOTIFS_PER_LINEAGE) * LINEAGE_ACTIVITY
    return of_lineage[np.arange(n_types) // 2] + _deal(rng, n_types, n_motifs, MOTIFS_PER_TYPE) * TYPE_ACTIVITY


def _deal(rng: np.random.Generator, n_rows: int, n_motifs: int, n_active: int) -> NDArray[np.float64]:
    """Return (rows, motifs) with ``n_active`` entries near 1 per row, the last of them negative, the others 0.

    The motifs are dealt like cards, so that no two rows share one while there are enough.
    """
    n_active = min(n_active, n_motifs)
    dealt = np.resize(rng.permutation(n_motifs), (n_rows, n_active))
    values = rng.uniform(0.7, 1.3, dealt.shape)
    values[:, -1] *= -1
    activities = np.zeros((n_rows, n_motifs))
    np.put_along_axis(activities, dealt, values, axis=1)
    return activities


def _experiment(
    rng: np.random.Generator,
    platform: _Platform,
    genome: Genome,
    places: NDArray[np.int64],
    log_odds: NDArray[np.float64],
    types: NDArray[np.int64],
    n_cells: int,
) -> AnnData:
    """Draw cells of ``types`` at ``places`` as ``platform`` sees them; ``log_odds`` is (all types, all places)."""
    var = _peaks(rng, genome, places, platform.jitter)
    log_bias = _log_bias(rng, platform, var)

    weights = softmax(platform.log_proportions[types])
    labels = rng.permutation(np.concatenate([types, rng.choice(types, n_cells - types.size, p=weights)]))
    donors = np.arange(n_cells) % len(platform.donors)
    libraries = platform.depth * len(var) * np.exp(platform.depth_sd * rng.standard_normal(n_cells))

    cells, blocks = [], []
    for donor, cell_type in np.unique(np.stack([donors, labels], axis=1), axis=0):
        block = np.flatnonzero((donors == donor) & (labels == cell_type))
        rates = expit(log_odds[cell_type, places]) * np.exp(log_bias[donor])
        cells.append(block)
        blocks.append(_draw_counts(rng, rates, libraries[block]))

    names = _type_names(len(log_odds))
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(np.searchsorted(types, labels), [names[t] for t in types]),
            "batch": pd.Categorical([platform.donors[d] for d in donors]),
            "platform": pd.Categorical([platform.name] * n_cells),
        },
        index=[f"{platform.name}-{i}" for i in range(n_cells)],
    )
    return AnnData(sp.vstack(blocks, format="csr")[np.argsort(np.concatenate(cells))], obs=obs, var=var)


def _log_bias(rng: np.random.Generator, platform: _Platform, var: pd.DataFrame) -> NDArray[np.float64]:
    """Draw the bias of a platform and its donors, (donors, peaks), in natural log."""
    gc = (var[SEQUENCE].str.count("[GC]") / var[SEQUENCE].str.len()).to_numpy()
    capture_sd, gc_sd, donor_sd = platform.bias_sd
    of_all = capture_sd * rng.standard_normal(len(var)) + gc_sd * (gc - GC_MEAN) / GC_SD
    return of_all + donor_sd * rng.standard_normal((len(platform.donors), len(var)))


def _counts_elsewhere(
    rng: np.random.Generator,
    platform: _Platform,
    genome: Genome,
    places: NDArray[np.int64],
    own_places: NDArray[np.int64],
    log_odds: NDArray[np.float64],
    query: AnnData,
) -> sp.csr_matrix:
    """Draw the query's counts at places where it has no peaks, (cells, places), as deep as at its own."""
    if not places.size:
        return sp.csr_matrix((query.n_obs, 0), dtype=np.float32)
    bias = np.exp(_log_bias(rng, platform, _peaks(rng, genome, places, jitter=0)).mean(axis=0))
    depths = np.asarray(query.X.sum(axis=1)).ravel()
    labels = pd.Categorical(query.obs["cell_type"], _type_names(len(log_odds))).codes
    cells, blocks = [], []
    for cell_type in np.unique(labels):
        block = np.flatnonzero(labels == cell_type)
        rates = expit(log_odds[cell_type, places]) * bias
        cells.append(block)
        blocks.append(
            _draw_counts(rng, rates, depths[block] * rates.sum() / expit(log_odds[cell_type, own_places]).sum())
        )
    return sp.vstack(blocks, format="csr")[np.argsort(np.concatenate(cells))]


def _draw_counts(rng: np.random.Generator, rates: NDArray[np.float64], libraries: NDArray[np.float64]) -> sp.csr_matrix:
    """Draw Poisson counts with mean ``outer(libraries, rates / rates.sum())``, (cells, peaks), never dense.

    A Poisson total split by a multinomial is the same law, at a cost in proportion to the counts.
    """
    totals = rng.poisson(libraries)
    cumulative = np.cumsum(rates)
    peaks = np.searchsorted(cumulative / cumulative[-1], rng.random(totals.sum()), side="right")
    indptr = np.concatenate([[0], np.cumsum(totals)])
    counts = sp.csr_matrix((np.ones(peaks.size, dtype=np.float32), peaks, indptr), shape=(totals.size, rates.size))
    counts.sum_duplicates()
    return counts


def _peaks(rng: np.random.Generator, genome: Genome, places: NDArray[np.int64], jitter: int) -> pd.DataFrame:
    """Return chromosome, start, end and bases of a peak at each place, with edges up to ``jitter`` bp away."""
    starts = genome.place_starts[places]
    ends = starts + genome.peak_width
    if jitter:
        starts = starts + (2 * rng.integers(0, 2, starts.size) - 1) * rng.integers(1, jitter + 1, starts.size)
        ends = ends + rng.integers(-jitter, jitter + 1, ends.size)
    chromosome = np.searchsorted(genome.chromosome_bounds, starts, side="right") - 1
    offset = genome.chromosome_bounds[chromosome]
    var = pd.DataFrame(
        {
            "chrom": pd.Categorical.from_codes(chromosome, list(genome.chromosomes())),
            "start": starts - offset,
            "end": ends - offset,
            SEQUENCE: [genome.bases[start:end] for start, end in zip(starts, ends, strict=True)],
        }
    )
    names = var["chrom"].astype(str) + ":" + var["start"].astype(str) + "-" + var["end"].astype(str)
    return var.set_axis(pd.Index(names.to_numpy()), axis=0)


def _nearest_genes(var: pd.DataFrame) -> pd.DataFrame:
    """Return the nearest gene of each peak; genes start every ``GENE_SPACING`` bp along each chromosome."""
    center = (var["start"] + var["end"]).to_numpy() // 2
    number = np.rint(center / GENE_SPACING).astype(int)
    distance = center - number * GENE_SPACING
    is_promoter = (distance >= PROMOTER[0]) & (distance <= PROMOTER[1])
    genes = [f"{chrom.upper()}G{i}" for chrom, i in zip(var["chrom"].astype(str), number, strict=True)]
    return pd.DataFrame(
        {"peak": var.index.to_numpy(), "distance": distance, "peak_type": np.where(is_promoter, "promoter", "distal")},
        index=pd.Index(genes, name="gene"),
    )
