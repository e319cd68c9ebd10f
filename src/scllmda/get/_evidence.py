"""Why cells have their label: what each peak contributed to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import AnnotationKeys
from ..genomics import read_motifs, read_tss
from ..methods import Contributions, contributions
from ._evidence_model import EvidenceModel, read_evidence
from ._peak_context import gene_columns, motif_names, require_sequences
from ._query_cells import query_cells

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

    Float = NDArray[np.floating]


@checked
def evidence(
    adata: AnnData | MuData,
    cells: str | Sequence[str] | NDArray[np.bool_] | pd.Series,
    *,
    label: str | None = None,
    against: str | None = None,
    n_peaks: int | None = None,
    genes: str | PathLike[str] | pd.DataFrame | None = None,
    motifs: Any = None,
    key: str = "scllmda",
    mod: str = "atac",
) -> pd.DataFrame:
    r"""Return which peaks spoke for a label, and against the runner-up.

    The default method is a mixture of classifiers that are linear in the counts of a cell and of those that it is
    pooled with, given how many they are. The log odds of two labels, log p(label) − log p(against), are therefore a
    sum: of what each peak contributed by being open or closed where that was not to be expected, and of a few terms
    that belong to no peak. The contributions of all rows add up to the log odds that the cells were given in the end,
    the mean over the cells if there are several.

    A peak that is closed in a cell contributes little, and open ones do more, the rarer they are. In a pooled
    annotation, counts of neighboring cells contribute too, so that a peak may speak for a label that is closed in the
    cell itself. Contributions are of this model, not causes: of two peaks that are open in the same cells, each gets a
    part.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` wrote to, with its counts; the reference is not needed.
    cells
        Name of a cell, a list of names, or a mask (n_cells,). Or a label, if no cell has that name: all cells that
        have it in ``.obs[key]``.
    label
        Class that is to be explained. None: the one that is named by ``cells``, or the most probable one of the cells.
    against
        Class that it is compared with. None: the runner-up, the most probable one of all others.
    n_peaks
        Peaks to return, those that contributed most either way; the others are one row then. None: all.
    genes
        Genes of the peaks' genome build, to name the one that starts nearest to each peak: path of a BED, a GTF or GFF,
        or a data frame with ``chrom``, ``start``, ``end``, ``strand`` and ``name``.
    motifs
        Motifs to look for in the peaks that are returned (``.var["sequence"]``): a release of JASPAR such as
        "JASPAR2026", the path of a file in MEME, JASPAR or TRANSFAC format, a list of motifs of ``Bio.motifs``, or a
        mapping of names to (4, L) arrays. In a peak of 500 bp one in twenty motifs has a site by chance: few that are
        to be expected tell more than all there are.
    key
        ``key_added`` of the annotation.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    A row per peak that labels rest on, the largest contribution, for or against, first. Then, in parentheses, what
    belongs to no peak returned: ``(other peaks)`` with ``n_peaks``; ``(intercept)``, what the classifiers say whatever
    the counts; ``(bounds)``, because a posterior is no smaller than 1e-9, and cells are rounded to half precision;
    ``(neighbors)``, what probabilities gained by those of the cells' neighbors; ``(calibration)``, what the temperature
    changed, types that were found absent, and how far the query is from the reference. Columns:

    ``contribution``
        To log p(label) − log p(against), in natural logarithms: above 0 for the label, below 0 against it.
    ``open``, ``expected``
        Share of the cells in which the peak is open, and in which it would be expected to be if all cells were alike
        but for their depths. A peak that is open more often than expected speaks by being open, else by being closed.
    ``open_label``, ``open_against``
        Share of the reference's cells of either class in which it is open; missing for peaks that the reference lacks.
        There if the reference had counts.
    ``gene``, ``distance``
        With ``genes``: the gene that starts nearest to the peak's center, and how far the center lies from there in
        base pairs, below 0 upstream; missing for peaks on a contig without genes.
    ``motifs``
        With ``motifs``: names of those that have a site in the peak (p < 5e-5), separated by commas, the best first.

    ``.attrs`` has ``label``, ``against``, ``log_odds`` (the sum of all contributions) and ``n_cells``.

    Raises
    ------
    KeyError
        There is no such annotation, cell, label or class; slots of the annotation are missing.
    ValueError
        Labels of a method, or of a representation, that cannot be traced to peaks; no cell; cells that came with their
        label, or have no open peak; a class against itself; peaks, cells or counts that are not those that were
        annotated; ``genes`` or ``motifs`` that cannot be read; no sequences to look for motifs in.
    FileNotFoundError
        There is no file ``genes`` or ``motifs``.
    ImportError
        Motifs are to be read and pyjaspar or Biopython is not installed.

    See Also
    --------
    scllmda.tl.annotate : Writes what is read here.
    scllmda.pl.evidence : The same as a figure.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> table = sl.get.evidence(query, query.obs_names[0], n_peaks=5)
    >>> table.index[5:].tolist()
    ['(other peaks)', '(intercept)', '(bounds)', '(neighbors)', '(calibration)']
    >>> bool(abs(table["contribution"].sum() - table.attrs["log_odds"]) < 1e-9)
    True
    """
    atac, starts = read(adata, mod=mod), None if genes is None else read_tss(genes)
    if motifs is not None:
        motifs = read_motifs(motifs)
        require_sequences(atac.var)
    model = read_evidence(atac, key)
    chosen = _chosen(atac, key, cells, query_cells(adata, atac, key))
    proba, classes = np.asarray(atac.obsm[AnnotationKeys(key).proba]), [str(c) for c in atac.uns[key]["classes"]]
    if label is None and isinstance(cells, str) and cells in classes and cells not in atac.obs_names:
        label = cells
    pair = _pair(proba[chosen].mean(axis=0), classes, label, against)
    found, is_open = _contributions(atac, key, model, chosen, pair, proba)

    table = is_open.assign(contribution=found.peaks)[["contribution", *is_open]].set_axis(atac.var_names[model.peaks])
    if model.open_in is not None:
        table["open_label"], table["open_against"] = model.open_in[:, pair].T
    if starts is not None:
        table = table.join(gene_columns(atac.var, starts).iloc[model.peaks])
    order = np.argsort(-np.abs(found.peaks), kind="stable")
    shown = table.iloc[order[:n_peaks]]
    if motifs is not None:
        shown = shown.assign(motifs=motif_names(atac.var, model.peaks[order[:n_peaks]], motifs))
    others = {} if n_peaks is None else {"(other peaks)": float(found.peaks[order[n_peaks:]].sum())}
    rest = {f"({name})": getattr(found, name) for name in ("intercept", "bounds", "neighbors", "calibration")}
    table = shown.reindex([*shown.index, *others, *rest])
    table.loc[[*others, *rest], "contribution"] = [*others.values(), *rest.values()]
    table.index.name = "peak"
    of_all = {"log_odds": float(found.peaks.sum()) + sum(rest.values()), "n_cells": len(chosen)}
    table.attrs = {"label": classes[pair[0]], "against": classes[pair[1]], **of_all}
    return table


def _contributions(
    adata: AnnData, key: str, model: EvidenceModel, chosen: NDArray[np.intp], pair: tuple[int, int], proba: Float
) -> tuple[Contributions, pd.DataFrame]:
    """Return the contributions to the log odds of two classes, and how often each peak is open and expected to be."""
    one, other = pair
    sources = model.sources(chosen)
    placed = model.place(adata, key, sources)
    at = np.searchsorted(sources, chosen)
    links = model.model.links
    among = replace(model.model, links=None if links is None else links[sources][:, sources])
    logs = np.log(np.maximum(proba[chosen], np.finfo(float).tiny))
    found = contributions(among, placed, at, pair, float((logs[:, one] - logs[:, other]).mean()))
    aligned = np.asarray(adata.obsm[AnnotationKeys(key).aligned])[chosen]
    if found.aligned is not None and not np.allclose(found.aligned, aligned, rtol=0.05, atol=0.02 * abs(aligned).max()):
        msg = (
            f"The counts are not those that the labels {key!r} were made from: cells lie elsewhere by them than in "
            f".obsm[{AnnotationKeys(key).aligned!r}]. Run sl.tl.annotate on the object again."
        )
        raise ValueError(msg)
    is_open = np.asarray((placed.counts[at] > 0).mean(axis=0)).ravel()
    expected = placed.exposure[at].mean() * model.placement.decoder.rate.astype(float)
    return found, pd.DataFrame({"open": is_open, "expected": expected})


def _chosen(adata: AnnData, key: str, cells: Any, is_query: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the positions of the cells that are asked for, increasing."""
    labels = adata.obs[AnnotationKeys(key).label].astype(str).to_numpy()
    given = np.asarray(cells)
    if given.dtype == bool:
        if given.shape != (adata.n_obs,):
            msg = f"Found a mask of shape {given.shape} for {adata.n_obs} cells; expected one value for each."
            raise ValueError(msg)
        chosen = np.flatnonzero(given)
    elif isinstance(cells, str) and cells not in adata.obs_names:
        chosen = np.flatnonzero((labels == cells) & is_query)
        if not len(chosen):
            there = sorted(set(labels[is_query]))
            msg = f"Found cells={cells!r}; expected the name of a cell, or a label that one has, of {there}."
            raise KeyError(msg)
    else:
        names = [str(name) for name in given.ravel()]
        chosen = adata.obs_names.get_indexer_for(names)
        if (chosen < 0).any():
            first = names[int((chosen < 0).argmax())]
            msg = f"{(chosen < 0).sum()} of {len(names)} cells (first: {first!r}) are not in the object."
            raise KeyError(msg)
        chosen = np.unique(chosen)
    if not len(chosen):
        msg = "No cell is asked for; expected one at least. Pass cells= names, a mask or a label."
        raise ValueError(msg)
    for lacks, what in (
        (~is_query[chosen], "came with their label, which rests on no peak"),
        (adata.obs[AnnotationKeys(key).score].to_numpy()[chosen] == 0, "have no open peak that labels could rest on"),
    ):
        if lacks.any():
            name = adata.obs_names[chosen[int(lacks.argmax())]]
            msg = f"{lacks.sum()} of {len(chosen)} cells (first: {name!r}) {what}. Leave them out of cells=."
            raise ValueError(msg)
    return chosen


def _pair(proba: Float, classes: list[str], label: str | None, against: str | None) -> tuple[int, int]:
    """Return the codes of the two classes: as they are named, else the most probable ones."""
    for parameter, name in (("label", label), ("against", against)):
        if name is not None and name not in classes:
            msg = f"Found {parameter}={name!r}; expected one of the classes {classes}."
            raise KeyError(msg)
    if label is not None and label == against:
        msg = f"Found {label!r} against itself; expected another class. Pass against= one of {classes}."
        raise ValueError(msg)
    order = [int(code) for code in np.argsort(-proba, kind="stable")]
    other = None if against is None else classes.index(against)
    one = next(code for code in order if code != other) if label is None else classes.index(label)
    return one, next(code for code in order if code != one) if other is None else other
