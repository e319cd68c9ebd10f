from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from scllmda.factorisation import each_block, on_workers
from scllmda.factorisation._workers import _alone

N_BLOCKS = 12


def noted_function(folder: Path) -> Any:
    """Return a function that notes each time that a process gets it, and returns the process and a product."""

    # Defined here so that it travels by value: workers cannot import this file.
    class Noted:
        def __setstate__(self, state: dict[str, Any]) -> None:
            from uuid import uuid4

            (folder / uuid4().hex).touch()
            self.__dict__.update(state)

        def __call__(self, block: np.ndarray) -> tuple[int, float]:
            import os

            return os.getpid(), float(block @ self.weights)  # type: ignore[attr-defined]

    noted = Noted()
    noted.weights = np.arange(3.0)  # type: ignore[attr-defined]
    return noted


def test_results_of_workers_come_in_the_order_of_the_blocks(client: Any, tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).random((N_BLOCKS, 3))
    with on_workers(client):
        processes, found = zip(*each_block(noted_function(tmp_path), blocks), strict=True)
    assert list(found) == [float(block @ np.arange(3.0)) for block in blocks]
    assert set(processes) <= set(client.run(os.getpid).values())
    # What is the same for all blocks is read where it is made, and by each worker that gets it, not with every block.
    assert 1 <= len(list(tmp_path.iterdir())) <= 4 < N_BLOCKS


def test_without_a_client_blocks_stay_here(client: Any) -> None:
    threads = list(each_block(lambda _: threading.current_thread().name, range(3)))
    with on_workers(client), on_workers(None):
        threads += each_block(lambda _: threading.current_thread().name, range(3))
    assert all(name.startswith("scllmda") for name in threads)


def test_an_error_of_a_worker_is_raised_and_the_next_call_works(client: Any) -> None:
    with on_workers(client):
        with pytest.raises(ZeroDivisionError):
            list(each_block(lambda x: 1 / x, [2.0, 0.0, *np.ones(N_BLOCKS)]))
        assert list(each_block(lambda x: 1 / x, [2.0, 4.0])) == [0.5, 0.25]


@pytest.mark.filterwarnings("error:Sending large graph")
def test_large_blocks_are_sent_without_advice(client: Any) -> None:
    block = np.ones(2_000_000)
    with on_workers(client):
        assert list(each_block(lambda x: x.sum() + block[0], [block])) == [2_000_001]


def test_linear_algebra_has_one_thread_for_a_block_and_as_many_as_before_afterwards() -> None:
    distributed = pytest.importorskip("distributed")

    def n_threads(_: int = 0) -> int:
        return max(info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas")

    with threadpool_limits(2, user_api="blas"):
        assert _alone(n_threads, 0) == 1
        assert n_threads() == 2
        # Threads of this process share its limit, which is one of the whole process.
        with (
            distributed.Client(
                processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None, set_as_default=False
            ) as client,
            on_workers(client),
        ):
            assert list(each_block(n_threads, range(4))) == [1] * 4
        assert n_threads() == 2
