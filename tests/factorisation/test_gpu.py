from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.factorisation._dense import csr

from scllmda.factorisation import InMemory, _gpu, fit, margins, on_device, on_workers
from scllmda.factorisation._gpu import OnGpu, gpu_for, on_host

MANY = 10 * _gpu.FEWEST_COUNTS
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
"""Without a GPU the same products are made by PyTorch on the processor."""


class Halves:
    """Counts in two blocks, which say how often they were read."""

    def __init__(self, X: sp.csr_matrix) -> None:
        self.X, self.n_reads = X, 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape

    def __iter__(self) -> Any:
        self.n_reads += 1
        middle = self.X.shape[0] // 2
        yield from (self.X[:middle], self.X[middle:])

    def take(self, cells: Any) -> Halves:
        return Halves(self.X[cells])


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "cpu":
        monkeypatch.setattr(_gpu, "free_memory", lambda device: 2**30)
    return request.param


@pytest.mark.parametrize("largest", [1, 5])
def test_products_equal_dense(device: str, largest: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, largest + 1, (30, 40)) * (rng.random((30, 40)) < 0.2)
    X[3], X[:, 5] = 0, 0
    loadings, cells = (rng.standard_normal((n, 7)).astype(np.float32) for n in (40, 15))
    first, second = (block.tocsc() for block in OnGpu(Halves(csr(X)), device))
    np.testing.assert_allclose(np.concatenate([first @ loadings, second @ loadings]), X @ loadings, atol=1e-5)
    np.testing.assert_allclose(on_host(first.T @ cells), X[:15].T @ cells, atol=1e-5)
    assert first.shape == (15, 40)


def test_other_loadings_are_sent_anew(device: str) -> None:
    X = csr(np.eye(6))
    for block in OnGpu(Halves(X), device):
        for scale in (1, 2, 3):
            loadings = np.full((6, 2), scale, dtype=np.float32)
            assert (block.tocsc() @ loadings == scale).all()


def test_blocks_stay_on_the_gpu_if_they_fit(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(free: int) -> int:
        monkeypatch.setattr(_gpu, "free_memory", lambda device: free)
        counts = Halves(csr(np.ones((10, 10))))
        on_gpu = OnGpu(counts, device)
        for _ in range(3):
            assert sum(block.tocsc() @ np.ones((10, 1), dtype=np.float32) for block in on_gpu).sum() == 100
        return counts.n_reads

    # 100 counts of 16 bytes each, in half of what is free.
    assert (reads(3200), reads(3199)) == (1, 3)


@pytest.mark.parametrize("free", [2**30, 0])
def test_a_fit_is_the_same(device: str, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    programs = rng.random((3, 400)) ** 3
    X = csr(rng.random((300, 400)) < programs[rng.integers(3, size=300)])
    m = margins(InMemory(X))
    here = fit(Halves(X), m, 8, rng=np.random.default_rng(0))
    monkeypatch.setattr(_gpu, "free_memory", lambda device: free)
    used = []
    monkeypatch.setattr("scllmda.factorisation._fit.gpu_for", lambda n: used.append(n) or device)
    there = fit(Halves(X), m, 8, rng=np.random.default_rng(0))
    assert used == [pytest.approx(X.sum())]
    assert here.cells.shape == there.cells.shape
    np.testing.assert_allclose(there.cells, here.cells, atol=1e-3)
    np.testing.assert_allclose(there.decoder.loadings, here.decoder.loadings, atol=1e-2)


class TestWhichDevice:
    @pytest.fixture(autouse=True)
    def a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    @pytest.mark.parametrize(
        ("device", "n_counts", "expected"),
        [
            ("auto", MANY, "cuda"),
            ("auto", 1000, None),
            ("cpu", MANY, None),
            ("cuda:1", 1000, "cuda:1"),
            ("mps", MANY, None),
        ],
    )
    def test_by_name_and_size(self, device: str, n_counts: int, expected: str | None) -> None:
        with on_device(device):
            assert gpu_for(n_counts) == expected
        assert gpu_for(MANY) is None

    def test_none_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with on_device("auto"):
            assert gpu_for(MANY) is None

    def test_workers_of_a_client_come_first(self) -> None:
        with on_device("cuda"), on_workers(object()):
            assert gpu_for(MANY) is None

    @pytest.mark.parametrize(("n_counts", "has_driver"), [(1000, True), (MANY, False)])
    def test_torch_is_not_imported_in_vain(
        self, n_counts: int, has_driver: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "torch")
        monkeypatch.setattr(_gpu, "_has_driver", lambda: has_driver)
        monkeypatch.setattr("builtins.__import__", _fails_for_torch(__import__))
        with on_device("auto"):
            assert gpu_for(n_counts) is None

    @pytest.mark.parametrize("library", [None, "libcuda.so.1"])
    def test_driver(self, library: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        def load(name: str) -> None:
            if name != library:
                raise OSError(name)

        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr("ctypes.CDLL", load)
        assert _gpu._has_driver() is (library is not None)


def _fails_for_torch(import_: Any) -> Any:
    def fail(name: str, *args: Any, **kwargs: Any) -> Any:
        assert name != "torch", "PyTorch is not to be imported"
        return import_(name, *args, **kwargs)

    return fail
