from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from ._threads import in_order, linear_algebra

T = TypeVar("T")
U = TypeVar("U")

_client: ContextVar[Any] = ContextVar("client", default=None)


@contextmanager
def on_workers(client: Any) -> Iterator[None]:
    """Let the workers of a Dask client do what :func:`each_block` does meanwhile; with None, threads of this process.

    Parameters
    ----------
    client
        A ``dask.distributed.Client``, or None.
    """
    token = _client.set(client)
    try:
        yield
    finally:
        _client.reset(token)


def take_part() -> bool:
    """Return whether the workers of a Dask client do what :func:`each_block` does."""
    return _client.get() is not None


def each_block(function: Callable[[T], U], blocks: Iterable[T]) -> Iterator[U]:
    """Yield ``function(block)`` in the order of the blocks, computed by workers if there are any, else by threads.

    It is for what takes long enough to be worth sending: dense products of whole blocks of counts. Linear algebra uses
    one thread on a worker, as it does in :func:`in_order`, so that the bytes are the same on processors of one kind.

    Parameters
    ----------
    function
        What to do with a block. With all that it refers to it is sent to the workers, once: it is to refer to nothing
        else that is large, and what it changes is not changed here.
    blocks
        Each is sent to the worker that works on it. They are read by this process, a few ahead.
    """
    client = _client.get()
    return in_order(function, blocks) if client is None else _sent(client, function, blocks)


def _sent(client: Any, function: Callable[[T], U], blocks: Iterable[T]) -> Iterator[U]:
    # As a task of its own it is sent once and, unlike scattered data, made again when its workers die.
    of_all = _submit(client, _same, function)
    under_way: deque[Any] = deque()
    # Workers may be threads of this process, whose linear algebra has one limit for all threads.
    with linear_algebra().limit(limits=1):
        try:
            for block in blocks:
                under_way.append(_submit(client, _alone, of_all, block))
                # Two blocks per thread keep workers busy without sending them all the counts at once.
                if len(under_way) >= 2 * max(sum(client.nthreads().values()), 1):
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            # After an error, what was begun is not computed to its end.
            for future in (of_all, *under_way):
                future.release()


def _submit(client: Any, function: Callable[..., Any], *args: Any) -> Any:
    with warnings.catch_warnings():
        # Dask advises to send as little as it would take to read the data on the workers; only this process has it.
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        return client.submit(function, *args, pure=False)


def _same(function: Callable[[T], U]) -> Callable[[T], U]:
    return function


def _alone(function: Callable[[T], U], block: T) -> U:
    with linear_algebra().limit(limits=1):
        return function(block)
