"""What the figure of a reference check shows, read back from its axes."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from tests._objects import added, pair, snapshot
from tests.pl._artists import panels

import scllmda as sl

mpl.use("Agg")


@pytest.fixture(scope="module")
def reference() -> AnnData:
    reference = pair()[0]
    labels = reference.obs["cell_type"].astype(str).to_numpy(object)
    labels[np.flatnonzero(labels == labels[0])[::2]] = "half"
    reference.obs["cell_type"] = labels
    sl.tl.check_reference(reference, batch_key="batch")
    return reference


def test_shows_the_tables(reference: AnnData) -> None:
    before = snapshot(reference)
    drawn = panels(sl.pl.reference_check(reference, return_fig=True))
    assert added(before, snapshot(reference)) == set()
    types, pairs = (sl.get.reference_check(reference, table) for table in ("types", "pairs"))
    ax = drawn["cells mistaken, in pairs of types"]
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert names == list(types.index)
    assert [text.get_text() for text in ax.get_yticklabels()] == [f"{n} ({types.loc[n, 'n_cells']:,})" for n in names]
    matrix = np.asarray(ax.images[0].get_array())
    for row in pairs.itertuples():
        error = np.nanmax([row.error, row.error_across_batches])
        assert matrix[names.index(row.first), names.index(row.second)] == pytest.approx(error)
    digits = {(names[int(t.get_position()[1])], names[int(t.get_position()[0])]) for t in ax.texts}
    hard = pairs.loc[pairs["is_hard"], ["first", "second"]].to_numpy().tolist()
    assert digits == {tuple(p) for p in hard} | {(b, a) for a, b in hard}
    assert hard
    bars = [patch.get_width() for patch in drawn["contradicted labels"].patches]
    np.testing.assert_allclose(bars, types["n_contradicted"] / types["n_cells"])
    middles = drawn["open peaks per cell"].collections[-1].get_offsets()[:, 0]
    np.testing.assert_allclose(middles, types["open_peaks_median"])
    shares = np.asarray(drawn["share of the type's cells"].images[0].get_array())
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_chosen_panels_and_given_axes(reference: AnnData) -> None:
    figure, axes = plt.subplots(1, 2)
    assert sl.pl.reference_check(reference, panels=["depth", "pairs"], axes=axes, title=["a", "b"]) == list(axes)
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    assert all(ax.get_yticklabels()[0].get_text() for ax in axes)
    plt.close(figure)
    without = reference.copy()
    sl.tl.check_reference(without)
    assert len(sl.pl.reference_check(without, show=False)) == 3
    with pytest.raises(ValueError, match="expected some of"):
        sl.pl.reference_check(without, panels="batches")
    plt.close("all")
