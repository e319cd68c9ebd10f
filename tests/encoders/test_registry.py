from __future__ import annotations

import numpy as np
import pytest

from scllmda import encoders
from scllmda.encoders import _registry
from scllmda.get._encoders import encoders as get_encoders


class Tiny:
    name, revision, n_dims = "tiny", "1", 1

    def __init__(self, *, device: str, source: str | None) -> None:
        self.given = (device, source)

    def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
        return np.zeros((len(sequences), 1), dtype=np.float32)


def test_table_lists_every_encoder() -> None:
    table = get_encoders()
    assert table.index.name == "name"
    assert {"kmer", "random"} <= set(table.index)
    assert list(table.columns) == ["description", "licence", "needs", "options", "citation"]
    assert (table[["description", "licence", "needs"]] != "").all(axis=None)


def test_names_are_kept_and_fit_a_slot() -> None:
    for name in ("kmer", "random"):
        assert encoders.get(name).name == name
    assert not any("/" in name for name in _registry.ENCODERS)


def test_unknown_name_suggests() -> None:
    with pytest.raises(ValueError, match=r"Unknown encoder 'kmers'.*'kmer', .*'random'.*Did you mean 'kmer'\?"):
        encoders.get("kmers")


@pytest.mark.parametrize(
    "option",
    [{"source": "a/folder"}, {"revision": "main"}, {"pooling": "max"}],
    ids=lambda option: next(iter(option)),
)
@pytest.mark.parametrize("name", ["kmer", "random"])
def test_options_an_encoder_lacks(name: str, option: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"'{name}' has no option '{next(iter(option))}'"):
        encoders.get(name, **option)


def test_inert_options_are_accepted() -> None:
    assert encoders.get("kmer", source=None, revision=None, pooling="mean", device="cuda").name == "kmer"


def test_options_reach_the_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = _registry.Entry(Tiny, "toy", "none", "nothing", "", options=frozenset({"device", "source"}))
    monkeypatch.setitem(_registry.ENCODERS, "tiny", entry)
    assert encoders.get("tiny", device="cuda:1", source="x").given == ("cuda:1", "x")
    assert get_encoders().loc["tiny", "options"] == "device, source"
    with pytest.raises(ValueError, match="no option 'pooling'"):
        encoders.get("tiny", pooling="cls")


def test_protocol_is_checked_by_shape() -> None:
    assert isinstance(Tiny(device="cpu", source=None), encoders.PeakEncoder)
    assert not isinstance(object(), encoders.PeakEncoder)
