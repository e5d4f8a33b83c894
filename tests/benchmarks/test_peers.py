"""The peers of the benchmarks compute what cavs computes: loss, gradients, and steps of Adagrad."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.models import ChildSumTreeLSTM

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
VOCABULARY, HIDDEN, CLASSES, LEARNING_RATE = 40, 150, 5, 0.05
RTOL = 1e-4


def peer_module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a peer; skips where it cannot run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module(f"peers.{name}")
    reason = module.available(1)
    if reason is not None:
        pytest.skip(reason)
    return module


def tree(leaves: int, generator: np.random.Generator) -> list[list[int]]:
    """Children by vertex of a random binary tree, in post-order as a treebank's."""
    children: list[list[int]] = []

    def build(size: int) -> int:
        split = int(generator.integers(1, size)) if size > 1 else 0
        below = [build(split), build(size - split)] if size > 1 else []
        children.append(below)
        return len(children) - 1

    build(leaves)
    return children


def draw_batches() -> list[tuple[cavs.GraphBatch, dict[str, Any]]]:
    """Batches of trees, single leaves among them, that share words."""
    generator = np.random.default_rng(0)
    batches = []
    for sizes in ([1, 7, 2, 20, 1], [9], [1], [30, 3]):
        trees = [tree(size, generator) for size in sizes]
        graphs = cavs.batch([cavs.InputGraph(children=children) for children in trees])
        arity = np.diff(graphs.child_ptr)
        words = generator.integers(0, VOCABULARY, len(arity))
        inputs = {
            "word": np.where(arity == 0, words, -1).astype(np.int32),
            "label": generator.integers(0, CLASSES, len(arity)).astype(np.int32),
        }
        batches.append((graphs, inputs))
    return batches


def peer_batches(batches: list[tuple[cavs.GraphBatch, dict[str, Any]]]) -> list[Any]:
    protocol = importlib.import_module("peers.protocol")
    return [
        protocol.PeerBatch(
            ptr=np.asarray(graphs.ptr, np.int64),
            child_ptr=np.asarray(graphs.child_ptr, np.int64),
            children=np.asarray(graphs.children, np.int64),
            inputs=inputs,
        )
        for graphs, inputs in batches
    ]


def compiled() -> cavs.Model:
    cavs.nn.init.manual_seed(0)
    return cavs.compile(ChildSumTreeLSTM(VOCABULARY, 300, HIDDEN, CLASSES))


def loss_and_gradients(
    model: cavs.Model, graphs: cavs.GraphBatch, inputs: dict[str, Any]
) -> tuple[float, dict[str, Any]]:
    loss = model(graphs, **inputs)["loss"].sum()
    loss.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        if grad is not None:
            gradients[name] = np.array(grad.values if isinstance(grad, cavs.RowSparse) else grad)
    model.zero_grad()
    return float(loss.item()), gradients


PEERS = {
    "torch_peer": ("nodes", "levels", "levels-distinct"),
    "dgl_peer": ("topological",),
    "dynet_peer": ("autobatch", "plain"),
    "limit_peer": ("avx512", "avx512-on-avx2"),
}
CASES = [
    pytest.param(module, variant, marks=pytest.mark.slow if module == "limit_peer" else [])
    for module, variants in PEERS.items()
    for variant in variants
]


def start(
    name: str, variant: str, monkeypatch: pytest.MonkeyPatch, threads: int = 1
) -> tuple[cavs.Model, list[tuple[cavs.GraphBatch, dict[str, Any]]], Any]:
    module = peer_module(name, monkeypatch)
    if variant not in module.VARIANTS:
        pytest.skip(f"{name} has no variant {variant} here")
    model, batches = compiled(), draw_batches()
    state = dict(model.state_dict())
    given = peer_batches(batches)
    return model, batches, module.make("tree-lstm", variant, state, given, LEARNING_RATE, threads)


@pytest.mark.parametrize("name", PEERS)
def test_what_a_peer_does_not_have_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = peer_module(name, monkeypatch)
    for workload, variant in (("tree-lstm", "other"), ("other", module.VARIANTS[0])):
        with pytest.raises(ValueError, match="came 'other'"):
            module.make(workload, variant, {}, [], LEARNING_RATE, 1)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_loss_and_gradients_equal(name: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches, peer = start(name, variant, monkeypatch)
    expect_equal(model, batches, peer)


@pytest.mark.slow
@pytest.mark.parametrize("variant", PEERS["limit_peer"])
def test_the_limit_with_two_threads_equals(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches, peer = start("limit_peer", variant, monkeypatch, threads=2)
    expect_equal(model, batches, peer)
    peer.close()


@pytest.mark.parametrize(
    ("children", "word", "label", "message"),
    [
        ([[], [], [], [0, 1, 2]], [0, 1, 2, -1], [0, 0, 0, 0], "binary trees"),
        ([[], [], [0, 1]], [0, 1, 2], [0, 0, 0], "words on leaves alone"),
        ([[], [], [0, 1]], [0, 1, -1], [0, -1, 0], "all labels"),
        ([[1, 2], [], []], [-1, 0, 1], [0, 0, 0], "children before their parents"),
    ],
)
def test_the_limit_refuses_what_it_does_not_know(
    children: list[list[int]],
    word: list[int],
    label: list[int],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = peer_module("limit_peer", monkeypatch)
    inputs = {"word": np.array(word, np.int32), "label": np.array(label, np.int32)}
    given = peer_batches([(cavs.batch([cavs.InputGraph(children=children)]), inputs)])
    state = dict(compiled().state_dict())
    with pytest.raises(importlib.import_module("peers.protocol").UnsuitableError, match=message):
        module.make("tree-lstm", module.VARIANTS[0], state, given, LEARNING_RATE, 1)


def test_dynet_tells_its_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, peer = start("dynet_peer", "autobatch", monkeypatch)
    before = peer.processor_seconds()
    begin = time.perf_counter()
    while peer.processor_seconds() == before and time.perf_counter() - begin < 60:
        peer.train_step(0)
    assert 0 < peer.processor_seconds() - before < 1
    peer.close()


def expect_equal(
    model: cavs.Model, batches: list[tuple[cavs.GraphBatch, dict[str, Any]]], peer: Any
) -> None:
    """Loss and gradients of all batches."""
    for number, (graphs, inputs) in enumerate(batches):
        loss, expected = loss_and_gradients(model, graphs, inputs)
        assert peer.loss(number) == pytest.approx(loss, rel=RTOL)
        assert peer.infer_step(number) == graphs.num_graphs
        found = peer.gradients(number)
        assert set(found) <= set(expected)
        for key in set(expected) - set(found):  # w_f.weight: no inner vertex has a word
            assert not np.any(expected[key]), key
        for key, value in found.items():
            scale = max(float(np.abs(expected[key]).max()), 1e-6)
            assert value.shape == expected[key].shape, key
            np.testing.assert_allclose(value, expected[key], rtol=0, atol=RTOL * scale, err_msg=key)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_training_steps_equal(name: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches, peer = start(name, variant, monkeypatch)
    optimizer = cavs.optim.Adagrad(model.parameters(), lr=LEARNING_RATE)
    for step in range(12):
        number = step % len(batches)
        graphs, inputs = batches[number]
        loss = model(graphs, **inputs)["loss"].sum()
        assert peer.loss(number) == pytest.approx(float(loss.item()), rel=1e-3)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert peer.train_step(number) == graphs.num_graphs
