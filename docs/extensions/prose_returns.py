"""Show the Returns section of a docstring as it is written.

Napoleon reads its first line as "name : type", and mangles prose that holds a colon. Ours say in prose what is returned
and which slots were written; the type is in the signature.
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


def setup(app: Sphinx) -> dict[str, bool]:
    """Replace napoleon's reading of the section."""
    NumpyDocstring._parse_returns_section = _parse_returns_section
    return {"parallel_read_safe": True}
