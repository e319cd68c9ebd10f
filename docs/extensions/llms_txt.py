"""Write `llms.txt` (llmstxt.org): every page with its first sentence, for readers that are language models."""

from __future__ import annotations

from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def in_order(env: BuildEnvironment, page: str) -> Iterator[str]:
    """Yield pages in the order of the tables of contents."""
    yield page
    for child in env.toctree_includes.get(page, ()):
        yield from in_order(env, child)


def first_paragraph(tree: nodes.document) -> str:
    """Return the text of the first paragraph of running text."""
    for paragraph in tree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            return " ".join(paragraph.astext().split())
    return ""


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the file beside the pages."""
    if error is not None or app.builder.format != "html":
        return
    env, config = app.env, app.config
    lines = [f"# {config.project}", "", f"> {metadata(config.project)['Summary']}", "", "## Pages", ""]
    for page in dict.fromkeys(in_order(env, config.root_doc)):
        title, about = env.titles[page].astext(), first_paragraph(env.get_doctree(page))
        url = app.builder.get_target_uri(page)
        lines.append(f"- [{title}]({url})" + (f": {about}" if about else ""))
    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write it when all pages are there."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
