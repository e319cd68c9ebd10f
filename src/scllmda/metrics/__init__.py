"""How good an annotation is.

Holds one function per file that compares labels and returns numbers. Nothing here changes an object.
"""

from __future__ import annotations

from ._annotation_report import annotation_report

__all__ = ["annotation_report"]
