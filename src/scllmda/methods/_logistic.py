from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]


def logistic_posteriors(
    known: Float,
    labels: NDArray[np.integer],
    new: Float,
    n_classes: int,
    *,
    C: float,
    max_iter: int,
    class_weight: str | None = None,
) -> Float:
    """Return posteriors (n_new, n_classes) of a logistic regression on centred features of unit scale as a whole.

    Parameters
    ----------
    known
        (n_known, d) cells of known class.
    labels
        (n_known,) their class codes; classes without a cell get 0.
    new
        (n_new, d) cells.
    n_classes
        Number of classes.
    C, max_iter, class_weight
        As in scikit-learn.
    """
    from sklearn.linear_model import LogisticRegression

    centre, spread = known.mean(axis=0), known.std() or 1.0
    proba = np.zeros((len(new), n_classes))
    classes = np.unique(labels)
    if len(classes) == 1:
        proba[:, classes] = 1
    else:
        model = LogisticRegression(C=C, max_iter=max_iter, class_weight=class_weight)
        model.fit((known - centre) / spread, labels)
        proba[:, classes] = model.predict_proba((new - centre) / spread)
    return proba
