"""Read data: objects from the files of every tool that users come from.

One public function per file: call what lies below, say what was read.
No format of our own, and nothing that changes counts.
"""

from __future__ import annotations

from ._read import read

__all__ = ["read"]
