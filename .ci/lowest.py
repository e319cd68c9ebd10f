"""Print the lowest version that pyproject.toml allows of each direct dependency, as constraints for pip.

Arguments replace lines: `lowest.py torch==2.13.0`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Print them."""
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    needed = [
        *project["project"]["dependencies"],
        *(text for extra in project["project"]["optional-dependencies"].values() for text in extra),
        *project["dependency-groups"]["test"],
    ]
    lowest = {}
    for text in [*needed, *sys.argv[1:]]:
        name, version = re.match(r"([\w-]+)(?:\[\w+\])?[>=]=([\w.]+)", text).groups()
        lowest[name] = version
    print(*(f"{name}=={version}" for name, version in sorted(lowest.items())), sep="\n")


if __name__ == "__main__":
    main()
