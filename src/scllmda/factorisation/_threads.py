from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")
U = TypeVar("U")


def in_order(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Yield ``function(item)`` in the order of the items, computed on as many threads as linear algebra may use.

    Each item (a block of counts) is worked on by one thread: sparse products use one core and let other threads run,
    and small dense products get slower by several threads. Only as many items as threads, and one more, are read ahead.
    """
    blas = _blas()
    n_threads = max((info["num_threads"] for info in blas.info()), default=1)
    with blas.limit(limits=1), ThreadPoolExecutor(n_threads) as pool:
        under_way: deque[Future[U]] = deque()
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > n_threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@cache
def _blas() -> ThreadpoolController:
    """Return the loaded linear algebra libraries, found once: it takes as long as a pass over small data."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
