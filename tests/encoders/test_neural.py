from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scllmda.encoders import Dnabert2Encoder, NucleotideTransformerEncoder, _neural
from scllmda.encoders._neural import NeuralEncoder, Tokens, pool

SEQUENCES = ["ACGTACGTACGT", "", "GG", "TTTTACNNACGT", "GATTACA" * 9, "GG"]


class Echo(torch.nn.Module):
    """Hidden states that are the token ids; batches of more than ``limit`` sequences do not fit."""

    def __init__(self, limit: int | None = None, error: Callable[[str], Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.limit, self.error = limit, error
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        self.shapes.append(tuple(ids.shape))
        if self.limit is not None and ids.shape[0] > self.limit:
            message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
            raise self.error(message)
        return ids[:, :, None].float()


def bases(sequences: list[str]) -> Tokens:
    """One token per base, after a first one."""
    ids = np.frombuffer("".join(f"@{s}" for s in sequences).encode(), dtype=np.uint8).astype(np.int32)
    return Tokens(ids, np.array([len(s) + 1 for s in sequences], dtype=np.intp))


def echo_encoder(network: Echo, **options: Any) -> NeuralEncoder:
    return NeuralEncoder(
        network, bases, name="echo", n_dims=1, weights="w", pad_id=7, special_ids=[ord("@")], device="cpu", **options
    )


def test_pooling_by_hand() -> None:
    sequence = [ord("@"), ord("A"), ord("T")]
    expected = {"mean": np.mean(sequence), "mean_no_special": np.mean(sequence[1:]), "cls": 64, "max": ord("T")}
    for pooling, value in expected.items():
        vectors = echo_encoder(Echo(), pooling=pooling, batch_tokens=64).encode(["AT", "", "ACGTACGT"])
        np.testing.assert_allclose(vectors[0], value, rtol=1e-6)
        np.testing.assert_allclose(vectors[1], 0 if pooling == "mean_no_special" else 64)


def test_pool_ignores_what_is_not_counted() -> None:
    hidden = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [99.0, float("nan")]]])
    counted = torch.tensor([[True, True, False]])
    assert pool(hidden, counted, "mean").tolist() == [[2.0, -3.0]]
    assert pool(hidden, counted, "max").tolist() == [[3.0, -2.0]]


def test_batches_keep_to_the_budget_and_waste_little() -> None:
    network = Echo()
    lengths = np.random.default_rng(0).integers(1, 60, 200)
    sequences = ["".join(np.random.default_rng(i).choice(list("ACGT"), n)) for i, n in enumerate(lengths)]
    distinct = set(sequences)
    echo_encoder(network, batch_tokens=256).encode(sequences)
    assert max(n * length for n, length in network.shapes) <= 256
    assert sum(n for n, _ in network.shapes) == len(distinct)
    assert sum(n * length for n, length in network.shapes) < 1.1 * sum(len(s) + 1 for s in distinct)


def test_equal_sequences_are_encoded_once() -> None:
    network = Echo()
    vectors = echo_encoder(network, batch_tokens=1).encode(["AC", "GT", "AC", "AC"])
    assert len(network.shapes) == 2
    np.testing.assert_array_equal(vectors[[0, 2, 3]], vectors[[0, 0, 0]])


def test_no_sequences() -> None:
    vectors = echo_encoder(Echo()).encode([])
    assert (vectors.shape, vectors.dtype) == ((0, 1), np.float32)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_batches_are_halved_when_memory_runs_out(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[str], Exception]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(_neural.logg, "warning", told.append)
    sequences = [f"A{'ACGT'[i % 4]}{'ACGT'[i // 4]}" for i in range(16)]
    network = Echo(limit=3, error=error)
    vectors = echo_encoder(network, batch_tokens=64).encode(sequences)
    np.testing.assert_array_equal(vectors, echo_encoder(Echo()).encode(sequences))
    assert [n for n, _ in network.shapes[:3]] == [16, 8, 4]
    assert {n for n, _ in network.shapes[3:]} == {2}, "later batches start at what fits"
    assert len(told) == 3


def test_one_sequence_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_neural.logg, "warning", lambda message: None)
    with pytest.raises(MemoryError, match="A sequence of 5 tokens does not fit into memory with 'echo'"):
        echo_encoder(Echo(limit=0)).encode(["ACGT", "AC"])


def test_other_errors_pass() -> None:
    class Broken(Echo):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            message = "shapes do not match"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="shapes do not match"):
        echo_encoder(Broken()).encode(["ACGT"])


@pytest.mark.parametrize("pooling", _neural.POOLINGS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite_are_refused(pooling: str, value: float) -> None:
    class Large(Echo):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            hidden = super().forward(ids, mask)
            return torch.where((ids == ord("T")).any(dim=1)[:, None, None], value, hidden)

    encoder = echo_encoder(Large(), pooling=pooling, batch_tokens=64)
    assert np.isfinite(encoder.encode(["AC", "GGG"])).all()
    with pytest.raises(ValueError, match=r"'echo' give NaN or infinite values for 1 of 3 sequences.*source="):
        encoder.encode(["AC", "GGG", "GATTACA"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "sum"}, "pooling='sum' found, expected one of"),
        ({"batch_tokens": 0}, "batch_tokens=0 found"),
        ({"batch_tokens": 64.0}, "batch_tokens=64.0 found"),
        ({"batch_tokens": float("nan")}, "batch_tokens=nan found"),
        ({"batch_tokens": "64"}, "batch_tokens='64' found"),
        ({"batch_tokens": True}, "batch_tokens=True found"),
        ({"device": "cuda", "quantize": True}, "quantize=True is for the CPU, found device='cuda'"),
        ({"device": "gpu"}, "Cannot use device='gpu'"),
        ({"device": "meta"}, "Cannot use device='meta'"),
        ({"device": None}, "device=None found"),
    ],
    ids=str,
)
def test_unusable_options_come_before_the_weights(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dnabert2Encoder("no/weights", **options)


def test_revision_tells_options_apart(dnabert2_folder: Path) -> None:
    source = str(dnabert2_folder)
    encoders = [Dnabert2Encoder(source, pooling=pooling, device="cpu") for pooling in _neural.POOLINGS]
    encoders.append(Dnabert2Encoder(source, reverse_complement=True, device="cpu"))
    encoders.append(Dnabert2Encoder(source, quantize=True))
    assert len({encoder.revision for encoder in encoders}) == len(encoders)
    assert Dnabert2Encoder(source, batch_tokens=5, device="cpu").revision == encoders[0].revision


def reversed_strand(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_both_strands(dnabert2_folder: Path) -> None:
    forward = Dnabert2Encoder(str(dnabert2_folder), device="cpu")
    both = Dnabert2Encoder(str(dnabert2_folder), reverse_complement=True, device="cpu")
    opposite = [reversed_strand(s) for s in SEQUENCES]
    expected = (forward.encode(SEQUENCES) + forward.encode(opposite)) / 2
    np.testing.assert_allclose(both.encode(SEQUENCES), expected, atol=1e-6)
    np.testing.assert_allclose(both.encode(opposite), expected, atol=1e-6)
    assert np.abs(forward.encode(SEQUENCES) - forward.encode(opposite)).max() > 1e-3


def test_quantized_is_near_and_invariant(dnabert2_folder: Path) -> None:
    exact = Dnabert2Encoder(str(dnabert2_folder), device="cpu").encode(SEQUENCES)
    encoder = Dnabert2Encoder(str(dnabert2_folder), quantize=True)
    vectors = encoder.encode(SEQUENCES)
    assert not np.array_equal(vectors, exact)
    np.testing.assert_allclose(vectors, exact, atol=0.2)
    np.testing.assert_array_equal(encoder.encode(SEQUENCES[::-1]), vectors[::-1])


def test_bf16_is_near_and_finite(dnabert2_folder: Path) -> None:
    # What runs on a GPU, under the CPU's autocast.
    encoder = Dnabert2Encoder(str(dnabert2_folder), device="cpu")
    ids, mask = torch.tensor([[1, 5, 6, 2, 3], [1, 7, 8, 9, 2]]), torch.tensor([[True] * 4 + [False], [True] * 5])
    with torch.inference_mode():
        exact = encoder._network(ids, mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = encoder._network(ids, mask)
    assert not torch.equal(hidden, exact)
    torch.testing.assert_close(hidden.float(), exact, atol=0.1, rtol=0)


@pytest.fixture(params=["dnabert2", "v1", "v2"])
def encoder(
    request: pytest.FixtureRequest,
    dnabert2_folder: Path,
    nucleotide_transformer_folder: Callable[[str], Path],
) -> NeuralEncoder:
    if request.param == "dnabert2":
        return Dnabert2Encoder(str(dnabert2_folder), device="cpu")
    source = str(nucleotide_transformer_folder(request.param))
    return NucleotideTransformerEncoder("nucleotide-transformer-500m-1000g", source=source, device="cpu")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_batch_invariance(encoder: NeuralEncoder, data: st.DataObject) -> None:
    sequences = data.draw(st.lists(st.text("ACGTN", max_size=55), min_size=1, max_size=12))
    order = data.draw(st.permutations(range(len(sequences))))
    alone = np.vstack([encoder.encode([sequence]) for sequence in sequences])
    encoder._batch_tokens = data.draw(st.sampled_from([1, 40, 100, 10_000]))
    together = encoder.encode([sequences[i] for i in order])
    np.testing.assert_allclose(together, alone[order], atol=1e-5)
