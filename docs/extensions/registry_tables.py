"""The directive `registry-table`: the methods or encoders of the version that the documentation is built of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

import scllmda as sl

if TYPE_CHECKING:
    import pandas as pd
    from sphinx.application import Sphinx

TABLES = {"methods": sl.get.methods, "encoders": sl.get.encoders}


def markdown(table: pd.DataFrame, columns: list[str]) -> list[str]:
    """Return the lines of a table with the index, as code, and these columns."""
    head = [str(table.index.name), *columns]
    rows = ([f"`{name}`", *(row[c] or "–" for c in columns)] for name, row in table.iterrows())
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


class RegistryTable(Directive):
    """Show columns of `sl.get.methods()` or `sl.get.encoders()`."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Parse the table as the page is parsed."""
        name, *columns = self.arguments[0].split()
        text = StringList(markdown(TABLES[name](), columns), source=f"sl.get.{name}()")
        node = nodes.Element()
        self.state.nested_parse(text, self.content_offset, node)
        return node.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("registry-table", RegistryTable)
    return {"parallel_read_safe": True}
