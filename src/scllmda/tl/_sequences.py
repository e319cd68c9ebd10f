"""Peak embeddings of the objects that an annotation is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import SEQUENCE, peak_embedding
from ..encoders import needs_fit
from ..factorisation import SequencePrior
from ._embed_peaks import embed_peaks
from ._peak_embeddings import has_known_base, peak_embeddings

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ..encoders import PeakEncoder


@dataclass(frozen=True)
class Sequences:
    """Where peak embeddings come from: ``.varm``, else ``.var["sequence"]``, else a FASTA."""

    encoder: PeakEncoder
    genome: Any = None
    client: Any = None
    """A Dask client whose workers encode; None for this process."""
    learn_from: Callable[[], sp.csr_matrix] | None = None
    """To (n_cells, n_peaks) counts of the reference, for encoders that learn from openness."""

    @property
    def key(self) -> str:
        """The encoder's key of ``.varm``."""
        return peak_embedding(self.encoder.name)

    @property
    def learns(self) -> bool:
        """Whether the encoder learns from the reference's counts, and so knows its peaks alone."""
        return needs_fit(self.encoder)

    def of_query(self, *, lifted: bool) -> Sequences:
        """Return where the query's sequences come from: a genome is of the reference's build."""
        return replace(self, genome=None) if lifted else self

    def known(self, peaks: AnnData) -> bool:
        """Return whether there are sequences of an object's peaks."""
        return self.carried(peaks) or self.genome is not None

    def carried(self, peaks: AnnData) -> bool:
        """Return whether an object brings sequences of its peaks, so that no genome is needed."""
        return self.key in peaks.varm or SEQUENCE in peaks.var

    def embed(self, peaks: AnnData, *, n_dims: int | None = None) -> tuple[NDArray[np.float32] | None, str]:
        """Return embeddings (n_peaks, d) and where they are from; None and "none" if there is no sequence.

        Parameters
        ----------
        peaks
            Object whose ``.var`` and ``.varm`` describe the peaks. Not changed.
        n_dims
            d of the reference's, if these are a query's.
        """
        if self.key in peaks.varm:
            return peak_embeddings(peaks, self.key, n_dims), f".varm[{self.key!r}]"
        if not self.known(peaks):
            return None, "none"
        # A column without a known base says nothing: the genome does.
        stored = SEQUENCE in peaks.var and (self.genome is None or bool(has_known_base(peaks.var[SEQUENCE]).any()))
        source = f".var[{SEQUENCE!r}]" if stored else "genome"
        counts = self.learn_from() if self.learns and self.learn_from is not None else None
        scratch = AnnData(counts, var=peaks.var.copy())
        embed_peaks(scratch, self.encoder, client=self.client, genome=None if stored else self.genome)
        return peak_embeddings(scratch, self.key, n_dims), source


def sequence_coverage(source: str, side: str, prior: SequencePrior | None) -> dict[str, Any]:
    """Return where sequences came from, and what share of the loadings they predict on peaks that were held out."""
    if prior is None:
        return {"sequence": "none"}
    return {"sequence": source, "sequence_side": side, "sequence_r2": prior.held_out_r2}


def unused_sequences(
    there: Sequence[str], coverage: Mapping[str, Any], *, reads: bool, learns: bool, frozen: bool
) -> dict[str, str]:
    """Return whose sequences were not used, and why; nothing if all that there are were.

    Parameters
    ----------
    there
        Who has sequences, of reference and query; "object" if there is but one.
    coverage
        What was used.
    reads
        Whether the method has a use for sequences.
    learns
        Whether the encoder learns from the reference's counts.
    frozen
        Whether the query was mapped to a reference that was fitted before.
    """
    side = coverage.get("sequence_side") if coverage.get("sequence", "none") != "none" else None
    used = set(there) if side == "both" or (side is not None and len(there) == 1) else {side}
    if frozen and coverage.get("n_own"):
        used.add("query")
    left = [whose for whose in there if whose not in used]
    if not left:
        return {}
    if not reads:
        why = "the method reads none"
    elif frozen and side is None:
        why = "the reference was fitted without"
    elif learns and left == ["query"]:
        why = "the encoder learns from the reference's counts, and knows its peaks alone"
    elif side is not None:
        why = "peaks that both have are described by the reference's"
    else:
        why = "they do not tell the peaks apart"
    return {"sequence_unused": f"{' and '.join(left)}: {why}"}
