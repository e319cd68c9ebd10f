"""What every encoder offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeGuard, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import scipy.sparse as sp


@runtime_checkable
class PeakEncoder(Protocol):
    """Anything that turns DNA sequences into vectors.

    Nothing needs to be inherited: an object with these three attributes and this method can be passed as ``encoder=``.
    The vector of a sequence must depend on that sequence alone, not on the others in the call: equal sequences
    are encoded once, and calls are split into batches.

    Examples
    --------
    >>> import numpy as np
    >>> import scllmda as sl
    >>> class CpG:
    ...     name, revision, n_dims = "cpg", "1", 1
    ...
    ...     def encode(self, sequences, *, progress=False):
    ...         return np.array([[s.upper().count("CG")] for s in sequences], dtype=np.float32)
    >>> isinstance(CpG(), sl.encoders.PeakEncoder)
    True
    >>> CpG().encode(["ACGCGT", "acgt"])
    array([[2.],
           [1.]], dtype=float32)
    """

    @property
    def name(self) -> str:
        """Name, without "/"; the vectors are kept in ``.varm[f"X_{name}"]``."""
        ...

    @property
    def revision(self) -> str:
        """A string that changes whenever the vectors of any sequence change."""
        ...

    @property
    def n_dims(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return the vectors of the sequences.

        Parameters
        ----------
        sequences
            DNA in either case; any other character than A, C, G and T stands for an unknown base.
        progress
            Show a progress bar on a terminal.

        Returns
        -------
        float32 array, sequences × ``n_dims``, without NaN or infinite values.
        """
        ...


@runtime_checkable
class FittableEncoder(PeakEncoder, Protocol):
    """An encoder that learns from counts before it encodes.

    Before that, its ``revision`` is "unfitted" and ``encode`` raises an error that says what to call.
    """

    @property
    def fitted(self) -> bool:
        """Whether `fit` was called."""
        ...

    def fit(self, sequences: Sequence[str], X: sp.csr_matrix) -> Self:
        """Learn from the counts of peaks, and return the encoder itself.

        Parameters
        ----------
        sequences
            DNA of each peak.
        X
            (n_cells, n_peaks) counts. There are no labels to learn from.
        """
        ...


def needs_fit(encoder: PeakEncoder) -> TypeGuard[FittableEncoder]:
    """Return whether an encoder is to be fitted to counts before it can encode.

    Parameters
    ----------
    encoder
        Any encoder.

    Examples
    --------
    >>> import scllmda as sl
    >>> sl.encoders.needs_fit(sl.encoders.get("kmer")), sl.encoders.needs_fit(sl.encoders.get("cnn"))
    (False, True)
    """
    return isinstance(encoder, FittableEncoder) and not encoder.fitted
