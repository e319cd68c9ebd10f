"""Find the motifs that marker peaks have more often than other peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .. import _logging as logg
from .._anndata import claim_slots, require_peaks, resolve, write_slots
from .._checks import check, checked
from .._counts import count_blocks
from .._keys import SEQUENCE, MarkerKeys, marker_motifs_key
from ..genomics import Motif, motif_clusters, peak_strata
from ..get import marker_peaks as marker_peaks_table
from ..markers import compare, count_open_cells
from ._params import require_effect, storable
from ._peak_motifs import PeakMotifs, motifs_of, peak_motifs, require_sequences, source_name

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

FEW_PEAKS = 20
"""Labels with fewer marker peaks are warned of."""
STATISTICS = ("log2fc", "fraction", "background", "score", "pvalue")


@checked
def marker_motifs(
    adata: AnnData | MuData,
    groupby: str = "scllmda",
    *,
    motifs: Any = None,
    tax_group: str | None = None,
    peaks: Mapping[str, Sequence[str]] | None = None,
    markers_key: str | None = None,
    fdr: float = 0.05,
    min_log2fc: float = 0,
    n_peaks: int | None = None,
    p_value: float = 5e-5,
    sequence_key: str = SEQUENCE,
    genome: Any = None,
    layer: str | None = None,
    key_added: str | None = None,
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Find the motifs that the marker peaks of a label have more often than other peaks like them.

    A peak has a motif if there is a site of it on either strand (:func:`scllmda.genomics.find_motif_sites`). Marker
    peaks of a label are compared with all other peaks, in up to 400 strata of equal GC content and openness: GC-rich
    peaks have other motifs than others, and what is open in many cells is found to be a marker more easily. The test is
    that of :func:`scllmda.tl.marker_peaks` with peaks in the place of cells: exact for the sum of hypergeometric
    numbers, in closed form. No background is drawn, so that the same input gives the same result.

    Proteins of a family bind the same words, so that all their motifs come up where one does. Motifs are clustered by
    similarity of their matrices, and :func:`scllmda.get.marker_motifs` shows the best of each cluster. Which protein of
    the family is at work the DNA alone does not say.

    P-values take peaks for independent, and the marker peaks for given.

    Parameters
    ----------
    adata
        Cells × peaks with raw or binary counts, or a MuData with the modality ``mod``; with the DNA under the peaks, by
        :func:`scllmda.pp.peak_sequences`, or ``genome``.
    groupby
        Column of ``.obs`` whose labels were compared.
    motifs
        Release of JASPAR ("JASPAR2024"; ``None``: "JASPAR2026"), whose CORE collection is read; path of a file in MEME,
        JASPAR or TRANSFAC format; a list of motifs of ``Bio.motifs``; or a mapping of names to (4, length) arrays of
        counts or probabilities of A, C, G and T.
    tax_group
        Of JASPAR's motifs: "vertebrates", "plants", "insects", "nematodes", "fungi" or others. None: that of the genome
        build that the object notes (``.uns["genome"]``), vertebrates if there is none.
    peaks
        Marker peaks of your own, names by label, in the place of those of ``sl.tl.marker_peaks``.
    markers_key
        ``key_added`` of :func:`scllmda.tl.marker_peaks`. None: ``f"{groupby}_marker_peaks"``.
    fdr
        Largest false discovery rate of a marker peak.
    min_log2fc
        Least log2 fold change of a marker peak.
    n_peaks
        Most marker peaks of a label, the most significant ones. None: all.
    p_value
        Probability with which a random word is a site, on one strand; that of chromVAR is the default.
    sequence_key
        Column of ``.var`` with the DNA.
    genome
        FASTA of the genome build that the peaks were called on, to read the DNA from instead, as
        :func:`scllmda.pp.peak_sequences` does; it is not stored.
    layer
        Layer with the counts, ``.X`` if None.
    key_added
        Slot of ``.uns``. None: ``f"{groupby}_marker_motifs"``.
    mod
        Modality that holds the peaks, where a MuData is given.
    copy
        Return a copy instead of writing to ``adata``.

    Returns
    -------
    None, or the changed copy. :func:`scllmda.get.marker_motifs` makes a table of what is written:

    `.uns[key_added]` : :class:`dict`
        ``params``; ``groups``, the labels, and ``n_peaks``, the number of marker peaks of each; ``motifs``, a table
        with a row per motif by its id (``name``, ``family``, ``n_peaks`` with a site, ``cluster``); ``counts``,
        (n_motifs, 4, longest) of bases, 0 beyond the end of a motif; and, (n_motifs, n_groups), ``log2fc`` of the share
        of marker peaks with the motif (``fraction``) over that of other peaks in the same strata (``background``),
        ``score`` (standard deviations from what is expected), two-sided ``pvalue``, and ``fdr``, adjusted over all
        motifs and labels (Benjamini–Hochberg). Labels without marker peaks have NaN.

    Raises
    ------
    ImportError
        Motifs of JASPAR or a file, without the extra ``motifs``.
    KeyError
        No marker peaks, no sequences, no such layer or modality.
    ValueError
        No label has marker peaks; unknown peaks; motifs of another taxonomic group than the genome, or that cannot be
        read; or invalid counts.
    FileNotFoundError
        There is no such genome, or file of motifs.
    TypeError
        An object that is neither AnnData nor MuData, or ``motifs`` or ``peaks`` of another type.

    See Also
    --------
    scllmda.get.marker_motifs : The result as a table.
    scllmda.pl.marker_motifs : As a figure, with logos.
    scllmda.tl.motif_activity : The same question for each cell.

    Examples
    --------
    >>> import numpy as np, scllmda as sl
    >>> adata, _ = sl.datasets.simulate()
    >>> words = adata.uns["simulation"]["motifs"]
    >>> motifs = {word: np.eye(4)[:, ["ACGT".index(base) for base in word]] for word in words}
    >>> sl.tl.marker_peaks(adata, "cell_type")
    >>> sl.tl.marker_motifs(adata, "cell_type", motifs=motifs)
    >>> sl.get.marker_motifs(adata, "cell_type_marker_motifs", group="B", n_motifs=3)["group"].tolist()
    ['B', 'B', 'B']
    """
    data, atac = resolve(adata, mod=mod, copy=copy)
    require_peaks(atac)
    key = marker_motifs_key(groupby) if key_added is None else key_added
    check({"key_added": key}, {"key_added": "str"})
    require_sequences(atac, sequence_key, genome)
    if peaks is None:
        markers_key = MarkerKeys.of(groupby).key if markers_key is None else markers_key
        _require_markers(atac, markers_key, groupby)
        chosen = _marker_peaks(atac, markers_key, fdr=fdr, min_log2fc=min_log2fc, n_peaks=n_peaks)
    else:
        require_effect("with peaks=", {"markers_key": markers_key, "n_peaks": n_peaks}, possible=False)
        chosen = _own_peaks(atac, peaks)
    found_motifs = motifs_of(atac, motifs, tax_group)
    read = {} if markers_key is None else {("uns", markers_key): "marker peaks"}
    claim_slots(atac, [("uns", key)], read=read, is_ours="motifs" in atac.uns.get(key, ()))
    blocks = count_blocks(atac, layer)

    start = logg.info(f"comparing the motifs of marker peaks of {len(chosen)} labels with those of other peaks")
    found = peak_motifs(atac, found_motifs, p_value=p_value, sequence_key=sequence_key, genome=genome)
    openness = np.zeros(atac.n_vars)
    for block in blocks:
        openness += block.getnnz(axis=0)
    statistics = _compare(found, openness, chosen)
    table = found.table()
    table["cluster"] = motif_clusters(found.motifs)
    _report(list(chosen), chosen, statistics["fdr"], statistics["log2fc"])
    chosen_by = {"markers_key": markers_key, "fdr": fdr, "min_log2fc": min_log2fc, "n_peaks": n_peaks}
    result = {
        "params": storable(
            groupby=groupby,
            **(chosen_by if peaks is None else {}),
            motifs=source_name(motifs),
            tax_group=tax_group,
            p_value=p_value,
            layer=layer,
        ),
        "groups": np.array(list(chosen), dtype=object),
        "n_peaks": np.array([len(rows) for rows in chosen.values()]),
        "motifs": table,
        "counts": _stacked(found.motifs),
        **statistics,
    }
    write_slots(atac, {("uns", key): result}, start=start)
    return data if copy else None


def _own_peaks(adata: AnnData, peaks: Mapping[str, Sequence[str]]) -> dict[str, NDArray[np.intp]]:
    """Return the positions of the user's marker peaks, by label."""
    if not isinstance(peaks, Mapping) or any(isinstance(names, str) for names in peaks.values()):
        msg = f"Found peaks={peaks!r} ({type(peaks).__name__}); expected lists of names of peaks by label."
        raise TypeError(msg)
    found = {}
    for label, names in peaks.items():
        rows = adata.var_names.get_indexer([str(name) for name in names])
        if (rows < 0).any():
            first = list(names)[int(np.argmax(rows < 0))]
            msg = (
                f"{(rows < 0).sum()} of {len(rows)} peaks of peaks[{label!r}] are none of the object's (first: "
                f"{first!r}); expected names such as {adata.var_names[0]!r}."
            )
            raise ValueError(msg)
        found[str(label)] = np.unique(rows)
    if not any(len(rows) for rows in found.values()):
        msg = f"Found no peak in peaks=, which names {list(found)}; expected some for at least one label."
        raise ValueError(msg)
    return found


def _require_markers(adata: AnnData, key: str, groupby: str) -> None:
    if key not in adata.uns:
        msg = (
            f"Did not find marker peaks {key!r}, of groupby={groupby!r}. Run sl.tl.marker_peaks(adata, {groupby!r}) "
            "first, pass markers_key= its key_added, or peaks= of your own by label."
        )
        raise KeyError(msg)


def _marker_peaks(
    adata: AnnData, key: str, *, fdr: float, min_log2fc: float, n_peaks: int | None
) -> dict[str, NDArray[np.intp]]:
    """Return the positions of marker peaks, by label."""
    table = marker_peaks_table(adata, key, fdr=fdr, min_log2fc=min_log2fc, n_peaks=n_peaks)
    groups = [str(name) for name in adata.uns[key]["groups"]]
    by_group = {name: part["peak"] for name, part in table.groupby("group", observed=True)}
    found = {name: np.sort(adata.var_names.get_indexer(by_group.get(name, []))) for name in groups}
    if not len(table):
        msg = (
            f"None of the labels {groups} has a marker peak at fdr={fdr} and min_log2fc={min_log2fc}, by {key!r}; "
            "expected some. Pass a larger fdr=, or peaks= of your own by label."
        )
        raise ValueError(msg)
    return found


def _compare(
    found: PeakMotifs, openness: NDArray[np.float64], chosen: dict[str, NDArray[np.intp]]
) -> dict[str, NDArray[np.float64]]:
    """Return statistics, (n_motifs, n_labels), of marker peaks against others in strata of GC content and openness."""
    known = np.flatnonzero(np.isfinite(found.gc))
    strata = peak_strata(found.gc[known], openness[known])
    matches = sp.csr_matrix(found.matches[known], dtype=np.float32)
    matches.sort_indices()
    result = {name: np.full((len(found.motifs), len(chosen)), np.nan) for name in (*STATISTICS, "fdr")}
    for i, rows in enumerate(chosen.values()):
        is_marker = np.isin(known, rows).astype(np.int64)
        if 0 < is_marker.sum() < len(known):
            compared = compare(count_open_cells([matches], is_marker, strata, len(found.motifs)))
            for name in STATISTICS:
                result[name][:, i] = getattr(compared, name)[:, 1]
    tested = np.isfinite(result["pvalue"])
    from scipy.stats import false_discovery_control

    result["fdr"][tested] = false_discovery_control(result["pvalue"][tested])
    return result


def _stacked(motifs: Sequence[Motif]) -> NDArray[np.float32]:
    counts = np.zeros((len(motifs), 4, max(motif.length for motif in motifs)), dtype=np.float32)
    for motif, row in zip(motifs, counts, strict=True):
        row[:, : motif.length] = motif.counts
    return counts


def _report(
    groups: Sequence[str],
    chosen: Mapping[str, NDArray[np.intp]],
    fdr: NDArray[np.float64],
    log2fc: NDArray[np.float64],
) -> None:
    """Say in one line what was found, and warn of labels with few marker peaks."""
    few = [f"{name!r} ({len(rows)})" for name, rows in chosen.items() if len(rows) < FEW_PEAKS]
    if few:
        logg.warning(
            f"Labels with few marker peaks: {', '.join(few)}. Motifs are found only if most of these peaks have them; "
            "with none there is no result."
        )
    n_motifs = ((fdr <= 0.05) & (log2fc > 0)).sum(axis=0)
    logg.result(
        f"marker motifs of {len(groups)} labels with {min(map(len, chosen.values())):,} to "
        f"{max(map(len, chosen.values())):,} marker peaks; {n_motifs.min():,} to {n_motifs.max():,} motifs per label "
        "are more frequent there at an FDR of 5 %"
    )
