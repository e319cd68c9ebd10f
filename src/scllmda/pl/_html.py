"""Parts of a page that needs nothing but itself: every text is escaped, and pictures lie in the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 144
"""Of pictures made of points, in dots per inch: 1.5 times those of a page."""
_MOST_LINES = 120_000
"""Bytes of a figure as lines (SVG) from which on it becomes points (PNG). A map of 2,500 cells takes 300,000 as lines
and 120,000 as points; a flow of 16 types 70,000 and 320,000."""
_CSS_DPI, _LEAST = 96, 0.62
"""Pixels of a page's inch, and share of its width that a picture keeps on a narrow screen, where it scrolls."""
_STYLE = """
:root { color-scheme: light; --line: #d7dce1; --soft: #f4f6f8; --ink: #1b2733; --mild: #5b6875; --blue: #2266aa }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1300px; padding: 1.2rem; background: #fff; color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .4rem 0 .2rem }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .7rem; border-top: 1px solid var(--line) }
p, ul { max-width: 46rem; margin: .5rem 0; overflow-wrap: anywhere }
.mild { color: var(--mild); font-size: .92rem }
nav { margin: .8rem 0; line-height: 1.9 } nav a { margin-right: 1rem; white-space: nowrap; color: var(--blue) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0 }
dl div { background: var(--soft); border-radius: .5rem; padding: .5rem .8rem }
dt { color: var(--mild); font-size: .85rem } dd { margin: 0; font-size: 1.25rem; font-weight: 600 }
.caution { border-left: 4px solid #cc5511; background: #fdf3ec; padding: .6rem .9rem; border-radius: 0 .4rem .4rem 0 }
.scroll { overflow-x: auto; margin: .8rem 0; -webkit-overflow-scrolling: touch }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top }
thead th { white-space: nowrap; background: var(--soft) }
th:first-child, table.words td, table.words th { text-align: left }
table.words td { overflow-wrap: anywhere; max-width: 40rem }
tbody th { font-weight: 500; max-width: 18rem; overflow-wrap: break-word;
  position: sticky; left: 0; background: #fff }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem 1.4rem; align-items: flex-start }
figure { margin: .8rem 0; max-width: 100% } figcaption { color: var(--mild); font-size: .88rem; max-width: 34rem }
figure .scroll { margin: 0 } img { height: auto; max-width: 100%; display: block }
ul.key { list-style: none; padding: 0; max-width: none; font-size: .9rem;
  display: flex; flex-wrap: wrap; gap: .15rem 1.1rem }
ul.key span { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .4rem }
details { margin: .8rem 0 } summary { cursor: pointer; color: var(--blue) }
footer { margin-top: 2.4rem; border-top: 1px solid var(--line); color: var(--mild); font-size: .88rem }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page of parts, which may load nothing, as browsers see to."""
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(part for part in body if part))


def section(name: str, title: str, parts: Iterable[str]) -> str:
    """Return parts under a heading that can be linked to; nothing if there are none."""
    found = "\n".join(part for part in parts if part)
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{found}\n</section>' if found else ""


def contents(titles: Mapping[str, str]) -> str:
    """Return links to sections, by their names."""
    links = "\n".join(f'<a href="#{name}">{escape(title)}</a>' for name, title in titles.items())
    return f"<nav>\n{links}\n</nav>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; ``kind`` is "mild" or "caution"."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def cards(values: Mapping[str, str]) -> str:
    """Return numbers with what they are of."""
    found = "\n".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in values.items())
    return f'<dl id="summary">\n{found}\n</dl>'


def table(name: str, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """Return a table that scrolls in a box of its own; the first column has names. ``kind`` "words" is to the left."""
    cells = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    return (
        f'<p class="mild" id="{name}-about">{escape(caption)}</p>\n<div class="scroll" tabindex="0">'
        f'<table id="{name}" aria-describedby="{name}-about"{_class(kind)}>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{cells}\n</tbody>\n</table></div>"
    )


def folded(summary: str, part: str) -> str:
    """Return a part that is shown when it is asked for."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{part}\n</details>"


def color_key(colors: Mapping[str, str]) -> str:
    """Return names beside their colors, "#rrggbb"."""
    found = "\n".join(f'<li><span style="background: {c}"></span>{escape(name)}</li>' for name, c in colors.items())
    return f'<ul class="key">\n{found}\n</ul>'


def pictures(figures: Iterable[tuple[Figure, str]]) -> str:
    """Return figures side by side where there is room, each with what it shows."""
    found = "\n".join(_picture(figure, caption) for figure, caption in figures)
    return f'<div class="pictures">\n{found}\n</div>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _picture(figure: Figure, caption: str) -> str:
    kind, content = _image(figure)
    width, height = (round(inches * _CSS_DPI) for inches in figure.get_size_inches())
    data, text = base64.b64encode(content).decode(), escape(caption)
    size = f'width="{width}" height="{height}" style="min-width: {round(_LEAST * width)}px"'
    image = f'<img {size} alt="{text}" src="data:image/{kind};base64,{data}">'
    return (
        f'<figure style="width: {width}px"><div class="scroll" tabindex="0">{image}</div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _image(figure: Figure) -> tuple[str, bytes]:
    """Return the kind and the bytes of a figure's image, without a date or a version: lines if they are few."""
    content = BytesIO()
    figure.savefig(content, format="svg", dpi=_DPI, metadata={"Date": None, "Creator": None})
    if content.tell() <= _MOST_LINES:
        return "svg+xml", content.getvalue()
    content = BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return "png", content.getvalue()
