from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import log_softmax, softmax

from scllmda.graphs import gcn_normalize, knn_graph
from scllmda.methods.seqalignatac import SeqAlignAtacRecipe
from scllmda.methods.seqalignatac._network import (
    Adversary,
    AsymmetricAdapter,
    Mmd,
    adversarial_schedule,
    squared_mmd,
    train_asymmetric_adapter,
)
from scllmda.nn import Domain

RECIPES = {
    "adversarial": SeqAlignAtacRecipe(n_epochs=40),
    "mmd": SeqAlignAtacRecipe(alignment="mmd", n_epochs=40, mmd_draws=2, mmd_cells=100),
}
ADVERSARY, MMD = Adversary(RECIPES["adversarial"]), Mmd(RECIPES["mmd"])
ON_CPU = {"seed": 0, "device": "cpu"}
each_alignment = pytest.mark.parametrize("alignment", sorted(RECIPES))
Domains = tuple[Domain, Domain, np.ndarray, np.ndarray]


def make_domain(n_per_class: int, shift: float, rng: np.random.Generator) -> tuple[Domain, np.ndarray]:
    labels = np.repeat([0, 1, 2], n_per_class)
    X = 3 * np.eye(3, 6)[labels] + rng.standard_normal((len(labels), 6)) * 0.5 + shift
    return Domain(X, gcn_normalize(knn_graph(X, np.zeros(len(X), dtype=int), 5))), labels


@pytest.fixture(scope="module")
def domains() -> Domains:
    rng = np.random.default_rng(0)
    source, labels = make_domain(20, 0, rng)
    target, truth = make_domain(15, 0.3, rng)
    return source, target, labels, truth


@pytest.fixture
def model() -> AsymmetricAdapter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AsymmetricAdapter(6, 3, SeqAlignAtacRecipe(n_hidden=12)).eval()
        # Biases start at zero, where they would hide.
        for convolution in (made.first, made.second):
            torch.nn.init.normal_(convolution.bias)
    return made


def arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy().astype(float) for name, tensor in module.named_parameters()}


def encode(X: np.ndarray, A: np.ndarray, p: dict[str, np.ndarray], n_propagations: int) -> np.ndarray:
    """ReLU(Â^K ReLU(Â X W1 + b1) W2 + b2)."""
    hidden = np.maximum(A @ X @ p["first.lin.weight"].T + p["first.bias"], 0) @ p["second.lin.weight"].T
    for _ in range(n_propagations):
        hidden = A @ hidden
    return np.maximum(hidden + p["second.bias"], 0)


@pytest.mark.parametrize("n_propagations", [0, 1, 2, 10])
def test_paths_equal_dense(model: AsymmetricAdapter, domains: Domains, n_propagations: int) -> None:
    for domain in domains[:2]:
        with torch.no_grad():
            encoded = model.encode(*domain.tensors("cpu"), n_propagations).numpy()
        expected = encode(domain.X, domain.adjacency.toarray().astype(float), arrays(model), n_propagations)
        assert 0.2 < (expected > 0).mean() < 1
        np.testing.assert_allclose(encoded, expected, atol=1e-4)


def test_source_path_sees_no_further_than_neighbors_the_target_path_k_steps_more(model: AsymmetricAdapter) -> None:
    n = 40
    path = gcn_normalize(sp.csr_matrix(np.eye(n, k=1) + np.eye(n, k=-1)))
    X = np.zeros((n, 6))
    moved = X.copy()
    moved[0] = 1
    for n_propagations in (0, 5):
        with torch.no_grad():
            one, other = (model.encode(*Domain(x, path).tensors("cpu"), n_propagations).numpy() for x in (X, moved))
        reached = np.flatnonzero(np.abs(one - other).max(axis=1))
        assert reached.max() <= n_propagations + 1
        assert 0 in reached


def test_parameters_are_shared_between_domains() -> None:
    model = AsymmetricAdapter(6, 3, SeqAlignAtacRecipe())
    convolutions = (6 * 128 + 128) + (128 * 128 + 128)
    heads = (128 * 3 + 3) + (128 * 2 + 2)
    assert sum(p.numel() for p in model.parameters()) == convolutions + heads
    assert model.dropout.p == 0.1


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 0.0), (0.05, 0.244918662), (0.1, 0.462117157), (0.5, 0.986614298), (0.995, 0.999904549)],
)
def test_schedule_is_the_published(progress: float, factor: float) -> None:
    assert adversarial_schedule(progress) == pytest.approx(factor, abs=1e-8)
    assert adversarial_schedule(progress) == pytest.approx(np.tanh(5 * progress))


def mmd_by_hand(X: np.ndarray, Y: np.ndarray) -> float:
    """One pair of vectors at a time; kernels exp(−‖x − y‖² / b) as in the released code of A2GNN."""
    everyone = [*X, *Y]
    n = len(everyone)
    bandwidth = sum(((a - b) ** 2).sum() for a, b in itertools.product(everyone, repeat=2)) / (n * n - n)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return sum(np.exp(-((a - b) ** 2).sum() / (bandwidth / 4 * 2**i)) for i in range(5))

    def mean(A: np.ndarray, B: np.ndarray) -> float:
        return sum(kernel(a, b) for a in A for b in B) / (len(A) * len(B))

    return mean(X, X) + mean(Y, Y) - 2 * mean(X, Y)


def test_mmd_equals_a_double_loop() -> None:
    rng = np.random.default_rng(0)
    for n_source, n_target, shift in [(7, 7, 0.0), (9, 5, 1.0), (1, 6, 0.5), (3, 8, 10.0)]:
        X, Y = rng.standard_normal((n_source, 4)), rng.standard_normal((n_target, 4)) + shift
        found = squared_mmd(torch.from_numpy(X), torch.from_numpy(Y)).item()
        assert found == pytest.approx(mmd_by_hand(X, Y), rel=1e-9)
        single = squared_mmd(torch.from_numpy(X).float(), torch.from_numpy(Y).float()).item()
        assert single == pytest.approx(mmd_by_hand(X, Y), abs=1e-5)


def test_mmd_of_the_same_is_nothing_and_has_a_gradient_that_brings_together() -> None:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert squared_mmd(x, x).item() == pytest.approx(0, abs=1e-12)
    # All vectors the same one, as where every unit of the encoder is off.
    assert squared_mmd(torch.zeros(4, 3), torch.zeros(2, 3)).item() == 0
    source, target = x.clone().requires_grad_(), x + 1.0
    before = squared_mmd(source, target)
    before.backward()
    assert torch.isfinite(source.grad).all()
    assert squared_mmd(source.detach() - 0.1 * source.grad, target) < before


def test_mmd_gradient_takes_the_bandwidth_as_given() -> None:
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((4, 2)), rng.standard_normal((3, 2)) + 1
    everyone = np.concatenate([X, Y])
    bandwidth = ((everyone[:, None] - everyone) ** 2).sum() / (7 * 6)

    def fixed(X: np.ndarray) -> float:
        def mean(A: np.ndarray, B: np.ndarray) -> float:
            distance = ((A[:, None] - B) ** 2).sum(axis=-1)
            return sum(np.exp(-distance / (bandwidth * m)).mean() for m in (0.25, 0.5, 1, 2, 4))

        return mean(X, X) + mean(Y, Y) - 2 * mean(X, Y)

    x = torch.from_numpy(X).requires_grad_()
    squared_mmd(x, torch.from_numpy(Y)).backward()
    for i, j in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[i, j] = 1e-6
        assert x.grad[i, j].item() == pytest.approx((fixed(X + step) - fixed(X - step)) / 2e-6, abs=1e-7)


def test_mmd_alignment_averages_draws_with_replacement() -> None:
    rng = np.random.default_rng(2)
    source, target = rng.standard_normal((9, 3)), rng.standard_normal((4, 3)) + 1
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found = MMD.loss(None, torch.from_numpy(source), torch.from_numpy(target), 0.5).item()
        torch.manual_seed(5)
        expected = [
            mmd_by_hand(*(cells[torch.randint(len(cells), (100,)).numpy()] for cells in (source, target)))
            for _ in range(2)
        ]
    assert found == pytest.approx(np.mean(expected), rel=1e-9)


def test_domain_loss_is_the_mean_cross_entropy_over_the_cells_of_both(model: AsymmetricAdapter) -> None:
    rng = np.random.default_rng(3)
    source, target = rng.standard_normal((12, 12)), rng.standard_normal((5, 12))
    p = arrays(model)
    log_proba = log_softmax(
        np.concatenate([source, target]) @ p["discriminator.weight"].T + p["discriminator.bias"], axis=1
    )
    expected = -(log_proba[:12, 0].sum() + log_proba[12:, 1].sum()) / 17
    found = ADVERSARY.loss(model, torch.from_numpy(source).float(), torch.from_numpy(target).float(), 0.3)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("progress", [0.0, 0.05, 0.5])
def test_encoder_gets_the_reversed_the_discriminator_the_whole_gradient(
    model: AsymmetricAdapter, domains: Domains, progress: float
) -> None:
    source, target = (model.encode(*domain.tensors("cpu"), n) for domain, n in zip(domains[:2], (0, 10), strict=True))
    domain = torch.tensor([0] * len(source) + [1] * len(target))
    plain = torch.nn.functional.cross_entropy(model.discriminator(torch.cat([source, target])), domain)
    aligned = ADVERSARY.loss(model, source, target, progress)
    encoder = [*model.first.parameters(), *model.second.parameters()]
    for parameters, factor in ((encoder, -np.tanh(5 * progress)), (list(model.discriminator.parameters()), 1.0)):
        found = torch.autograd.grad(aligned, parameters, retain_graph=True)
        expected = torch.autograd.grad(plain, parameters, retain_graph=True)
        assert any(gradient.abs().max() > 1e-3 for gradient in expected)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, factor * b, atol=1e-7, rtol=1e-4)


@each_alignment
def test_training_is_the_published_optimization(domains: Domains, alignment: str) -> None:
    """Five epochs against the formulas in dense double precision, with update rules and reversal written out."""
    source, target, labels, _ = domains
    n_epochs, K = 5, 3
    small = {"dropout": 0.0, "n_epochs": n_epochs, "n_propagations": K, "n_hidden": 12, "adversary_weight": 0.5}
    recipe = replace(RECIPES[alignment], **small)
    of_kind = "adversary" if alignment == "adversarial" else "mmd"
    weight, lr, weight_decay = (getattr(recipe, f"{of_kind}_{name}") for name in ("weight", "lr", "weight_decay"))
    proba, encoded_source, encoded_target, history = train_asymmetric_adapter(
        source, target, labels, 3, recipe, **ON_CPU
    )

    X = [torch.from_numpy(domain.X) for domain in (source, target)]
    A = [torch.from_numpy(domain.adjacency.toarray()).double() for domain in (source, target)]
    y, code = torch.from_numpy(labels), torch.tensor([0] * len(source.X) + [1] * len(target.X))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = AsymmetricAdapter(6, 3, recipe)
        theta = {name: p.detach().double().requires_grad_() for name, p in start.named_parameters()}

        def forward(x: torch.Tensor, graph: torch.Tensor, n_propagations: int) -> torch.Tensor:
            hidden = torch.relu(graph @ x @ theta["first.lin.weight"].T + theta["first.bias"])
            deep = torch.linalg.matrix_power(graph, n_propagations) @ hidden @ theta["second.lin.weight"].T
            return torch.relu(deep + theta["second.bias"])

        memory = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in theta.items()}
        for epoch in range(n_epochs):
            Z = forward(X[0], A[0], 0), forward(X[1], A[1], K)
            logits = Z[0] @ theta["classifier.weight"].T + theta["classifier.bias"]
            classification = -torch.log_softmax(logits, dim=1)[torch.arange(len(y)), y].mean()
            if alignment == "adversarial":
                judged = torch.cat(Z) @ theta["discriminator.weight"].T + theta["discriminator.bias"]
                domain = -torch.log_softmax(judged, dim=1)[torch.arange(len(code)), code].mean()
                factor = -np.tanh(5 * epoch / n_epochs)
            else:
                domain = torch.stack(
                    [squared_mmd(*(z[torch.randint(len(z), (100,))] for z in Z)) for _ in range(2)]
                ).mean()
                factor = 1.0
            total = classification + weight * domain
            assert history["domain_loss"][epoch] == pytest.approx(domain.item(), rel=1e-3, abs=1e-6)
            assert history["loss"][epoch] == pytest.approx(total.item(), rel=1e-4)
            names = list(theta)
            own, aligning = (
                torch.autograd.grad(loss, [theta[name] for name in names], retain_graph=True, allow_unused=True)
                for loss in (classification, domain)
            )
            for name, a, b in zip(names, own, aligning, strict=True):
                if a is None and b is None:
                    continue
                sign = 1.0 if name.startswith("discriminator") else factor
                gradient = (0 if a is None else a) + (0 if b is None else sign * weight * b)
                gradient = gradient + weight_decay * theta[name].detach()
                first, second = memory[name]
                if alignment == "adversarial":
                    first = recipe.adversary_momentum * first + gradient
                    update = first
                else:
                    first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
                    unbiased = first / (1 - 0.9 ** (epoch + 1)), second / (1 - 0.999 ** (epoch + 1))
                    update = unbiased[0] / (unbiased[1].sqrt() + 1e-8)
                memory[name] = first, second
                theta[name] = (theta[name].detach() - lr * update).requires_grad_()
        Z = forward(X[0], A[0], 0), forward(X[1], A[1], K)
        logits = (Z[1] @ theta["classifier.weight"].T + theta["classifier.bias"]).detach().numpy()
    np.testing.assert_allclose(proba, softmax(logits, axis=1), atol=2e-5)
    np.testing.assert_allclose(encoded_source, Z[0].detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(encoded_target, Z[1].detach().numpy(), atol=1e-4)


@each_alignment
def test_training_learns_a_separable_toy(domains: Domains, alignment: str) -> None:
    source, target, labels, truth = domains
    proba, encoded_source, encoded_target, history = train_asymmetric_adapter(
        source, target, labels, 3, RECIPES[alignment], **ON_CPU
    )
    assert proba.shape == (45, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert (proba.argmax(axis=1) == truth).mean() > 0.95
    assert encoded_source.shape == (60, 128)
    assert encoded_target.shape == (45, 128)
    assert len(history["loss"]) == len(history["domain_loss"]) == 40
    weight = 0.001 if alignment == "adversarial" else 5.0
    classification = np.subtract(history["loss"], weight * np.array(history["domain_loss"]))
    assert classification[-1] < 0.3 * classification[0]


@each_alignment
def test_training_is_deterministic_and_leaves_the_global_generator_alone(domains: Domains, alignment: str) -> None:
    source, target, labels, _ = domains
    short = replace(RECIPES[alignment], n_epochs=3)
    torch.rand(1)  # away from the state that an earlier run could have left behind
    before = torch.random.get_rng_state()
    first = train_asymmetric_adapter(source, target, labels, 3, short, **ON_CPU)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    again = train_asymmetric_adapter(source, target, labels, 3, short, **ON_CPU)
    other = train_asymmetric_adapter(source, target, labels, 3, short, **{**ON_CPU, "seed": 1})
    for a, b in zip(first[:3], again[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[3] == again[3]
    assert not np.array_equal(first[0], other[0])
