"""Show what docstrings say in prose as it is written.

Napoleon reads the first line of a Returns section, and of an attribute's docstring, as "type : description", and
mangles prose that holds a colon. Ours say in prose what is returned, which slots were written and where a constant
comes from; the types are in the signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.ext.napoleon import NumpyDocstring

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def _parse_returns_section(self: NumpyDocstring, section: str) -> list[str]:
    lines = self._dedent(self._consume_to_next_section())
    # sphinx-autodoc-typehints puts a lone colon there, its own guard against napoleon.
    return self._format_block(":returns: ", lines[1:] if lines[:1] == [":"] else lines)


def _parse_attribute_docstring(self: NumpyDocstring) -> list[str]:
    return self._dedent(self._consume_to_end())


def setup(app: Sphinx) -> dict[str, bool]:
    """Replace napoleon's reading of both."""
    NumpyDocstring._parse_returns_section = _parse_returns_section
    NumpyDocstring._parse_attribute_docstring = _parse_attribute_docstring
    return {"parallel_read_safe": True}
