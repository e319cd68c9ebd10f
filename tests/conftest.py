"""Fixtures that every test can use."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Examples are drawn anew by hand alone: --hypothesis-profile=long.
settings.register_profile("short", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=5_000, deadline=None)
settings.load_profile("short")

SHARED = Path(__file__).parents[2] / "shared"


def _shared(name: str) -> Path:
    """Return a folder of the files beside the repository; skip, or fail where they are known to be."""
    folder = SHARED / name
    if not folder.is_dir():
        message = f"no ../shared/{name} beside the repository"
        if os.environ.get("CI") == "true" and os.environ.get("SCLLMDA_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets, too large for the repository."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """Folder of tiny checkpoints with the outputs of the original modeling code."""
    return _shared("golden")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Client of two Dask workers, processes of one thread each, which are started again when they die."""
    distributed = pytest.importorskip("distributed")
    with pytest.MonkeyPatch.context() as patch:
        # A worker that is killed leaves its temporary folders.
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("workers")))
        with (
            distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield client


@pytest.fixture
def signals_as_by_default() -> Iterator[None]:
    """Whoever started the tests may ignore signals, as nohup does."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    before_interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before_interrupt)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Warnings that the package logs from now on."""
    logged: list[str] = []
    monkeypatch.setattr("scllmda._logging.warning", logged.append)
    return logged


@pytest.fixture(autouse=True)
def _as_many_threads() -> Iterator[None]:
    """Leave torch as many threads as it had: parallel code of numba changes them for all that share its OpenMP."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    yield
    if torch is not None and torch.get_num_threads() != before:
        torch.set_num_threads(before)
