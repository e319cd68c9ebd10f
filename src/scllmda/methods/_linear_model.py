"""What labels were made with, where that is linear in the counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._logistic import Logistic
from ._members import Profiles, Regressions

Float = NDArray[np.floating]


@dataclass(frozen=True)
class LinearModel:
    """A log-linear mixture of classifiers, and what became of its probabilities.

    log p = Σ_m weight_m log p_m + const. Then p was smoothed over the cells' graph, raised to 1 / ``temperature``,
    multiplied by ``factor`` and raised to 1 / ``shift``.
    """

    axes: Float
    """(k, d): the axes of the embedding that regressions read."""
    members: Mapping[str, Regressions | Profiles]
    weights: Mapping[str, float]
    links: sp.csr_matrix | None
    """(n_cells, n_cells) uint8: whose counts are added to those of each cell, bit 0 by :class:`Profiles` and bit 1 + s
    by pooled regressions in the pool of size s. None if no member adds any, or all cells are of one type."""
    is_one_type: bool
    """Whether pooled regressions add up the counts of all cells."""
    temperature: float
    factor: Float
    """(n_classes,): how many times as likely classes became, because others were found absent."""
    shift: float = 1.0

    def arrays(self) -> dict[str, Any]:
        """Return all of it but links and what belongs to peaks, as numbers and arrays by name."""
        members: dict[str, Any] = {}
        for name, member in self.members.items():
            of_member = {"prior": member.prior} if isinstance(member, Profiles) else asdict(member)
            members[name] = {"weight": self.weights[name], **of_member}
        numbers = ("axes", "is_one_type", "temperature", "factor", "shift")
        return {**{name: getattr(self, name) for name in numbers}, "members": members}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Any], links: sp.csr_matrix | None, folds: Float | None) -> LinearModel:
        """Return the model of :meth:`arrays`.

        Parameters
        ----------
        arrays
            Numbers and arrays by name.
        links
            See above.
        folds
            Of :class:`Profiles`, if that is a member.
        """
        members: dict[str, Regressions | Profiles] = {}
        for name, stored in arrays["members"].items():
            if "prior" in stored:
                assert folds is not None
                members[name] = Profiles(folds, stored["prior"])
            else:
                plain, unit = (_logistic(stored[kind]) for kind in ("plain", "unit"))
                members[name] = Regressions(plain, unit, bool(stored["pooled"]))
        return cls(
            np.asarray(arrays["axes"]),
            members,
            {name: float(stored["weight"]) for name, stored in arrays["members"].items()},
            links,
            bool(arrays["is_one_type"]),
            float(arrays["temperature"]),
            np.asarray(arrays["factor"]),
            float(arrays["shift"]),
        )


def _logistic(stored: Mapping[str, Any]) -> Logistic:
    # Numbers of files have a type of their own, by which arrays are rounded otherwise.
    coef, intercept, center = (np.asarray(stored[name]) for name in ("coef", "intercept", "center"))
    return Logistic(coef, intercept, center, float(stored["spread"]))
