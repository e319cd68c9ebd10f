"""Whose sequences were not used, and why."""

from __future__ import annotations

from typing import Any

import pytest

from scllmda.tl._sequences import unused_sequences

BOTH = ["reference", "query"]


@pytest.mark.parametrize(
    ("there", "coverage", "how", "expected"),
    [
        ([], {"sequence": "none"}, {}, None),
        (BOTH, {"sequence": "genome", "sequence_side": "both"}, {}, None),
        (["object"], {"sequence": "genome", "sequence_side": "reference"}, {}, None),
        (["object"], {"sequence": "none"}, {}, "object: they do not tell the peaks apart"),
        (BOTH, {"sequence": "none"}, {"reads": False}, "reference and query: the method reads none"),
        (BOTH, {"sequence": "none"}, {"frozen": True}, "reference and query: the reference was fitted without"),
        (BOTH, {"sequence": "x", "sequence_side": "reference", "n_own": 3}, {"frozen": True}, None),
        (BOTH, {"sequence": "x", "sequence_side": "reference"}, {}, "query: peaks that both have are described by"),
        (BOTH, {"sequence": "x", "sequence_side": "reference"}, {"learns": True}, "query: the encoder learns from"),
        (["query"], {}, {"learns": True}, "query: the encoder learns from"),
    ],
)
def test_whose_and_why(there: list[str], coverage: dict[str, Any], how: dict[str, bool], expected: str | None) -> None:
    given = {"reads": True, "learns": False, "frozen": False} | how
    found = unused_sequences(there, coverage, **given)
    assert (not found) if expected is None else found["sequence_unused"].startswith(expected)
