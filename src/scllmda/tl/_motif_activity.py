"""Score motifs in each cell by how open the peaks are that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from .. import _logging as logg
from .._anndata import claim_slots, require_peaks, resolve, write_slots
from .._checks import checked
from .._counts import count_blocks
from .._keys import MOTIF_ACTIVITY, SEQUENCE, class_column
from ..genomics import Deviations
from ._params import storable
from ._peak_motifs import motifs_of, peak_motifs, require_sequences, source_name

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

_BLOCK_SIZE = 1024
"""Cells at once: what is computed on the way is dense, cells × motifs and cells × bins."""
FEW_PEAKS = 20
"""Motifs in fewer peaks are counted in the log: their scores are of few fragments."""


@checked
def motif_activity(
    adata: AnnData | MuData,
    *,
    motifs: Any = None,
    tax_group: str | None = None,
    statistic: Literal["z", "deviation"] = "z",
    p_value: float = 5e-5,
    sequence_key: str = SEQUENCE,
    genome: Any = None,
    layer: str | None = None,
    key_added: str = MOTIF_ACTIVITY,
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Score motifs in each cell by how open the peaks are that have them: chromVAR's deviations.

    Of the counts of a cell, the share that lies in peaks with a motif is compared with what is expected from all cells;
    the same is done for sets of other peaks, which are like those with the motif in GC content and in counts. What the
    first deviates more than the others, in standard deviations of the others, is the score (Schep et al. 2017, Nature
    Methods 14:975). chromVAR draws 50 such sets; here mean and standard deviation are computed as of ever more sets,
    from means over the bins that it draws from, so that there is no seed, and one pass over the counts in place of 51.

    Labels are not looked at. To compare types or to follow a trajectory, take the scores of cells as values of their
    own, by a rank test for example; motifs of one family have about the same scores.

    The cost is that of the product of counts and sites; counts are read in blocks of cells, and cells × motifs are held
    in memory.

    Parameters
    ----------
    adata
        Cells × peaks with raw or binary counts, or a MuData with the modality ``mod``; with the DNA under the peaks, by
        :func:`scllmda.pp.peak_sequences`, or ``genome``.
    motifs
        As of :func:`scllmda.tl.marker_motifs`: release of JASPAR, path, motifs of ``Bio.motifs``, or arrays by name.
    tax_group
        Of JASPAR's motifs. None: that of the genome build that the object notes, vertebrates if there is none.
    statistic
        "z" for scores; "deviation" for the deviation itself without its bias, which does not grow with the depth of a
        cell as scores do.
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
        Slot of ``.obsm`` and ``.uns``.
    mod
        Modality that holds the peaks, where a MuData is given.
    copy
        Return a copy instead of writing to ``adata``.

    Returns
    -------
    None, or the changed copy. Writes

    `.obsm[key_added]` : :class:`pandas.DataFrame`
        (n_cells, n_motifs) float32, a column per motif by its id; 0 for cells without counts, and for motifs in no open
        peak.
    `.uns[key_added]` : :class:`dict`
        ``params``, and ``motifs``: a table with a row per motif by its id (``name``, ``family``, ``n_peaks``).

    Raises
    ------
    ImportError
        Motifs of JASPAR or a file, without the extra ``motifs``.
    KeyError
        No sequences, no such layer or modality.
    ValueError
        Motifs of another taxonomic group than the genome, or that cannot be read; no open peak with a known base; a
        result that would overwrite what is read; or invalid counts.
    FileNotFoundError
        There is no such genome, or file of motifs.
    TypeError
        An object that is neither AnnData nor MuData, or ``motifs`` of another type.

    See Also
    --------
    scllmda.tl.marker_motifs : Motifs of the marker peaks of labels.

    Examples
    --------
    >>> import numpy as np, scllmda as sl
    >>> adata, _ = sl.datasets.simulate()
    >>> words = adata.uns["simulation"]["motifs"]
    >>> motifs = {word: np.eye(4)[:, ["ACGT".index(base) for base in word]] for word in words}
    >>> sl.tl.motif_activity(adata, motifs=motifs)
    >>> adata.obsm["motif_activity"].shape
    (600, 18)
    """
    data, atac = resolve(adata, mod=mod, copy=copy)
    require_peaks(atac)
    require_sequences(atac, sequence_key, genome)
    found_motifs = motifs_of(atac, motifs, tax_group)
    is_ours = "motifs" in atac.uns.get(key_added, ())
    claim_slots(atac, [("obsm", key_added), ("uns", key_added)], read={}, is_ours=is_ours)
    blocks = count_blocks(atac, layer, block_size=_BLOCK_SIZE)

    start = logg.info(f"scoring {len(found_motifs)} motifs in {atac.n_obs} cells")
    found = peak_motifs(atac, found_motifs, p_value=p_value, sequence_key=sequence_key, genome=genome)
    blocks = blocks.ready()
    totals = np.zeros(atac.n_vars)
    for block in blocks:
        totals += np.asarray(block.sum(axis=0)).ravel()
    kept = np.flatnonzero((totals > 0) & np.isfinite(found.gc))
    if not len(kept):
        msg = (
            f"None of the {atac.n_vars} peaks has a known base and a count; expected some. Pass an object with counts."
        )
        raise ValueError(msg)
    deviations = Deviations.of(found.matches[kept], totals[kept], found.gc[kept])
    scores = np.empty((atac.n_obs, len(found_motifs)), dtype=np.float32)
    n_empty = first = 0
    for block in blocks:
        X = block[:, kept]
        last = first + X.shape[0]
        scores[first:last] = deviations.of_cells(X)[statistic == "z"]
        n_empty += int((np.diff(X.indptr) == 0).sum())
        first = last
    if n_empty:
        logg.warning(f"{n_empty} of {atac.n_obs} cells have no counts in peaks with known bases; their scores are 0.")
    table = found.table()
    logg.result(
        f"activity of {len(table)} motifs in {atac.n_obs:,} cells by {len(kept):,} peaks; "
        f"{(table['n_peaks'] < FEW_PEAKS).sum()} motifs have sites in fewer than {FEW_PEAKS} peaks"
    )
    columns = [class_column(name) for name in table.index]
    params = storable(
        motifs=source_name(motifs), tax_group=tax_group, statistic=statistic, p_value=p_value, layer=layer
    )
    slots = {
        ("obsm", key_added): pd.DataFrame(scores, index=atac.obs_names, columns=columns),
        ("uns", key_added): {"params": params, "motifs": table},
    }
    write_slots(atac, slots, start=start)
    return data if copy else None
