from __future__ import annotations

import ctypes
import platform
from types import SimpleNamespace
from typing import Any

import pytest

from scllmda.nn import _freed_memory, give_back


@pytest.fixture(autouse=True)
def _looked_up_anew() -> Any:
    _freed_memory._trim.cache_clear()
    yield
    _freed_memory._trim.cache_clear()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_glibc_is_asked() -> None:
    assert _freed_memory._trim() is not None
    give_back()


@pytest.mark.parametrize("library", [SimpleNamespace(), OSError, TypeError])
def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
    def open_library(_: None) -> Any:
        if isinstance(library, type):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", open_library)
    assert _freed_memory._trim() is None
    give_back()
