"""What the labels of an object rest on, from its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import count_blocks
from .._keys import AnnotationKeys
from ..factorisation import Decoder, Placed, Placement
from ..methods import METHODS, LinearModel, log_folds

Float = NDArray[np.floating]


@dataclass(frozen=True)
class EvidenceModel:
    """What the labels of an object were made with."""

    peaks: NDArray[np.intp]
    """(n_peaks,): positions of the peaks that count."""
    number: NDArray[np.intp]
    """(n_peaks,): the peak that each counts as; several may count as one."""
    placement: Placement
    model: LinearModel
    """Its links are among all cells of the object."""
    open_in: Float | None
    """(n_peaks, n_classes): share of the reference's cells of each class in which a peak is open; NaN for peaks that
    the reference lacks. None if its counts were not at hand."""
    n_obs: int
    """Cells of the object."""
    is_binary: bool
    """Whether counts above 1 are taken for 1."""

    def sources(self, cells: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the cells whose counts the labels of ``cells`` rest on, in increasing order."""
        if self.model.is_one_type:
            return np.arange(self.n_obs)
        return cells if self.model.links is None else np.union1d(cells, self.model.links[cells].indices)

    def place(self, adata: AnnData, key: str, cells: NDArray[np.intp]) -> Placed:
        """Place cells, at increasing positions, by their counts, a row for each of them and a column for each peak."""
        blocks = count_blocks(adata, adata.uns[key]["params"].get("layer")).take(cells)
        X = sp.csr_matrix(sp.vstack([block[:, self.peaks] for block in blocks]))
        if self.is_binary:
            X.data[:] = 1
            if len(np.unique(self.number)) < len(self.number):
                # Peaks that count as one are open if any of them is: those that are share it.
                as_one = sp.csr_matrix((np.ones(len(self.number)), self.number, np.arange(len(self.number) + 1)))
                share = sp.csr_matrix(X @ as_one @ as_one.T)
                share.data = 1 / share.data
                X = sp.csr_matrix(X.multiply(share), dtype=np.float32)
        X.sort_indices()
        return self.placement(X)


def read_evidence(adata: AnnData, key: str) -> EvidenceModel:
    """Return what the labels of an object were made with.

    Raises
    ------
    KeyError
        There is no such annotation, or slots of it are missing.
    ValueError
        Its labels cannot be traced to peaks; peaks, or cells that others were pooled with, are missing.
    """
    keys = AnnotationKeys(key)
    if keys.uns not in adata.uns or keys.proba not in adata.obsm:
        msg = f"Did not find an annotation {key!r} (.uns[{key!r}], .obsm[{keys.proba!r}]). Run sl.tl.annotate first."
        raise KeyError(msg)
    stored = _stored(adata, key)
    again = "Pass the object as it was annotated, or run sl.tl.annotate on it again."
    needed = [("varm", keys.loadings), ("var", keys.rate), ("var", keys.peak)]
    reads_profiles = any("prior" in member for member in stored["members"].values())
    needed += [("obsp", keys.pooled)] if stored["is_linked"] else []
    needed += [("varm", keys.n_open)] if reads_profiles else []
    if missing := [f".{attr}[{name!r}]" for attr, name in needed if name not in getattr(adata, attr)]:
        msg = f"Did not find {', '.join(missing)}, which say what the labels {key!r} rest on. {again}"
        raise KeyError(msg)
    if (stored["is_linked"] or stored["is_one_type"]) and adata.n_obs != stored["n_obs"]:
        msg = (
            f"The object has {adata.n_obs} of the {stored['n_obs']} cells that were annotated; expected all of them: "
            f"the labels {key!r} rest on counts of neighbors too. {again}"
        )
        raise ValueError(msg)
    number = adata.var[keys.peak].to_numpy()
    peaks = np.flatnonzero(number >= 0)
    first, number, n_same = np.unique(number[peaks], return_index=True, return_inverse=True, return_counts=True)[1:]
    if len(first) != stored["n_peaks"]:
        msg = (
            f"The object has {len(first)} of the {stored['n_peaks']} peaks that the labels {key!r} rest on; expected "
            f"all of them. {again}"
        )
        raise ValueError(msg)
    folds = open_in = None
    if keys.n_open in adata.varm:
        n_open, n_cells = np.asarray(adata.varm[keys.n_open], dtype=np.float64)[peaks], np.asarray(stored["n_cells"])
        open_in = n_open / np.where(n_cells > 0, n_cells, np.nan)
        folds = log_folds(n_open[first].T)[number] if reads_profiles else None
    links = sp.csr_matrix(adata.obsp[keys.pooled]) if stored["is_linked"] else None
    placement = _placement(adata, keys, stored, peaks, n_same[number])
    model = LinearModel.of_arrays(stored, links, folds)
    return EvidenceModel(peaks, number, placement, model, open_in, adata.n_obs, bool(stored["is_binary"]))


def _placement(
    adata: AnnData, keys: AnnotationKeys, stored: Mapping[str, Any], peaks: NDArray[np.intp], n_same: NDArray[np.intp]
) -> Placement:
    """Return how cells are placed by the peaks at these positions, of which ``n_same`` (n_peaks,) count as one."""
    rate = adata.var[keys.rate].to_numpy(np.float32)[peaks]
    gram = np.asarray(stored["gram"], dtype=np.float64)
    V, T, G = (
        np.asarray(stored.get(name, np.eye(len(gram)))) for name in ("cell_covariance", "peak_covariance", "cell_gram")
    )
    loadings = np.asarray(adata.varm[keys.loadings], dtype=np.float32)[peaks]
    # Peaks that count as one share its base rate as they do its counts.
    decoder = Decoder(loadings, rate / n_same.astype(np.float32), rate, V, T, G)
    return Placement(decoder, gram, as_new="cell_gram" in stored)


def _stored(adata: AnnData, key: str) -> Mapping[str, Any]:
    """Return ``.uns[key]["evidence"]``; raise ValueError if the labels cannot be traced to peaks."""
    uns = adata.uns[key]
    if "evidence" in uns:
        return uns["evidence"]
    params, traced = uns["params"], [name for name, method in METHODS.items() if method.has_evidence]
    if "use_rep" in params:
        msg = (
            f"The labels {key!r} rest on .obsm[{params['use_rep']!r}], not on peaks (sl.tl.graph_da_annotate); "
            "expected those of sl.tl.annotate. Run that."
        )
    elif params["method"] in traced:
        msg = (
            f"The labels {key!r} were written by a version that did not keep what they rest on; expected "
            f".uns[{key!r}]['evidence']. Run sl.tl.annotate again."
        )
    else:
        msg = (
            f"What labels of method={params['method']!r} rest on cannot be told peak by peak; expected one of "
            f"{traced}, whose log odds are sums over peaks. Pass method={traced[0]!r} to sl.tl.annotate."
        )
    raise ValueError(msg)
