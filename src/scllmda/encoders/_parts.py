"""Work on parts of something, here or on the workers of a cluster."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    K = TypeVar("K")
    R = TypeVar("R")

_RETRIES = 2
"""Of a part that fails on a worker; one whose worker died is repeated by the scheduler anyway."""


def work_on_parts(
    function: Callable[..., R], parts: Iterable[tuple[K, tuple[Any, ...]]], client: Any
) -> Iterator[tuple[K, R]]:
    """Yield the key of each part and what ``function(*part)`` returned, as they are finished.

    Parameters
    ----------
    function
        A function of a module, which workers can import.
    parts
        Keys and arguments, made when there is a worker for them.
    client
        A ``dask.distributed.Client``; None works here, in the order of the parts.
    """
    if client is None:
        for key, part in parts:
            yield key, function(*part)
        return
    waiting = iter(parts)
    running: dict[Any, K] = {}
    finished = _import_distributed().as_completed(loop=client.loop)

    def submit() -> None:
        # Two parts per thread keep workers busy without sending them everything at once.
        limit = 2 * max(sum(client.nthreads().values()), 4)
        for key, part in islice(waiting, max(limit - len(running), 0)):
            future = client.submit(function, *part, pure=False, retries=_RETRIES)
            running[future] = key
            finished.add(future)

    submit()
    for future in finished:
        yield running.pop(future), future.result()
        submit()


def made_once(make: Callable[..., Any], *args: Any, client: Any) -> Any:
    """Return what stands for ``make(*args)`` in the arguments of all parts: workers make it once and pass it on."""
    # It is, unlike scattered data, made again when its workers die.
    return client.submit(make, *args, pure=False)


def _import_distributed() -> ModuleType:
    try:
        import distributed
    except ImportError as error:
        msg = "client= needs Dask's scheduler. Install it: pip install 'scllmda[dask]' (or distributed)."
        raise ImportError(msg) from error
    return distributed
