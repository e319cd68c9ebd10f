"""Read-only views of what the tools wrote and of what there is.

Holds functions that return tables and change nothing. No computation.
"""

from __future__ import annotations

from ._annotation import annotation
from ._encoders import encoders
from ._methods import methods

__all__ = ["annotation", "encoders", "methods"]
