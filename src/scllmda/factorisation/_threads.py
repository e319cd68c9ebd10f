from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
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
    ``function`` must not call this again: it would wait for threads that wait for it.
    """
    libraries = linear_algebra()
    n_threads = max((info["num_threads"] for info in libraries.info()), default=1)
    pool = _pool(n_threads)
    under_way: deque[Future[U]] = deque()
    with libraries.limit(limits=1):
        try:
            for item in items:
                under_way.append(pool.submit(function, item))
                if len(under_way) > n_threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            wait(under_way)


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return threads that are kept: an annotation asks for them eighty times, and starting them anew takes .15 s."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="scllmda")


if hasattr(os, "register_at_fork"):  # not on Windows, where no process is forked
    # A forked process has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)


@cache
def linear_algebra() -> ThreadpoolController:
    """Return the loaded linear algebra libraries, found once: it takes as long as a pass over small data."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
