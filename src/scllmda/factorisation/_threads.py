from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def in_order(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Yield ``function(item)`` in the order of the items, computed on as many threads as linear algebra may use.

    Sparse products use one core and let other threads run, while several threads within small dense products cost more
    than they gain: so blocks are shared out, and each has one thread. Few items are under way at a time.
    """
    from threadpoolctl import threadpool_info, threadpool_limits

    n_threads = max((info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"), default=1)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        under_way: deque[Future[U]] = deque()
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > n_threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
