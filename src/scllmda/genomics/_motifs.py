"""A binding motif, and from which score on a stretch of DNA is one of its sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

BASES = "ACGT"
PSEUDOCOUNT = 0.8
"""Added to the counts of a position, a quarter to each base, as TFBSTools and chromVAR do."""
SCORE_UNIT = 0.01
"""Bits. Scores are whole multiples of it, so that sums have no rounding error and p-values are exact."""
_LARGEST_P = 0.01
"""Of the best word of a motif. A motif that more words fit has no information: 4 bases that are certain have .004."""


@dataclass(frozen=True, eq=False)
class Motif:
    """The bases that a protein binds, by counts of what was found at each of L positions."""

    id: str
    """Unique among the motifs that are used together, such as JASPAR's MA0035.5."""
    name: str
    """Of the protein, such as GATA1."""
    counts: npt.NDArray[np.float64]
    """(4, L): A, C, G, T at each position, not negative; no position is without any."""
    tax_group: str | None = None
    """As JASPAR calls it: vertebrates, plants, insects, fungi, nematodes …; None if that is not known."""
    family: str | None = None
    """Structural family of the protein; None if that is not known."""

    @property
    def length(self) -> int:
        """Number of positions."""
        return int(self.counts.shape[1])

    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return (4, L) probabilities of the bases, none of them 0."""
        counts = self.counts + PSEUDOCOUNT / 4
        return counts / counts.sum(axis=0)

    def scores(self) -> npt.NDArray[np.int32]:
        """Return (4, L): what a base adds to the score, log2 of its probability over 1/4 in multiples of the unit."""
        return np.round(np.log2(4 * self.probabilities()) / SCORE_UNIT).astype(np.int32)

    def information(self) -> npt.NDArray[np.float64]:
        """Return (4, L): bits of each base in a logo, its probability times the information of the position."""
        probabilities = self.probabilities()
        return probabilities * (2 + (probabilities * np.log2(probabilities)).sum(axis=0))


def score_threshold(scores: npt.NDArray[np.int32], p_value: float) -> tuple[int, float]:
    """Return the lowest score that a random word of a motif's length reaches with at most a probability.

    The distribution of the scores of all words, each as likely as the other, is computed position by position, and is
    exact for scores that are whole numbers.

    Short motifs have no word that is so unlikely: each of the 4⁷ words of seven bases has the probability 6.1e-5. They
    keep their best-scoring words, which have the smallest probability that there is.

    Parameters
    ----------
    scores
        (4, L), of ``Motif.scores``.
    p_value
        Probability.

    Returns
    -------
    The score, in multiples of the unit, and the probability of reaching it.

    Raises
    ------
    ValueError
        More than one of 100 words has the best score.

    Examples
    --------
    >>> import numpy as np
    >>> from scllmda.genomics import score_threshold
    >>> score_threshold(np.int32([[100] * 6, [0] * 6, [0] * 6, [0] * 6]), 0.005)
    (401, 0.004638671875)
    """
    steps = scores - scores.min(axis=0)
    chance = np.ones(1)
    for step in steps.T:
        longer = np.zeros(len(chance) + step.max())
        for shift in step:
            longer[shift : shift + len(chance)] += chance / 4
        chance = longer
    at_least = np.cumsum(chance[::-1])[::-1]
    if at_least[-1] > _LARGEST_P:
        msg = (
            f"Found a motif whose best words are {at_least[-1]:.2g} of all words of its length, {scores.shape[1]}; "
            f"expected at most {_LARGEST_P}. Leave out motifs without information."
        )
        raise ValueError(msg)
    lowest = min(int(np.searchsorted(-at_least, -p_value)), len(at_least) - 1)
    return lowest + int(scores.min(axis=0).sum()), float(at_least[lowest])
