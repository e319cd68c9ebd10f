"""DNA to the tokens of the Nucleotide Transformer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._neural import Tokens

CLS = 3
_N = 4
_START = 5
_DIGITS = np.full(256, _N, dtype=np.uint8)
for _digit, _base in enumerate(b"ATCG"):  # the vocabulary's order
    _DIGITS[[_base, _base + 32]] = _digit  # 32 apart in ASCII: upper and lower case


def six_mer_tokens(sequences: Sequence[str], *, first_id: int) -> Tokens:
    """Split sequences into 6-mers, from left to right, after one <cls> each.

    A run of known bases is cut into 6-mers from its beginning; the up to five bases left over at its end are a token
    each, and so is every unknown base (<N>). There is no end token.

    Parameters
    ----------
    sequences
        DNA in either case; any other character than A, C, G and T stands for an unknown base.
    first_id
        Id of AAAAAA: 4 in the first generation's vocabulary, 6 in the second's. The other 6-mers follow in
        the order of A, T, C, G, then A, T, C, G and N.
    """
    lengths = np.fromiter(map(len, sequences), dtype=np.intp, count=len(sequences))
    text = "\n".join(["", *sequences]).encode("ascii", "replace")
    digits = _DIGITS[np.frombuffer(text, dtype=np.uint8)]
    starts = np.cumsum(lengths + 1) - lengths - 1
    digits[starts] = _START

    breaks = np.flatnonzero(digits >= _N)
    run_lengths = np.diff(breaks, append=digits.size) - 1
    # A break is counted with the run after it, at place -1, and is in no 6-mer.
    within = np.arange(digits.size) - np.repeat(breaks, run_lengths + 1) - 1
    in_six_mer = within < np.repeat(run_lengths // 6 * 6, run_lengths + 1)
    in_six_mer[breaks] = False
    six_mers = np.flatnonzero(in_six_mer & (within % 6 == 0))

    ids = np.append(first_id + 4**6 + np.arange(_N + 1), CLS).astype(np.int32)[digits]
    code = np.zeros(six_mers.size, dtype=np.int32)
    for offset in range(6):
        code = code * 4 + digits[six_mers + offset]
    ids[six_mers] = first_id + code

    is_token = ~in_six_mer
    is_token[six_mers] = True
    n_tokens = np.add.reduceat(is_token, starts, dtype=np.intp)
    return Tokens(ids[is_token], n_tokens)
