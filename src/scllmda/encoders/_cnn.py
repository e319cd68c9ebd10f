"""A convolutional network trained on the data's own accessibility."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm import tqdm

from ..factorisation import InMemory, fit, margins
from ._neural import check_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..nn import SequenceCnn

_N_FOLDS = 3
_MIN_PEAKS = 100
_CHUNK = 4096
_UNKNOWN = 4
_COMPLEMENT = np.array([3, 2, 1, 0, _UNKNOWN], dtype=np.uint8)
_CODES = np.full(256, _UNKNOWN, dtype=np.uint8)
for _code, _base in enumerate(b"ACGT"):
    _CODES[[_base, _base + 32]] = _code  # 32 apart in ASCII: upper and lower case


class CnnEncoder:
    r"""What a convolutional network, trained on the data's own counts, expects of a peak from its DNA.

    The network learns the peaks' loadings in the factorisation of cells × peaks and their log base rate, instead of one
    output per cell as in scBasset (Yuan & Kelley 2022, Nature Methods 19:1088): the cost does not grow with the number
    of cells. No label is read. :func:`scllmda.tl.embed_peaks` and :func:`scllmda.tl.annotate` fit an encoder that is
    not fitted yet; call :meth:`fit` to do so yourself.

    Parameters
    ----------
    n_dims
        Length of a vector: the standardized log base rate, then ``n_dims - 1`` loadings, those of the largest singular
        value first. Loadings that do not rise above the noise are zero.
    n_epochs
        Most epochs; training stops earlier when peaks held out are predicted no better.
    width
        Bases read, around the center of each sequence; shorter ones are padded with unknown bases.
    rng
        Seed or generator; the same gives the same vectors on the same device.
    device
        Torch device; "auto" takes a GPU when there is one.

    Attributes
    ----------
    history
        Held-out R² of each epoch, a list per network.

    Raises
    ------
    ValueError
        ``n_dims``, ``n_epochs`` or ``width`` is no whole number, too small or too large.

    Notes
    -----
    With :math:`V` the loadings and :math:`\sigma_c` the singular values of the Pearson residuals
    (:func:`scllmda.factorisation.fit`) and :math:`m_i` the peak's share of all counts, target :math:`c` of peak
    :math:`i` is :math:`V_{ic} / \sqrt{m_i}`, weighted by the peak's counts. Its part in the loss is
    :math:`\max(\sigma_c^2 - s, 0)`, with :math:`s` the median of the singular values squared, which stands for noise;
    the log base rate has half of the loss.

    A network remembers the loadings of the peaks that it was trained on, and what it says of those would pass for
    evidence. So there are three: a hash of the bases puts each sequence, with its reverse complement, into one of three
    folds, and the vector is that of the network trained on the other two. The vectors of the training peaks are as good
    as those of new ones, no better. The fold left out also decides when training stops.

    Examples
    --------
    >>> import scllmda as sl
    >>> adata, _ = sl.datasets.simulate(n_reference=100, n_query=10, n_peaks=500)
    >>> encoder = sl.encoders.CnnEncoder(n_dims=8, n_epochs=1).fit(list(adata.var["sequence"]), adata.X)
    >>> encoder.encode(["ACGTTTGA", "TCAAACGT"]).shape
    (2, 8)
    """

    name = "cnn"

    def __init__(
        self,
        n_dims: int = 64,
        *,
        n_epochs: int = 20,
        width: int = 256,
        rng: int | np.random.Generator = 0,
        device: str = "auto",
    ) -> None:
        _require_whole("n_dims", n_dims, 2, 2**12)
        _require_whole("n_epochs", n_epochs, 1, 2**20)
        _require_whole("width", width, 32, 2**16)
        self.n_dims = n_dims
        self.n_epochs = n_epochs
        self.width = width
        self.device = device
        self.revision = "unfitted"
        self.history: list[list[float]] = []
        self._rng = rng
        self._networks: list[SequenceCnn] = []

    @property
    def fitted(self) -> bool:
        """Whether `fit` was called."""
        return bool(self._networks)

    def fit(self, sequences: Sequence[str], X: sp.csr_matrix) -> Self:
        """Train on the counts of peaks.

        Parameters
        ----------
        sequences
            DNA of each peak, in either case. Peaks without a known base are left out.
        X
            (n_cells, n_peaks) counts; binarized.

        Returns
        -------
        The encoder itself, whose ``revision`` is now a hash of its weights.

        Raises
        ------
        ValueError
            Other than one sequence per column of ``X``, fewer than 100 open peaks with a known sequence, next to no
            different sequences, or no such device.
        """
        check_options(device=self.device)
        if len(sequences) != X.shape[1]:
            msg = f"Found {len(sequences)} sequences for {X.shape[1]} peaks (columns of X); expected one for each."
            raise ValueError(msg)
        strands = _strands(sequences, self.width)
        X = sp.csr_matrix(X, dtype=np.float32, copy=True)
        X.eliminate_zeros()
        X.data[:] = 1
        usable = (strands[0] < _UNKNOWN).any(axis=1) & (np.bincount(X.indices, minlength=X.shape[1]) > 0)
        if usable.sum() < _MIN_PEAKS:
            msg = (
                f"{usable.sum()} of {X.shape[1]} peaks are open in some cell and have a known sequence; expected at "
                f"least {_MIN_PEAKS} to train on. Use an encoder that needs no training: encoder='kmer'."
            )
            raise ValueError(msg)
        rng = np.random.default_rng(self._rng)
        targets, weights, importance = _targets(X[:, usable], self.n_dims - 1, rng)
        self._train(strands[:, usable], targets, weights, importance, rng)
        return self

    def _train(
        self,
        strands: NDArray[np.uint8],
        targets: NDArray[np.floating],
        weights: NDArray[np.floating],
        importance: NDArray[np.floating],
        rng: np.random.Generator,
    ) -> None:
        from ..nn import CnnRecipe, train_sequence_cnn

        self._columns = np.flatnonzero(importance)
        self._hash = rng.integers(2**64, size=self.width, dtype=np.uint64)
        fold = self._fold(strands)
        if (n_used := len(np.unique(fold))) < _N_FOLDS:
            msg = (
                f"The sequences of {strands.shape[1]} peaks fall into {n_used} of {_N_FOLDS} folds, as few different "
                "ones do; expected hundreds of different sequences to train on. Use an encoder that needs no "
                "training: encoder='kmer'."
            )
            raise ValueError(msg)
        trained = [
            train_sequence_cnn(
                strands,
                targets[:, self._columns],
                weights,
                importance[self._columns],
                fold == f,
                recipe=CnnRecipe(),
                n_epochs=self.n_epochs,
                seed=int(rng.integers(2**31)),
                device=self.device,
            )
            for f in range(_N_FOLDS)
        ]
        self._networks = [network for network, _ in trained]
        self.history = [history for _, history in trained]
        self.revision = self._weights_hash()

    def encode(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return what the network that has not seen the sequence expects, mean over both strands.

        Parameters
        ----------
        sequences
            DNA in either case; any other character than A, C, G and T stands for an unknown base.
        progress
            Show a progress bar on a terminal.

        Returns
        -------
        float32 array, sequences × ``n_dims``.

        Raises
        ------
        RuntimeError
            The encoder is not fitted.
        """
        if not self.fitted:
            msg = (
                "The encoder 'cnn' learns from counts and is not fitted. Call .fit(sequences, X) first, with the DNA "
                "of each peak and cells × peaks, or sl.tl.embed_peaks(adata, encoder), which does."
            )
            raise RuntimeError(msg)
        from ..nn import predict_sequence_cnn

        vectors = np.zeros((len(sequences), self.n_dims), dtype=np.float32)
        with tqdm(total=len(sequences), desc=self.name, unit=" peaks", disable=None if progress else True) as bar:
            for first in range(0, len(sequences), _CHUNK):
                strands = _strands(sequences[first : first + _CHUNK], self.width)
                fold = self._fold(strands)
                for f in np.unique(fold):
                    rows = np.flatnonzero(fold == f)
                    expected = predict_sequence_cnn(self._networks[f], strands[:, rows])
                    vectors[np.ix_(first + rows, self._columns)] = expected
                bar.update(strands.shape[1])
        return vectors

    def _fold(self, strands: NDArray[np.uint8]) -> NDArray[np.integer]:
        """Return (n,) folds by a hash of the bases, the same for both strands."""
        hashes = strands.astype(np.uint64) @ self._hash
        # The upper bits of a random linear hash are those that every base has a say in.
        return ((hashes[0] + hashes[1]) >> np.uint64(32)).astype(np.int64) % _N_FOLDS

    def _weights_hash(self) -> str:
        digest = blake2b(self._hash.tobytes() + self._columns.tobytes(), digest_size=8)
        for network in self._networks:
            for value in network.state_dict().values():
                digest.update(value.cpu().numpy().tobytes())
        return f"1-{digest.hexdigest()}"


def _require_whole(parameter: str, value: Any, least: int, most: int) -> None:
    """Raise ValueError if a parameter is no whole number between two bounds, both included."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:
        msg = f"{parameter}={value!r} found, expected a whole number from {least} to {most:,}. Try CnnEncoder()."
        raise ValueError(msg)


def _strands(sequences: Sequence[str], width: int) -> NDArray[np.uint8]:
    """Return (2, n, width) codes of both strands, the middle of each sequence read 5' to 3', padded with unknown."""
    lengths = np.fromiter(map(len, sequences), dtype=np.intp, count=len(sequences))[:, None]
    # "replace" keeps one byte a character; the last one is there for the padding to point at.
    codes = _CODES[np.frombuffer("".join([*sequences, "N"]).encode("ascii", "replace"), dtype=np.uint8)]
    starts = np.cumsum(lengths)[:, None] - lengths
    # Each strand is cut from its own end, so that the reverse complement of a sequence shows the same two strands.
    position = (lengths - width) // 2 + np.arange(width)
    inside = (position >= 0) & (position < lengths)
    forward = codes[np.where(inside, starts + position, -1)]
    reverse = _COMPLEMENT[codes[np.where(inside, starts + lengths - 1 - position, -1)]]
    return np.stack([forward, reverse])


def _targets(
    X: sp.csr_matrix, n_loadings: int, rng: np.random.Generator
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Return targets (n_peaks, 1 + k), peaks' counts (n_peaks,) and importance of targets (1 + k,) of open peaks."""
    blocks = InMemory(X)
    expected = margins(blocks)
    fitted = fit(blocks, expected, n_loadings, rng=rng)
    counts = expected.rate * X.sum()
    targets = np.column_stack([np.log(expected.rate), fitted.decoder.loadings])
    targets -= np.average(targets, axis=0, weights=counts)
    # Loadings are to scale already.
    targets[:, 0] /= np.sqrt(np.average(targets[:, 0] ** 2, weights=counts)) or 1
    variance = expected.exposure @ fitted.cells.astype(np.float64) ** 2
    signal = np.maximum(variance - np.median(variance), 0)
    signal /= signal.sum() or 1
    return targets, counts, np.concatenate([[1], signal]) / 2
