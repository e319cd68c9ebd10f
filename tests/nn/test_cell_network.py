from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scllmda.methods._cell_network import CellNetworkRecipe
from scllmda.nn import CellNetwork, train_cell_network
from scllmda.nn._cell_network import _batches

SMALL = {"cell_hidden": (16, 8), "cell_batch_size": 64, "cell_epochs": 2}


def run(
    X: sp.csr_matrix, Z: np.ndarray, *, seed: int = 0, **changes: object
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    return train_cell_network(X, Z, CellNetworkRecipe(**{**SMALL, **changes}), seed=seed, device="cpu")


@pytest.fixture(scope="module")
def X() -> sp.csr_matrix:
    """Two kinds of cells that open different halves of the peaks, the last three hardly ever."""
    rng = np.random.default_rng(0)
    kind, half = np.repeat([0, 1], 60), np.arange(153) % 2
    dense = rng.random((120, 153)) < np.where(kind[:, None] == half, 0.6, 0.1)
    dense[:, 150:] = 0
    dense[5, 151] = 1
    return sp.csr_matrix(dense, dtype=np.float32)


@pytest.fixture(scope="module")
def Z() -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.standard_normal((153, 10)) + 2 * (np.arange(153) % 2)[:, None]).astype(np.float32)


def test_layers_are_those_published() -> None:
    recipe = CellNetworkRecipe()
    network = CellNetwork(768, 50, recipe.cell_hidden, recipe.cell_dropout)
    assert [type(m).__name__ for m in network.body] == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 3
    widths = [(m.in_features, m.out_features) for m in network.body if isinstance(m, torch.nn.Linear)]
    assert widths == [(768, 512), (512, 256), (256, 128)]
    assert {m.p for m in network.body if isinstance(m, torch.nn.Dropout)} == {0.3}
    assert network.cells.weight.shape == (50, 128)
    assert network.cells.bias.shape == (50,)
    assert network(torch.zeros(4, 768)).shape == (4, 50)


def test_loss_is_the_mean_binary_cross_entropy_over_peaks_and_cells(X: sp.csr_matrix, Z: np.ndarray) -> None:
    # Nothing learnt in a single batch: the loss is that of the first weights.
    cells, peaks, history = run(X, Z, cell_lr=0.0, cell_dropout=0.0, cell_batch_size=1000, cell_epochs=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CellNetwork(10, 120, SMALL["cell_hidden"], 0.0)
    with torch.no_grad():
        logits = network(torch.from_numpy(Z[:150])).numpy().astype(float)
    Y = X.toarray()[:, :150].T
    openness = 1 / (1 + np.exp(-logits))
    assert history == [pytest.approx(-(Y * np.log(openness) + (1 - Y) * np.log(1 - openness)).mean(), rel=1e-5)]
    np.testing.assert_array_equal(cells, network.cells.weight.detach().numpy())
    network.eval()
    with torch.no_grad():
        np.testing.assert_allclose(peaks, network.body(torch.from_numpy(Z)).numpy(), atol=1e-6)


def test_learns_what_tells_the_cells_apart(X: sp.csr_matrix, Z: np.ndarray) -> None:
    cells, peaks, history = run(X, Z, cell_epochs=60, cell_lr=1e-2)
    assert cells.shape == (120, 8)
    assert peaks.shape == (153, 8)
    assert cells.dtype == peaks.dtype == np.float32
    assert len(history) == 60
    assert history[-1] < history[0] - 0.1
    unit = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    kind = np.repeat([0, 1], 60)
    similarity, same = unit @ unit.T, kind[:, None] == kind
    assert similarity[same].mean() > similarity[~same].mean() + 0.5


def test_rare_peaks_are_left_out_of_the_training_but_embedded(X: sp.csr_matrix, Z: np.ndarray) -> None:
    cells, peaks, history = run(X, Z)
    changed = Z.copy()
    changed[150:] += 5
    other_cells, other_peaks, other_history = run(X, changed)
    np.testing.assert_array_equal(cells, other_cells)
    assert history == other_history
    np.testing.assert_array_equal(peaks[:150], other_peaks[:150])
    assert (peaks[150:] != other_peaks[150:]).any(axis=1).all()
    np.testing.assert_array_equal(cells, run(X[:, :150], Z[:150])[0])


def test_all_peaks_rare_is_an_error(Z: np.ndarray) -> None:
    X = sp.csr_matrix(([1.0], ([0], [0])), shape=(200, 153), dtype=np.float32)
    with pytest.raises(ValueError, match="0 of 153 peaks are open in 1% of the cells"):
        run(X, Z)


@pytest.mark.parametrize(("n_peaks", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (3, [3]), (5, [5])])
def test_a_leftover_peak_joins_the_batch_before(n_peaks: int, sizes: list[int]) -> None:
    order = torch.randperm(n_peaks, generator=torch.Generator().manual_seed(0))
    batches = _batches(order, 4)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), order)


def test_training_with_a_leftover_peak(X: sp.csr_matrix, Z: np.ndarray) -> None:
    cells, _, history = run(X, Z, cell_batch_size=149)
    assert np.isfinite(cells).all()
    assert np.isfinite(history).all()


def test_deterministic_and_leaves_the_global_generator_alone(X: sp.csr_matrix, Z: np.ndarray) -> None:
    torch.rand(1)  # away from the state that an earlier run could have left behind
    before = torch.random.get_rng_state()
    first = run(X, Z)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    again, other = run(X, Z), run(X, Z, seed=1)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[2] == again[2]
    assert not np.array_equal(first[0], other[0])


def test_constants_are_those_published() -> None:
    # Liu et al. 2026: widths, learning rate and epochs in the paper's Implementation, the rest in the released code.
    assert CellNetworkRecipe() == CellNetworkRecipe(
        cells="network",
        cell_hidden=(512, 256, 128),
        cell_dropout=0.3,
        cell_lr=1e-3,
        cell_batch_size=1024,
        cell_epochs=400,
        min_open=0.01,
    )
