from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import log_softmax, softmax

from scllmda.graphs import gcn_normalize, knn_graph, ppmi_graph, symmetric_normalize
from scllmda.methods.scllmda import ScllmdaRecipe
from scllmda.methods.scllmda._network import (
    DomainAdapter,
    Fusion,
    GraphEncoder,
    adapter_loss,
    reversal_rate,
    train_adapter,
)
from scllmda.nn import Domain, reverse_gradient

RECIPE = ScllmdaRecipe(n_epochs=30)
ON_CPU = {"seed": 0, "device": "cpu"}


def arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy().astype(float) for name, tensor in module.named_parameters()}


def linear(x: np.ndarray, parameters: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]


def fuse(views: np.ndarray, parameters: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
    """Eq. 12-14 for one cell's (2, d) views at a time."""
    fused = []
    for H in views:
        q, k, v = (linear(H, parameters, f"{prefix}{name}") for name in ("query", "key", "value"))
        fused.append((softmax(q @ k.T / np.sqrt(H.shape[1]), axis=1) @ v).sum(axis=0))
    return np.array(fused)


def make_domain(n_per_class: int, shift: float, rng: np.random.Generator) -> tuple[Domain, np.ndarray]:
    labels = np.repeat([0, 1, 2], n_per_class)
    X = 3 * np.eye(3, 6)[labels] + rng.standard_normal((len(labels), 6)) * 0.5 + shift
    same = np.zeros(len(labels), dtype=int)
    graph = knn_graph(X, same, 5)
    return Domain(X, gcn_normalize(graph), symmetric_normalize(ppmi_graph(graph, same, rng=rng))), labels


@pytest.fixture(scope="module")
def domains() -> tuple[Domain, Domain, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    source, labels = make_domain(20, 0, rng)
    target, truth = make_domain(15, 0.3, rng)
    return source, target, labels, truth


@pytest.fixture
def model() -> DomainAdapter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DomainAdapter(6, 3, RECIPE).eval()


def test_reverse_gradient() -> None:
    x = torch.arange(6, dtype=torch.float32).reshape(2, 3).requires_grad_()
    weight = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, 4.0]])
    out = reverse_gradient(x, 0.05)
    torch.testing.assert_close(out, x)
    (out * weight).sum().backward()
    torch.testing.assert_close(x.grad, -0.05 * weight)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.005), (4, 0.025), (8, 0.045), (9, 0.05), (10, 0.05), (54, 0.05)])
def test_reversal_rate_is_the_released_schedule(epoch: int, rate: float) -> None:
    assert reversal_rate(epoch, RECIPE) == pytest.approx(rate)


def test_fusion_equals_dense() -> None:
    fusion, views = Fusion(16), torch.randn(9, 2, 16, generator=torch.Generator().manual_seed(1))
    expected = fuse(views.numpy().astype(float), arrays(fusion))
    np.testing.assert_allclose(fusion(views).detach().numpy(), expected, atol=1e-5)


def test_encoder_equals_dense_with_the_same_weights_on_both_graphs() -> None:
    rng = np.random.default_rng(2)
    encoder = GraphEncoder(6, RECIPE).eval()
    X = rng.standard_normal((25, 6))
    A, P = (rng.random((25, 25)) * (rng.random((25, 25)) < 0.2) for _ in range(2))
    assert not np.allclose(P, P.T)
    tensors = Domain(X, sp.csr_matrix(A), sp.csr_matrix(P)).tensors("cpu")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # Biases start at zero, where they would hide.
        for convolution in (encoder.first, encoder.second):
            torch.nn.init.normal_(convolution.bias)
    p = arrays(encoder)

    def convolve(graph: np.ndarray) -> np.ndarray:
        hidden = np.maximum(graph @ X @ p["first.lin.weight"].T + p["first.bias"], 0)
        return graph @ hidden @ p["second.lin.weight"].T + p["second.bias"]

    with torch.no_grad():
        np.testing.assert_allclose(encoder.convolve(tensors[0], tensors[1]).numpy(), convolve(A), atol=1e-4)
        np.testing.assert_allclose(encoder.convolve(tensors[0], tensors[2]).numpy(), convolve(P), atol=1e-4)
        expected = fuse(np.stack([convolve(A), convolve(P)], axis=1), p, "fusion.")
        np.testing.assert_allclose(encoder(*tensors).numpy(), expected, atol=1e-3)


def test_parameters_are_shared_between_graphs_and_domains(model: DomainAdapter) -> None:
    convolutions = (6 * 100 + 100) + (100 * 16 + 16)
    fusion = 3 * (16 * 16 + 16)
    assert sum(p.numel() for p in model.encoder.parameters()) == convolutions + fusion
    heads = (16 * 3 + 3) + (16 * 40 + 40) + (40 * 2 + 2)
    assert sum(p.numel() for p in model.parameters()) == convolutions + fusion + heads
    assert [type(m).__name__ for m in model.discriminator] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert model.discriminator[2].p == model.encoder.dropout.p == 0.1


@pytest.mark.parametrize("domain_weight", [0.0, 1.0, 0.9])
def test_loss_equals_cross_entropies_by_hand(model: DomainAdapter, domain_weight: float) -> None:
    rng = np.random.default_rng(3)
    source, target, labels = rng.standard_normal((12, 16)), rng.standard_normal((7, 16)), rng.integers(0, 3, 12)
    classifier, discriminator = arrays(model.classifier), arrays(model.discriminator)

    def discriminate(x: np.ndarray) -> np.ndarray:
        return log_softmax(linear(np.maximum(linear(x, discriminator, "0"), 0), discriminator, "3"), axis=1)

    logits = source @ classifier["weight"].T + classifier["bias"]
    classification = -log_softmax(logits, axis=1)[np.arange(12), labels].mean()
    domain = -discriminate(source)[:, 0].mean() - discriminate(target)[:, 1].mean()
    loss, domain_loss = adapter_loss(
        model,
        torch.from_numpy(source).float(),
        torch.from_numpy(target).float(),
        torch.from_numpy(labels),
        domain_weight=domain_weight,
        rate=0.05,
    )
    assert domain_loss.item() == pytest.approx(domain, rel=1e-5)
    assert loss.item() == pytest.approx(classification + domain_weight * domain, rel=1e-5)


def gradients(loss: torch.Tensor, parameters: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, parameters, retain_graph=True))


def test_encoder_gets_the_reversed_the_discriminator_the_whole_gradient(
    model: DomainAdapter, domains: tuple[Domain, Domain, np.ndarray, np.ndarray]
) -> None:
    source, target = (model.encoder(*domain.tensors("cpu")) for domain in domains[:2])
    labels, rate, weight = torch.from_numpy(domains[2]), 0.02, 0.9
    loss, _ = adapter_loss(model, source, target, labels, domain_weight=weight, rate=rate)
    classification, _ = adapter_loss(model, source, target, labels, domain_weight=0.0, rate=rate)
    plain = sum(
        torch.nn.functional.cross_entropy(model.discriminator(cells), torch.full((len(cells),), code))
        for code, cells in enumerate((source, target))
    )
    encoder, discriminator = list(model.encoder.parameters()), list(model.discriminator.parameters())
    for total, own, domain in zip(
        gradients(loss, encoder), gradients(classification, encoder), gradients(plain, encoder), strict=True
    ):
        torch.testing.assert_close(total, own - rate * weight * domain, atol=1e-6, rtol=1e-4)
    for total, domain in zip(gradients(loss, discriminator), gradients(plain, discriminator), strict=True):
        torch.testing.assert_close(total, weight * domain, atol=1e-6, rtol=1e-4)


def test_training_is_the_published_optimization(domains: tuple[Domain, Domain, np.ndarray, np.ndarray]) -> None:
    """Twelve epochs against eq. 4-17 in dense double precision, with Adam, reversal and its rate written out."""
    source, target, labels, _ = domains
    n_epochs, weight = 12, 0.9
    recipe = replace(RECIPE, dropout=0.0, domain_weight=weight, n_epochs=n_epochs)
    proba, encoded_source, encoded_target, history = train_adapter(source, target, labels, 3, recipe, **ON_CPU)

    y = torch.from_numpy(labels)
    X, A, P = (
        [torch.from_numpy(matrix).double() for matrix in matrices]
        for matrices in (
            (source.X, target.X),
            (source.adjacency.toarray(), target.adjacency.toarray()),
            (source.ppmi.toarray(), target.ppmi.toarray()),
        )
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = DomainAdapter(6, 3, recipe)
    theta = {name: p.detach().double().requires_grad_() for name, p in start.named_parameters()}

    def apply(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ theta[f"{name}.weight"].T + theta[f"{name}.bias"]

    def forward(x: torch.Tensor, graphs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        views = []
        for graph in graphs:
            hidden = graph @ x @ theta["encoder.first.lin.weight"].T + theta["encoder.first.bias"]
            hidden = graph @ torch.relu(hidden) @ theta["encoder.second.lin.weight"].T
            views.append(hidden + theta["encoder.second.bias"])
        H = torch.stack(views, dim=1)
        Q, K, V = (apply(H, f"encoder.fusion.{name}") for name in ("query", "key", "value"))
        scores = torch.einsum("nid,njd->nij", Q, K) / np.sqrt(16)
        return torch.einsum("nij,njd->nd", torch.softmax(scores, dim=2), V)

    def log_proba(x: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(apply(torch.relu(apply(x, "discriminator.0")), "discriminator.3"), dim=1)

    memory = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in theta.items()}
    for epoch in range(n_epochs):
        Z = [forward(x, graphs) for x, *graphs in zip(X, A, P, strict=True)]
        classification = -torch.log_softmax(apply(Z[0], "classifier"), dim=1)[torch.arange(len(y)), y].mean()
        domain = -log_proba(Z[0])[:, 0].mean() - log_proba(Z[1])[:, 1].mean()
        assert history["domain_loss"][epoch] == pytest.approx(domain.item(), rel=1e-3)
        assert history["loss"][epoch] == pytest.approx((classification + weight * domain).item(), rel=1e-3)
        names = list(theta)
        own, adverse = (
            torch.autograd.grad(loss, [theta[name] for name in names], retain_graph=True, allow_unused=True)
            for loss in (classification, domain)
        )
        reversal = -min((epoch + 1) / 200, 0.05)
        for name, a, b in zip(names, own, adverse, strict=True):
            sign = 1.0 if name.startswith("discriminator") else reversal
            gradient = (0 if a is None else a) + (0 if b is None else sign * weight * b)
            first, second = memory[name]
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            memory[name] = first, second
            unbiased = first / (1 - 0.9 ** (epoch + 1)), second / (1 - 0.999 ** (epoch + 1))
            step = 3e-3 * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
            theta[name] = (theta[name].detach() - step).requires_grad_()
    Z = [forward(x, graphs) for x, *graphs in zip(X, A, P, strict=True)]
    expected = softmax(apply(Z[1], "classifier").detach().numpy(), axis=1)
    np.testing.assert_allclose(proba, expected, atol=2e-5)
    np.testing.assert_allclose(encoded_source, Z[0].detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(encoded_target, Z[1].detach().numpy(), atol=1e-4)


def test_training_learns_a_separable_toy(domains: tuple[Domain, Domain, np.ndarray, np.ndarray]) -> None:
    source, target, labels, truth = domains
    proba, encoded_source, encoded_target, history = train_adapter(source, target, labels, 3, RECIPE, **ON_CPU)
    assert proba.shape == (45, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(proba.argmax(axis=1), truth)
    assert encoded_source.shape == (60, 16)
    assert encoded_target.shape == (45, 16)
    assert len(history["loss"]) == len(history["domain_loss"]) == 30
    classification = np.subtract(history["loss"], history["domain_loss"])
    assert classification[-1] < 0.1 * classification[0]


def test_training_is_deterministic_and_leaves_the_global_generator_alone(
    domains: tuple[Domain, Domain, np.ndarray, np.ndarray],
) -> None:
    source, target, labels, _ = domains
    short = replace(RECIPE, n_epochs=3)
    torch.rand(1)  # away from the state that an earlier run could have left behind
    before = torch.random.get_rng_state()
    first = train_adapter(source, target, labels, 3, short, **ON_CPU)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    again = train_adapter(source, target, labels, 3, short, **ON_CPU)
    other = train_adapter(source, target, labels, 3, short, **{**ON_CPU, "seed": 1})
    for a, b in zip(first[:3], again[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[3] == again[3]
    assert not np.array_equal(first[0], other[0])
