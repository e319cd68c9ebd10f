"""How good an annotation, an embedding or predicted expression is.

Holds one function per file that compares labels, cells or genes and returns numbers. Nothing here changes an object.
"""

from __future__ import annotations

from ._annotation_report import annotation_report
from ._expression_by_gene import expression_by_gene
from ._expression_report import expression_report
from ._integration_report import integration_report

__all__ = ["annotation_report", "expression_by_gene", "expression_report", "integration_report"]
