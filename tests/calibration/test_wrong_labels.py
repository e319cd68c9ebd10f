"""The chance of a label to be wrong, against the mixture that labels were drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from scllmda.calibration import wrong_labels


def drawn(share: float, *, temperature: float = 1.0, n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return posteriors, labels of which a share ignores them, and which ones."""
    rng = np.random.default_rng(0)
    logits = 6 * rng.standard_normal((n, 4))
    # The last two classes are never told apart.
    logits[:, 3] = logits[:, 2]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((n, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    wrong = rng.random(n) < share
    labels[wrong] = rng.integers(0, 4, wrong.sum())
    softened = proba ** (1 / temperature)
    return softened / softened.sum(axis=1, keepdims=True), labels, wrong


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_finds_the_share_and_calibrated_chances(share: float, temperature: float) -> None:
    proba, labels, wrong = drawn(share, temperature=temperature)
    chance, found = wrong_labels(proba, labels)
    assert found == pytest.approx(share, abs=0.015)
    # Of labels with a chance c, a share c is wrong.
    sure = chance > 0.5
    mean = chance[sure].mean()
    assert wrong[sure].mean() == pytest.approx(mean, abs=0.02 + 3 * np.sqrt(mean * (1 - mean) / sure.sum()))
    assert chance.mean() == pytest.approx(found, abs=1e-4)


def test_nothing_is_wrong_where_labels_follow_their_cells() -> None:
    proba, labels, _ = drawn(0.0)
    chance, share = wrong_labels(proba, labels)
    assert share < 0.005
    assert (chance > 0.5).sum() <= 2, "half of the last two classes' labels are not the likelier one, and not wrong"
    assert (proba.argmax(axis=1) != labels).mean() > 0.2


@pytest.mark.parametrize("kind", ["uniform", "permuted"])
def test_nothing_is_known_where_posteriors_do_not_foretell_labels(kind: str) -> None:
    proba, labels, _ = drawn(0.0)
    proba = np.full_like(proba, 0.25) if kind == "uniform" else np.random.default_rng(1).permutation(proba)
    chance, share = wrong_labels(proba, np.minimum(labels, 2))
    assert (share, chance.max()) == (0, 0)


def test_chance_is_that_of_the_mixture() -> None:
    proba, labels, _ = drawn(0.1)
    chance, share = wrong_labels(proba, labels)
    roots = np.sqrt(np.bincount(labels))
    of_wrong = share * (roots / roots.sum())[labels]
    # With one of the temperatures that are tried, chances are those of the formula.
    distance = []
    for temperature in np.geomspace(0.1, 2, 31):
        scaled = proba ** (1 / temperature)
        of_right = (scaled / scaled.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]
        distance.append(abs(chance - of_wrong / (of_wrong + (1 - share) * of_right)).max())
    assert min(distance) < 1e-9
