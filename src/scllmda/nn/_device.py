from __future__ import annotations

import torch


def pick_device(device: str) -> str:
    """Return the torch device: "auto" is a GPU when there is one, else the CPU."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
