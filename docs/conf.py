"""Configuration of the documentation."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from public_types import format_type

info = metadata("scllmda")
project = info["Name"]
author = info["Author"]
copyright = f"2026, {author}"
version = release = info["Version"]
repository = "https://github.com/scllmda/scllmda"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinx_design",
    "benchmark_scores",
    "llms_txt",
    "prose_docstrings",
    "registry_tables",
]
# The headline is a part of the landing page.
exclude_patterns = ["_build", "extensions", "benchmarks/headline.md"]
# A function in the configuration, typehints_formatter, cannot be cached: every build reads all pages.
suppress_warnings = ["config.cache"]
templates_path = ["_templates"]
default_role = "literal"

autosummary_generate = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
always_use_bars_union = True
typehints_defaults = "braces"
typehints_formatter = format_type
python_maximum_signature_line_length = 80

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Tutorials are committed with their outputs: `make tutorials` runs them. Pages have to lie below this folder.
nb_execution_mode = "off"
here = Path(__file__).parent
shutil.rmtree(here / "tutorials", ignore_errors=True)
shutil.copytree(here.parent / "tutorials", here / "tutorials", ignore=shutil.ignore_patterns("*.py", ".*", "__*"))
nb_merge_streams = True

# The inventories of other projects come over the network: only the hosted build links to them.
intersphinx_mapping = {}
if os.environ.get("READTHEDOCS"):
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "mudata": ("https://mudata.readthedocs.io/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3/", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
    }
# Names of other projects resolve only where their inventories were fetched; our own have to resolve everywhere.
OTHERS = "anndata|collections|dask|matplotlib|mudata|numpy|os|pandas|pathlib|scanpy|scipy|torch|typing"
nitpick_ignore_regex = [("py:.*", rf"({OTHERS})\..*|Ellipsis")]

# Publishers and 10x Genomics refuse programs, and anchors of pages that scripts draw are not in their text.
linkcheck_ignore = [r"https://doi\.org/", r"https://cf\.10xgenomics\.com/"]
linkcheck_anchors = False
linkcheck_retries = 3
linkcheck_timeout = 30

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme_options = {
    "repository_url": repository,
    "repository_branch": "main",
    "path_to_docs": "docs",
    "use_repository_button": True,
    "use_issues_button": True,
    "launch_buttons": {},
    # The sidebar has the search.
    "navbar_persistent": [],
}
