"""The names that a checkpoint folder of scllmda has: what is written, and what is looked for."""

from __future__ import annotations

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
MARK = "scllmda_checkpoint"
"""Key of ``config.json`` that no configuration may have. Its value is ``{"version": 1, "sha256": …}``: with the hash of
the weights, neither file passes beside another than that it was written with."""
VERSION = 1
