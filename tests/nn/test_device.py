from __future__ import annotations

import pytest
import torch

from scllmda.nn import pick_device


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_when_there_is_one(monkeypatch: pytest.MonkeyPatch, available: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert pick_device("auto") == expected
    assert pick_device("cpu") == "cpu"
    assert pick_device("cuda:1") == "cuda:1"
