from __future__ import annotations

import multiprocessing
import sys
import time

import pytest

from scllmda.factorisation import in_order


def squared(x: int) -> int:
    return x**2


def test_results_come_in_the_order_of_the_items() -> None:
    def late(x: int) -> int:
        time.sleep(0.02 if x == 0 else 0)
        return x

    assert list(in_order(late, range(7))) == list(range(7))


def test_an_error_is_raised_after_what_was_begun_has_ended() -> None:
    begun, ended = [], []

    def broken(x: int) -> None:
        begun.append(x)
        if x == 0:
            raise ValueError(x)
        time.sleep(0.02)
        ended.append(x)

    with pytest.raises(ValueError, match="0"):
        list(in_order(broken, range(5)))
    assert set(begun) - {0} == set(ended)
    assert list(in_order(squared, range(3))) == [0, 1, 4]


def _of_child(results: multiprocessing.SimpleQueue) -> None:
    results.put(list(in_order(squared, range(4))))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_forked_process() -> None:
    assert list(in_order(squared, range(4))) == [0, 1, 4, 9]  # threads have been started
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=_of_child, args=(results,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 0
    assert results.get() == [0, 1, 4, 9]
