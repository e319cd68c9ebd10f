"""What encoders that are networks over tokens share: batches, precision, pooling and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import _logging as logg

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

POOLINGS = ("mean", "mean_no_special", "cls", "max")

_TOKENISED_AT_ONCE = 4096
_BATCH_TOKENS = {"cpu": 1024, "cuda": 2**16}
"""More gained nothing for DNABERT-2. On an H100, 2^14, 2^15, 2^16, 2^17 and 2^18 compute at 260, 277, 280, 278 and 274
TFLOP/s."""

_COMPLEMENT = bytes.maketrans(b"ACGTacgt", b"TGCAtgca")


@dataclass(frozen=True)
class Tokens:
    """Tokens of many sequences, one sequence after the other."""

    ids: np.ndarray
    """int32, (n_tokens,)."""
    lengths: np.ndarray
    """intp, (n_sequences,): tokens of each."""


class NeuralEncoder:
    """A frozen network over tokens, run in batches of similar length.

    The vector of a sequence depends on that sequence alone: whatever its batch, order or padding, it stays the same
    within 1e-5 in fp32. Distinct sequences are encoded once, longest first, padded within a batch only. A batch that
    does not fit into memory is halved, and those after it too.

    Parameters
    ----------
    network
        Takes ids and mask, (n, length) each, and returns hidden states, (n, length, ``n_dims``).
    tokenize
        Turns sequences into tokens, the first of which stands for the whole sequence.
    name, n_dims
        Of the encoder.
    weights
        What tells these weights and this tokenizer from all others.
    pad_id, special_ids
        Tokens that fill a batch, and tokens that stand for no bases.
    max_tokens
        Longer sequences lose what comes after, with a warning; None is no limit.
    n_end_tokens
        Tokens at the end of every sequence that stay when it is cut.
    pooling
        "mean" of all tokens, "mean_no_special" of those that stand for bases (zeros if there are none), "cls", the
        first token, or "max" of each dimension over all tokens.
    reverse_complement
        Average the vectors of both strands.
    device
        "cpu" (fp32), "cuda" (bf16 autocast), …; "auto" takes a GPU when there is one.
    quantize
        Linear layers in int8, on CPU, one sequence at a time because the scale of the activations is that of a batch.
        Measured with random weights in DNABERT-2's size, 8 random sequences of 500 bp and one core
        (``benchmarks/encoders.py``): vectors off by 0.8 % of their length, a correlation of 0.998 between what differs
        among sequences and the same in fp32, 0.8 times the time. Trained weights were not measured.
    batch_tokens
        Tokens per batch, padding included; None is 1,024 on a CPU and 65,536 on a GPU.

    Attributes
    ----------
    revision
        Names weights, pooling, strands and precision.

    Raises
    ------
    ValueError
        An option is unusable.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        tokenize: Callable[[Sequence[str]], Tokens],
        *,
        name: str,
        n_dims: int,
        weights: str,
        pad_id: int,
        special_ids: Sequence[int],
        max_tokens: int | None = None,
        n_end_tokens: int = 0,
        pooling: str = "mean",
        reverse_complement: bool = False,
        device: str = "auto",
        quantize: bool = False,
        batch_tokens: int | None = None,
    ) -> None:
        device = check_options(pooling=pooling, device=device, quantize=quantize, batch_tokens=batch_tokens)
        self.name = name
        self.n_dims = n_dims
        self._tokenise_chunk = tokenize
        self._pad_id = pad_id
        self._special_ids = list(special_ids)
        self._max_tokens = max_tokens
        self._n_end_tokens = n_end_tokens
        self._pooling = pooling
        self._both_strands = reverse_complement
        self._device = device
        self._kind = device.partition(":")[0]
        self._batch_tokens = 1 if quantize else batch_tokens or _BATCH_TOKENS.get(self._kind, _BATCH_TOKENS["cpu"])
        self._network = quantized(network) if quantize else network.to(device)
        precision = "int8" if quantize else "bf16" if self._kind == "cuda" else "fp32"
        strands = ["both-strands"] if reverse_complement else []
        self.revision = "-".join(["1", weights, pooling, *strands, precision])

    def encode(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return the pooled hidden states of the sequences.

        Parameters
        ----------
        sequences
            DNA in either case.
        progress
            Show a progress bar on a terminal.

        Returns
        -------
        float32 array, sequences × ``n_dims``.

        Raises
        ------
        MemoryError
            A single sequence does not fit into memory.
        ValueError
            The weights give NaN or infinite values.
        """
        if len(sequences) == 0:
            return np.empty((0, self.n_dims), dtype=np.float32)
        codes, distinct = pd.factorize(np.array(sequences, dtype=object))
        vectors = self._encode(list(distinct), progress=progress)
        if self._both_strands:
            vectors += self._encode([_reverse_complement(s) for s in distinct], progress=progress)
            vectors /= 2
        return vectors[codes] if len(distinct) < len(codes) else vectors

    def _encode(self, sequences: Sequence[str], *, progress: bool) -> np.ndarray:
        import torch

        tokens = self._tokenize(sequences)
        vectors = np.empty((len(sequences), self.n_dims), dtype=np.float32)
        with (
            tqdm(total=len(sequences), desc=self.name, unit=" peaks", disable=None if progress else True) as bar,
            torch.inference_mode(),
            torch.autocast(self._kind, dtype=torch.bfloat16, enabled=self._kind == "cuda"),
        ):
            # A GPU computes a batch while the next is prepared: it is asked for what it found one batch later.
            for rows, found in _one_later(self._batches(tokens)):
                pooled = found.cpu().numpy()
                _require_finite(pooled, self.name)
                vectors[rows] = pooled
                bar.update(len(rows))
        return vectors

    def _batches(self, tokens: Tokens) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield the sequences of each batch, and their pooled vectors (n, n_dims) where they were computed."""
        starts = np.cumsum(tokens.lengths) - tokens.lengths
        # Longest first: what does not fit into memory shows at once, and the time left is never too short.
        order = np.argsort(-tokens.lengths, kind="stable")
        budget, first = self._batch_tokens, 0
        while first < len(order):
            length = int(tokens.lengths[order[first]])
            rows = order[first : first + max(1, budget // length)]
            pooled = self._try_batch(*_pad(tokens, starts, rows, self._pad_id))
            if pooled is None:
                budget = _halved(len(rows), length, self.name)
                continue
            yield rows, pooled
            first += len(rows)

    def _tokenize(self, sequences: Sequence[str]) -> Tokens:
        """Return the tokens of all sequences, cut where the network ends."""
        chunks = [
            self._tokenise_chunk(sequences[first : first + _TOKENISED_AT_ONCE])
            for first in range(0, len(sequences), _TOKENISED_AT_ONCE)
        ]
        tokens = Tokens(
            np.concatenate([chunk.ids for chunk in chunks]), np.concatenate([chunk.lengths for chunk in chunks])
        )
        if self._max_tokens is None or tokens.lengths.max() <= self._max_tokens:
            return tokens
        logg.warning(
            f"{(tokens.lengths > self._max_tokens).sum()} of {len(sequences)} sequences have more than the "
            f"{self._max_tokens} tokens that {self.name!r} reads (at most {tokens.lengths.max()}); the rest of each is "
            "left out. Narrower windows around the summits keep what matters: sl.pp.peak_sequences(adata, genome, "
            "window=…)."
        )
        return _truncate(tokens, self._max_tokens, self._n_end_tokens)

    def _try_batch(self, ids: np.ndarray, mask: np.ndarray) -> torch.Tensor | None:
        """Return the pooled vectors of one batch, (n, n_dims), or None if memory does not suffice."""
        import torch

        counted = mask & ~np.isin(ids, self._special_ids) if self._pooling == "mean_no_special" else mask
        try:
            there = None if mask.all() else self._send(mask)
            hidden = self._network(self._send(ids), there)
            return pool(hidden.float(), self._send(counted), self._pooling)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
                raise
        if self._kind == "cuda":
            torch.cuda.empty_cache()
        return None

    def _send(self, array: np.ndarray) -> torch.Tensor:
        """Return an array on the device; a GPU fetches it, from pinned memory, when the work before is done."""
        import torch

        tensor = torch.from_numpy(array)
        return (
            tensor.pin_memory().to(self._device, non_blocking=True) if self._kind == "cuda" else tensor.to(self._device)
        )


def _one_later(items: Iterable[T]) -> Iterator[T]:
    """Yield each item when the next is there."""
    before: list[T] = []
    for item in items:
        yield from before
        before = [item]
    yield from before


def _require_finite(pooled: np.ndarray, name: str) -> None:
    """Raise ValueError if vectors are not finite, as those of weights that are too large are not."""
    n_bad = int((~np.isfinite(pooled)).any(axis=1).sum())
    if n_bad:
        msg = (
            f"The weights of {name!r} give NaN or infinite values for {n_bad} of {len(pooled)} sequences, expected "
            "finite ones. Download them again from their publisher, and pass source= the folder they are in."
        )
        raise ValueError(msg)


def pool(hidden: torch.Tensor, counted: torch.Tensor, pooling: str) -> torch.Tensor:
    """Return one vector per sequence from those of its tokens.

    Parameters
    ----------
    hidden
        (n, length, n_dims).
    counted
        (n, length), True at the tokens that enter mean or max.
    pooling
        One of ``POOLINGS``.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.masked_fill(~counted[:, :, None], -float("inf")).amax(dim=1)
    n_counted = counted.sum(dim=1, keepdim=True).clamp(min=1)
    return hidden.masked_fill(~counted[:, :, None], 0).sum(dim=1) / n_counted


def check_options(
    *, pooling: str = "mean", device: str = "auto", quantize: bool = False, batch_tokens: int | None = None
) -> str:
    """Return the device to use, before any long work.

    Raises
    ------
    ValueError
        An option is unusable.
    """
    import torch

    from ..nn import pick_device

    if pooling not in POOLINGS:
        msg = f"pooling={pooling!r} found, expected one of {list(POOLINGS)}. The published one is pooling='mean'."
        raise ValueError(msg)
    is_whole = isinstance(batch_tokens, (int, np.integer)) and not isinstance(batch_tokens, bool)
    if batch_tokens is not None and (not is_whole or batch_tokens < 1):
        msg = f"batch_tokens={batch_tokens!r} found, expected a positive integer, or None for the device's own."
        raise ValueError(msg)
    if quantize and device not in ("auto", "cpu"):
        msg = f"quantize=True is for the CPU, found device={device!r}. Pass device='cpu', or leave quantize out."
        raise ValueError(msg)
    if not isinstance(device, str):
        msg = f"device={device!r} found, expected the name of one. Pass device='cpu' or 'auto'."
        raise ValueError(msg)
    device = "cpu" if quantize else pick_device(device)
    try:
        # There and back: some devices take tensors, and give none.
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        msg = f"Cannot use device={device!r}: {str(error).partition(chr(10))[0]} Pass device='cpu' or 'auto'."
        raise ValueError(msg) from error
    return device


def quantized(network: torch.nn.Module) -> torch.nn.Module:
    """Return the network with its linear layers in int8: weights once, activations as they come."""
    import warnings

    import torch

    with warnings.catch_warnings():
        # Deprecated in favor of torchao, which would be one more dependency for an option few need.
        warnings.simplefilter("ignore")
        from torch.ao.quantization import quantize_dynamic

        return quantize_dynamic(network, {torch.nn.Linear}, dtype=torch.qint8)


def _pad(tokens: Tokens, starts: np.ndarray, rows: np.ndarray, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and mask of a batch, (n, length) each."""
    columns = np.arange(tokens.lengths[rows].max())
    mask = columns < tokens.lengths[rows, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = tokens.ids[(starts[rows, None] + columns)[mask]]
    return ids, mask


def _truncate(tokens: Tokens, n: int, n_end: int) -> Tokens:
    """Return ``n`` tokens of each longer sequence: its first ones, and the ``n_end`` at its end."""
    starts = np.cumsum(tokens.lengths) - tokens.lengths
    place = np.arange(tokens.ids.size) - np.repeat(starts, tokens.lengths)
    length = np.repeat(tokens.lengths, tokens.lengths)
    kept = (length <= n) | (place < n - n_end) | (place >= length - n_end)
    return Tokens(tokens.ids[kept], np.minimum(tokens.lengths, n))


def _halved(n_sequences: int, length: int, name: str) -> int:
    """Return half the tokens of a batch that did not fit into memory."""
    if n_sequences == 1:
        msg = (
            f"A sequence of {length} tokens does not fit into memory with {name!r}. "
            "Take narrower windows, sl.pp.peak_sequences(adata, genome, window=1000), or a device with more memory."
        )
        raise MemoryError(msg)
    logg.warning(f"{name!r}: a batch of {n_sequences} × {length} tokens does not fit into memory, halving it.")
    return n_sequences // 2 * length


def _reverse_complement(sequence: str) -> str:
    return sequence.encode("ascii", "replace").translate(_COMPLEMENT)[::-1].decode()
