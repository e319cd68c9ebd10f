"""Work on a Dask cluster: the same bytes, also where workers die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from anndata import AnnData
from tests._objects import annotated, assert_refused, assert_same, pair, snapshot

import scllmda as sl
from scllmda._counts import count_blocks


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    """Let even small objects have several blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(count_blocks.__kwdefaults__, "block_size", 50)
        yield


class Mortal:
    """A client that kills some of its workers before it submits a task."""

    def __init__(self, client: Any, *, n_killed: int = 0, at: int = 0) -> None:
        self.client, self.n_killed, self.at = client, n_killed, at
        self.n_submitted = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.n_submitted += 1
        if self.n_killed and self.n_submitted == self.at:
            for process in list(self.client.run(os.getpid).values())[: self.n_killed]:
                os.kill(process, signal.SIGKILL)
        return self.client.submit(*args, **kwargs)


def on_disk(adata: AnnData) -> AnnData:
    """Put the object's counts into a Dask array."""
    da = pytest.importorskip("dask.array")
    adata.X = da.from_array(adata.X, chunks=(60, -1))
    return adata


@pytest.fixture(scope="module")
def expected() -> dict[tuple[str, str], Any]:
    """Return all slots of the query of ``pair()``, annotated without a client."""
    reference, query = pair()
    return snapshot(annotated(query, reference))


@pytest.mark.parametrize(("n_killed", "lazy"), [(1, True), (2, False)])
def test_annotate(n_killed: int, lazy: bool, client: Any, expected: dict[tuple[str, str], Any]) -> None:
    reference, query = (on_disk(adata) if lazy else adata for adata in pair())
    mortal = Mortal(client, n_killed=n_killed, at=60)
    found = annotated(query, reference, client=mortal)
    assert mortal.n_submitted > 100
    assert_same(snapshot(found), expected)


def test_annotate_by_dna_with_a_frozen_reference(client: Any) -> None:
    reference, query = pair(sequence=True)
    sl.tl.embed_peaks(reference)
    mortal = Mortal(client, n_killed=1, at=20)
    fitted = sl.tl.cell_embeddings(reference, n_latent=16, client=mortal, copy=True)
    sl.tl.cell_embeddings(reference, n_latent=16)
    assert mortal.n_submitted > mortal.at
    assert_same(snapshot(fitted), snapshot(reference))

    # The query's own peaks are encoded, and its blocks mapped.
    mortal = Mortal(client)
    found = annotated(query, reference, frozen=True, client=mortal)
    assert mortal.n_submitted >= 4
    assert_same(snapshot(found), snapshot(annotated(query, reference, frozen=True)))


def test_what_does_not_use_a_client_refuses_it(client: Any) -> None:
    reference, query = pair()
    match = "has no effect with method='lsi_knn', which reads neither sequence nor an embedding; expected it to be left"
    assert_refused(sl.tl.annotate, query, reference, ValueError, match, method="lsi_knn", client=client)
    with pytest.raises(ValueError, match=r"client=.* has no effect with model='scllmda'"):
        sl.tl.cell_embeddings(reference, model="scllmda", client=client)


def test_no_client() -> None:
    reference, query = pair()
    assert_refused(sl.tl.annotate, query, reference, TypeError, "expected a Dask client", client="tcp://here")
    with pytest.raises(TypeError, match="Found client=5, expected a Dask client"):
        sl.tl.cell_embeddings(reference, client=5)
