"""Losses by epoch, read back from the lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from mudata import MuData
from tests._objects import annotated, pair
from tests.pl._artists import panels

import scllmda as sl

mpl.use("Agg")


@pytest.fixture(scope="module")
def query() -> AnnData:
    reference, query = pair()
    return annotated(query, reference, method="scllmda", recipe={"cells": "factorisation", "n_epochs": 4})


def drawn(data: Any, **options: Any) -> dict[str, tuple[list[float], list[float]]]:
    """Return epochs and values of each panel."""
    figure = sl.pl.training_history(data, return_fig=True, **options)
    return {name: tuple(map(list, ax.lines[0].get_data())) for name, ax in panels(figure).items()}


def test_losses_of_an_annotation(query: AnnData) -> None:
    history = query.uns["scllmda"]["history"]
    expected = {name.replace("_", " "): ([1, 2, 3, 4], history[name]) for name in ("loss", "domain_loss")}
    assert drawn(query) == expected
    assert drawn(MuData({"peaks": query}), mod="peaks") == expected
    assert list(drawn(query, panels=["domain_loss", "loss"])) == ["domain loss", "loss"]
    assert list(drawn(query, panels="loss", title="mine")) == ["mine"]
    with pytest.raises(ValueError, match=r"Found panels='los'; expected some of .* Did you mean 'loss'"):
        drawn(query, panels="los")


def test_the_epoch_that_was_kept(query: AnnData) -> None:
    history = {"pretraining_loss": [3.0] * 9, "loss": [2.0, 1.0, 1.5], "held_out_accuracy": [0.1, 0.8, 0.2]}
    adata = AnnData(query.X, uns={"mine": {"history": {**history, "best_epoch": 2, "temperature": 1.0}}})
    found = panels(sl.pl.training_history(adata, key="mine", return_fig=True))
    assert list(found) == ["pretraining loss", "loss", "held out accuracy"]
    assert [len(ax.lines) for ax in found.values()] == [1, 2, 2]
    assert list(found["loss"].lines[1].get_xdata()) == [2, 2]
    assert found["loss"].get_xlabel() == "epoch (2 was kept)"


def test_losses_and_folder_of_a_pretraining(tmp_path: Path) -> None:
    recipe = {"preset": "small", "n_layers": 1, "pretrain_epochs": 2}
    folder = tmp_path / "annatac"
    losses = sl.tl.pretrain(sl.pp.peak_islands(pair()[1]), "annatac", output=folder, recipe=recipe)
    expected = {"pretraining loss": ([1, 2], losses)}
    assert drawn(losses) == drawn(folder) == drawn(str(folder)) == drawn(np.array(losses)) == expected
    (folder / "config.json").write_text(json.dumps({"model": "annatac"}))
    with pytest.raises(ValueError, match="a checkpoint without losses"):
        drawn(folder)


def test_nothing_to_draw(query: AnnData, tmp_path: Path) -> None:
    reference, other = pair()
    with pytest.raises(ValueError, match=r"Nothing in \.uns\['scllmda'\]\['history'\] has a value per epoch"):
        drawn(annotated(other, reference))
    with pytest.raises(FileNotFoundError, match="which is no folder; expected one that"):
        drawn(tmp_path / "absent")
    for wrong in ([], [1.0, float("nan")], ["a"]):
        with pytest.raises(ValueError, match="Found data= that are no finite numbers, one per epoch"):
            drawn(wrong)


def test_colors_width_and_axes(query: AnnData) -> None:
    axes = plt.subplots(1, 2)[1]
    assert sl.pl.training_history(query, axes=axes, palette={"loss": "red"}, size=3) == list(axes)
    assert [ax.lines[0].get_color() for ax in axes] == ["#ff0000", "#2266aa"]
    assert {ax.lines[0].get_linewidth() for ax in axes} == {3}
    with pytest.raises(ValueError, match="Found 1 axes in ax= for 2 panels: loss, domain_loss"):
        sl.pl.training_history(query, ax=axes[0])
    plt.close("all")
