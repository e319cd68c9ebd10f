"""How fast peaks are encoded: `python benchmarks/encoders.py`, by hand, minutes on a CPU.

A network of DNABERT-2's size with random weights encodes random sequences of 100 to 300 tokens. Its FLOP/s are compared
with those of plain `torch.mm` of the same shapes, timed in turn with it, so that a busy machine slows both. `gpu.py`
has the same network on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
import torch

from scllmda.encoders import KmerEncoder, RandomEncoder
from scllmda.encoders._neural import NeuralEncoder, Tokens
from scllmda.encoders._six_mers import CLS, six_mer_tokens
from scllmda.nn import MosaicBert

HIDDEN, LAYERS, HEADS, INTERMEDIATE = 768, 12, 12, 3072
PRODUCTS = [(HIDDEN, 3 * HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2 * INTERMEDIATE), (INTERMEDIATE, HIDDEN)]
"""Inputs and outputs of the linear layers of one block."""
SIX_MERS = partial(six_mer_tokens, first_id=6)


def dnabert2_sized(
    device: str,
    batch_tokens: int | None,
    *,
    quantize: bool = False,
    tokenize: Callable[[Sequence[str]], Tokens] = SIX_MERS,
) -> NeuralEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MosaicBert(
            vocab_size=4107,
            hidden_size=HIDDEN,
            n_layers=LAYERS,
            n_heads=HEADS,
            intermediate_size=INTERMEDIATE,
            n_token_types=2,
            layer_norm_eps=1e-12,
        )
    return NeuralEncoder(
        network.eval(),
        tokenize,
        name="dnabert2-sized",
        n_dims=HIDDEN,
        weights="random",
        pad_id=1,
        special_ids=[CLS],
        device=device,
        quantize=quantize,
        batch_tokens=batch_tokens,
    )


def random_peaks(lengths: np.ndarray) -> list[str]:
    rng = np.random.default_rng(0)
    return [rng.choice(np.frombuffer(b"ACGT", dtype=np.uint8), n).tobytes().decode() for n in lengths]


def flops_of(n_tokens: np.ndarray) -> float:
    """Return the operations that sequences of so many tokens take: a product of the linear layers, and attention."""
    per_token = 2 * sum(a * b for a, b in PRODUCTS) * LAYERS
    return float(per_token * n_tokens.sum() + 4 * HIDDEN * LAYERS * (n_tokens.astype(float) ** 2).sum())


def seconds(function: partial) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


def multiply(operands: list[tuple[torch.Tensor, torch.Tensor]], n_blocks: int) -> None:
    with torch.inference_mode():
        for _ in range(n_blocks):
            for x, weight in operands:
                torch.mm(x, weight.t())


def compare_with_mm(batch_tokens: int | None, n_peaks: int, n_rounds: int) -> None:
    encoder = dnabert2_sized("cpu", batch_tokens)
    n_tokens = np.random.default_rng(1).integers(100, 301, n_peaks)
    peaks = random_peaks(6 * (n_tokens - 1))
    flops = flops_of(n_tokens)

    rows = encoder._batch_tokens
    operands = [(torch.randn(rows, a), torch.randn(b, a)) for a, b in PRODUCTS]
    n_blocks = max(1, round(n_tokens.sum() / rows)) * LAYERS
    mm_flops = 2 * rows * sum(a * b for a, b in PRODUCTS) * n_blocks
    work, product = partial(encoder.encode, peaks), partial(multiply, operands, n_blocks)
    seconds(work), seconds(product)
    pairs = [(seconds(work), seconds(product)) for _ in range(n_rounds)]
    ratio = median(flops / a / (mm_flops / b) for a, b in pairs)
    a, b = (median(times) for times in zip(*pairs, strict=True))
    print(
        f"cpu {encoder.revision.rsplit('-', 1)[-1]}, {rows} tokens a batch: {n_tokens.sum() / a:,.0f} tokens/s, "
        f"{n_peaks / a:,.1f} peaks/s, {flops / a / 1e9:,.0f} GFLOP/s; torch.mm {mm_flops / b / 1e9:,.0f} GFLOP/s; "
        f"ratio {ratio:.2f}",
        flush=True,
    )


def compare_with_int8(n_peaks: int) -> None:
    peaks = random_peaks(np.full(n_peaks, 500))
    exact, approximate = dnabert2_sized("cpu", None), dnabert2_sized("cpu", None, quantize=True)
    start = perf_counter()
    x = exact.encode(peaks)
    middle = perf_counter()
    y = approximate.encode(peaks)
    end = perf_counter()
    relative = np.linalg.norm(x - y, axis=1) / np.linalg.norm(x, axis=1)
    correlation = np.corrcoef((x - x.mean(0)).ravel(), (y - y.mean(0)).ravel())[0, 1]
    print(
        f"cpu int8, 500 bp: {n_peaks / (end - middle):,.1f} peaks/s against {n_peaks / (middle - start):,.1f} in fp32; "
        f"relative error of a vector {relative.mean():.4f} (largest {relative.max():.4f}), correlation of what differs "
        f"between peaks {correlation:.4f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peaks", type=int, default=16, help="peaks per round on the CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-tokens", type=int, nargs="*", default=[None], help="batch sizes to try on the CPU")
    options = parser.parse_args()

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    peaks = random_peaks(np.full(20_000, 500))
    for encoder in (KmerEncoder(), RandomEncoder()):
        print(f"{encoder.name}, 500 bp: {len(peaks) / seconds(partial(encoder.encode, peaks)):,.0f} peaks/s")
    for batch_tokens in options.batch_tokens:
        compare_with_mm(batch_tokens, options.peaks, options.rounds)
    compare_with_int8(options.peaks)


if __name__ == "__main__":
    main()
