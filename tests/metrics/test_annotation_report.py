from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import scllmda as sl

TRUTH = ["B", "B", "T", "T", "NK", "NK"]
GUESS = ["B", "T", "T", "T", "Unassigned", "B"]


def test_numbers_by_hand() -> None:
    report = sl.metrics.annotation_report(TRUTH, GUESS)
    assert report["n_cells"] == 6
    assert report["accuracy"] == pytest.approx(3 / 6)
    assert report["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    f1 = {"B": 2 / 4, "T": 4 / 5, "NK": 0, "Unassigned": 0}
    assert report["macro_f1"] == pytest.approx(sum(f1.values()) / 4)
    assert report["macro_f1_true"] == pytest.approx(sum(f1.values()) / 3)
    assert report["unassigned"] == pytest.approx(1 / 6)
    by_chance = (2 * 2 + 2 * 3 + 2 * 0) / 36
    assert report["cohen_kappa"] == pytest.approx((3 / 6 - by_chance) / (1 - by_chance))
    assert report["jaccard_micro"] == pytest.approx(3 / 9)
    assert report["jaccard_weighted"] == pytest.approx((2 * 1 / 3 + 2 * 2 / 3 + 0) / 6)
    assert all(type(value) is float for value in report.values())
    assert "ece" not in report


def test_agrees_with_scikit_learn_on_many_cells() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.choice(list("abcde"), (2, 500))
    report = sl.metrics.annotation_report(truth, guess)
    assert report["macro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"))
    assert report["cohen_kappa"] == pytest.approx(metrics.cohen_kappa_score(truth, guess))
    assert report["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, guess))


def test_perfect() -> None:
    report = sl.metrics.annotation_report(TRUTH, TRUTH)
    assert {v for k, v in report.items() if k not in {"n_cells", "unassigned"}} == {1.0}
    assert report["unassigned"] == 0


def test_one_class_on_both_sides() -> None:
    assert sl.metrics.annotation_report(["B", "B"], ["B", "B"])["cohen_kappa"] == 1


def test_probabilities_by_hand() -> None:
    proba = pd.DataFrame({"B": [0.9, 0.6, 0.2], "T": [0.1, 0.4, 0.8]})
    report = sl.metrics.annotation_report(["B", "T", "T"], ["B", "B", "T"], proba, n_bins=2)
    # All three confidences lie in the upper bin.
    assert report["ece"] == pytest.approx(abs(2 / 3 - (0.9 + 0.6 + 0.8) / 3))
    assert report["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8]).mean())
    finer = sl.metrics.annotation_report(["B", "T", "T"], ["B", "B", "T"], proba)
    assert finer["ece"] == pytest.approx((0.1 + 0.6 + 0.2) / 3)


def test_calibrated_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 20_000)
    truth = np.where(rng.random(20_000) < p, "B", "T")
    proba = pd.DataFrame({"B": p, "T": 1 - p})
    guess = np.full(20_000, "B")
    assert sl.metrics.annotation_report(truth, guess, proba)["ece"] < 0.02
    sure = pd.DataFrame({"B": np.ones(20_000), "T": np.zeros(20_000)})
    assert sl.metrics.annotation_report(truth, guess, sure)["ece"] == pytest.approx(0.25, abs=0.02)


def test_a_class_without_a_column() -> None:
    proba = pd.DataFrame({"B": [1.0, 0.5], "T": [0.0, 0.5]})
    assert sl.metrics.annotation_report(["B", "new"], ["B", "B"], proba)["log_loss"] == pytest.approx(
        -np.log(1e-15) / 2
    )


def test_cells_without_probabilities_are_neither_right_nor_wrong_with_confidence() -> None:
    # "B" is the first column, which is no prediction where all are 0.
    proba = pd.DataFrame({"B": [0.0, 0.9, 0.2], "T": [0.0, 0.1, 0.8]})
    report = sl.metrics.annotation_report(["B", "B", "T"], ["Unassigned", "B", "T"], proba)
    assert report["accuracy"] == pytest.approx(2 / 3)
    assert report["ece"] == pytest.approx((0.1 + 0.2) / 2)
    assert report["log_loss"] == pytest.approx(-np.log([1e-15, 0.9, 0.8]).mean())


def test_missing_truth_is_left_out() -> None:
    proba = pd.DataFrame({"B": [0.9, 0.2, 0.5], "T": [0.1, 0.8, 0.5]}, index=["x", "y", "z"])
    report = sl.metrics.annotation_report(["B", None, np.nan], ["B", "T", "T"], proba)
    assert (report["n_cells"], report["accuracy"]) == (1, 1)
    assert report["ece"] == pytest.approx(0.1)


@pytest.mark.parametrize("kind", [list, np.asarray, pd.Series, pd.Categorical])
def test_kinds_of_labels(kind: type) -> None:
    assert sl.metrics.annotation_report(kind(TRUTH), kind(GUESS)) == sl.metrics.annotation_report(TRUTH, GUESS)


def test_numbers_as_labels() -> None:
    assert sl.metrics.annotation_report([0, 1, 1], ["0", "1", "1"])["accuracy"] == 1


def test_of_an_annotation() -> None:
    reference, query = sl.datasets.simulate(n_reference=150, n_query=100, n_peaks=800, n_types=4)
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str).replace("B", "B/plasma")
    query.obs["cell_type"] = query.obs["cell_type"].astype(str).replace("B", "B/plasma")
    sl.tl.annotate(query, reference, n_latent=16)
    table = sl.get.annotation(query, proba=True)
    report = sl.metrics.annotation_report(query.obs["cell_type"], table["label"], query.obsm["scllmda_proba"])
    assert report["accuracy"] > 0.75
    assert report == sl.metrics.annotation_report(query.obs["cell_type"], table["label"], table.iloc[:, 4:])


@pytest.mark.parametrize(
    ("truth", "guess", "proba", "match"),
    [
        (["B"], ["B", "T"], None, "1 known and 2 predicted"),
        (["B", "T"], ["B", "T"], pd.DataFrame({"B": [1.0]}), "2 known labels and 1 rows"),
        ([None, np.nan], ["B", "T"], None, "No label is known"),
    ],
)
def test_errors(truth: list, guess: list, proba: pd.DataFrame | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        sl.metrics.annotation_report(truth, guess, proba)


def test_area_under_the_risk_coverage_curve() -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(0.5, 1, 200)
    truth = np.where(rng.random(200) < score, "B", "T")
    proba = pd.DataFrame({"B": score, "T": 1 - score})
    found = sl.metrics.annotation_report(truth, truth, proba)["aurc"]
    risks, kept = [], []
    for cell in sorted(range(200), key=lambda i: -score[i]):
        kept.append(truth[cell] != "B")
        risks.append(sum(kept) / len(kept))
    assert found == pytest.approx(sum(risks) / 200)


def test_cells_of_one_score_share_their_errors() -> None:
    proba = pd.DataFrame({"B": [0.9, 0.8, 0.8, 0.6], "T": [0.1, 0.2, 0.2, 0.4]})
    # Whichever of the two comes first: mean of the curves of both orders.
    expected = np.mean([[0, 1 / 2, 1 / 3, 1 / 4], [0, 0, 1 / 3, 1 / 4]])
    for truth in (["B", "T", "B", "B"], ["B", "B", "T", "B"]):
        assert sl.metrics.annotation_report(truth, truth, proba)["aurc"] == pytest.approx(expected)


def test_sets_by_hand() -> None:
    truth = ["B/x", "B/x", "B/x", "T", "T", "new", None]
    sets = pd.DataFrame({"B\u2215x": [1, 1, 0, 0, 0, 1, 0], "T": [0, 1, 1, 1, 0, 0, 1]}, dtype=bool)
    report = sl.metrics.annotation_report(truth, truth, sets=sets, fewest_cells=2)
    # Six cells have a label, five one that has a column.
    assert report["set_coverage"] == pytest.approx(3 / 5)
    assert report["least_type_coverage"] == pytest.approx(1 / 2)
    assert report["set_size"] == pytest.approx(6 / 6)
    assert report["empty_sets"] == pytest.approx(1 / 6)
    assert sl.metrics.annotation_report(truth, truth, sets=sets, fewest_cells=3)["least_type_coverage"] == 2 / 3
    assert np.isnan(sl.metrics.annotation_report(truth, truth, sets=sets)["least_type_coverage"])
    assert np.isnan(sl.metrics.annotation_report(["new"] * 7, truth, sets=sets)["set_coverage"])


def test_sets_of_other_cells() -> None:
    with pytest.raises(ValueError, match="2 known labels and 1 rows of prediction sets"):
        sl.metrics.annotation_report(["B", "T"], ["B", "T"], sets=pd.DataFrame({"B": [True]}))
