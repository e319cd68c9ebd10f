"""Messages whose advice is followed to its end: what a message tells to do is done, and then the call works."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest


class Advice(NamedTuple):
    """A message, and what is to be done about it, all in the words of a user, who has what ``names`` returns."""

    given: str
    """Makes objects odd."""
    call: str
    says: str
    """Words of the message; <code> stands for code in it."""
    done: list[str]
    """Ways to do as told; <code> is that of the message, <call> the call again."""
    then: str
    """What holds afterwards."""


def pattern(says: str) -> re.Pattern[str]:
    """Return what finds such words in a message, and the code among them."""
    known = {"<…>": ".*", "<code>": "(?P<code>.+)"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in re.split("(<…>|<code>)", says)))


def code_in(message: str, says: str) -> str:
    """Assert that a message has such words, and return the code among them."""
    match = pattern(says).search(message)
    assert match is not None, message
    return match["code"] if "<code>" in says else ""


def follow(advice: Advice, way: str, code: str, names: dict[str, Any]) -> None:
    exec(way.replace("<code>", code).replace("<call>", advice.call), names)
    assert eval(advice.then, names)


def follow_warning(advice: Advice, way: int, names: dict[str, Any], warnings: list[str]) -> None:
    """Follow the advice of a warning, and assert that it is not given again."""
    exec(advice.given, names)
    warnings.clear()
    exec(advice.call, names)
    (message,) = filter(pattern(advice.says).search, warnings)
    warnings.clear()
    follow(advice, advice.done[way], code_in(message, advice.says), names)
    assert not any(map(pattern(advice.says).search, warnings))


def each(cases: dict[str, Advice]) -> Callable[[Any], Any]:
    """Return the decorator of a test of each way of each case."""
    ways = [(name, i) for name, advice in cases.items() for i in range(len(advice.done))]
    return pytest.mark.parametrize(("name", "way"), ways, ids=[f"{name}-{i}" for name, i in ways])
