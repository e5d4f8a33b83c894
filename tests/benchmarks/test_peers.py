"""The peers of the benchmarks compute what cavs computes: loss, gradients, and steps of Adagrad."""

from __future__ import annotations

import importlib
import platform
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.bench.recipes import RECIPES, STATE, WORD, Recipe, draw_masks, make_optimizer
from cavs.models import ChildSumTreeLSTM

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
VOCABULARY, EMBEDDING, HIDDEN, CLASSES = 40, 300, 150, 5
PLAIN, SST = RECIPES["plain"], RECIPES["sst"]
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


def compiled(kind: Any = ChildSumTreeLSTM) -> cavs.Model:
    cavs.nn.init.manual_seed(0)
    return cavs.compile(kind(VOCABULARY, EMBEDDING, HIDDEN, CLASSES))


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


class Masked(ChildSumTreeLSTM):
    """The model with dropout by masks that the caller gives, written out."""

    word_dropout = state_dropout = 0.5

    def forward(self, v: cavs.Vertex) -> None:
        keep = 1 - self.word_dropout
        x = self.embedding(v.pull("word", dtype="int32")) * v.pull(WORD, EMBEDDING) / keep
        children = v.gather(h=self.hidden_size, c=self.hidden_size)
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(children.h.sum()), 3)
        f = ops.sigmoid(self.w_f(x) + self.u_f(children.h))
        c = ops.sigmoid(i) * ops.tanh(u) + (f * children.c).sum()
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        logits = self.classifier(h * v.pull(STATE, HIDDEN) / (1 - self.state_dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


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
    name: str,
    variant: str,
    monkeypatch: pytest.MonkeyPatch,
    threads: int = 1,
    recipe: Recipe = PLAIN,
) -> tuple[cavs.Model, list[tuple[cavs.GraphBatch, dict[str, Any]]], Any]:
    module = peer_module(name, monkeypatch)
    if variant not in module.VARIANTS:
        pytest.skip(f"{name} has no variant {variant} here")
    model, batches = compiled(), draw_batches()
    state = dict(model.state_dict())
    given = peer_batches(batches)
    return model, batches, module.make("tree-lstm", variant, state, given, recipe, threads)


@pytest.mark.parametrize("name", PEERS)
def test_what_a_peer_does_not_have_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = peer_module(name, monkeypatch)
    for workload, variant in (("tree-lstm", "other"), ("other", module.VARIANTS[0])):
        with pytest.raises(ValueError, match="got 'other'"):
            module.make(workload, variant, {}, [], PLAIN, 1)


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
        module.make("tree-lstm", module.VARIANTS[0], state, given, PLAIN, 1)


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
    optimizer = cavs.optim.Adagrad(model.parameters(), lr=PLAIN.lr)
    for step in range(12):
        number = step % len(batches)
        graphs, inputs = batches[number]
        loss = model(graphs, **inputs)["loss"].sum()
        assert peer.loss(number) == pytest.approx(float(loss.item()), rel=1e-3)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert peer.train_step(number) == graphs.num_graphs


# Training by the recipe of `cavs train`

MASKED = [
    ("nodes", "classifier"),
    ("nodes", "vertex"),
    ("levels", "classifier"),
    ("levels", "vertex"),
    ("levels-distinct", "classifier"),
    ("levels-distinct", "id"),
]


def masks_of(recipe: Recipe, word: Any) -> dict[str, Any]:
    """Of the words too, ones where the recipe drops none."""
    masks = draw_masks(recipe, {WORD: EMBEDDING, STATE: HIDDEN}, word)
    if recipe.masks == "id":
        for one in range(VOCABULARY):
            assert len(np.unique(masks[WORD][word == one], axis=0)) <= 1
    return masks


def masked_model(recipe: Recipe) -> cavs.Model:
    """With the probability of no word's dropout where the recipe has none."""
    model = compiled(Masked)
    function: Any = model.function
    function.word_dropout = recipe.embedding_dropout
    return cavs.compile(function)


@pytest.mark.parametrize(("variant", "masks"), MASKED)
def test_loss_and_gradients_equal_with_given_masks(
    variant: str, masks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = SST.with_masks(masks)
    _, batches, peer = start("torch_peer", variant, monkeypatch, recipe=recipe)
    model = masked_model(recipe)
    for number, (graphs, inputs) in enumerate(batches):
        given = masks_of(recipe, inputs["word"])
        assert (given[WORD] == 1).all() == (masks == "classifier")
        loss, expected = loss_and_gradients(model, graphs, inputs | given)
        assert peer.loss(number, given) == pytest.approx(loss, rel=RTOL)
        found = peer.gradients(number, given)
        for key in set(expected) - set(found):
            assert not np.any(expected[key]), key
        for key, value in found.items():
            scale = max(float(np.abs(expected[key]).max()), 1e-6)
            np.testing.assert_allclose(value, expected[key], rtol=0, atol=RTOL * scale, err_msg=key)


@pytest.mark.parametrize(("variant", "masks"), MASKED)
def test_training_steps_equal_with_given_masks(
    variant: str, masks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Decay that is seen within a dozen steps, and another rate of the embedding.
    recipe = replace(SST.with_masks(masks), weight_decay=0.05)
    _, batches, peer = start("torch_peer", variant, monkeypatch, recipe=recipe)
    model = masked_model(recipe)
    optimizer = make_optimizer(model.function, recipe)
    for step in range(12):
        number = step % len(batches)
        graphs, inputs = batches[number]
        given = masks_of(recipe, inputs["word"])
        loss = model(graphs, **inputs, **given)["loss"].sum()
        assert peer.loss(number, given) == pytest.approx(float(loss.item()), rel=1e-3)
        (loss * (1 / graphs.num_graphs)).backward()
        optimizer.step()
        optimizer.zero_grad()
        assert peer.train_with(number, given) == graphs.num_graphs


@pytest.mark.parametrize(("variant", "masks"), MASKED)
def test_masks_are_drawn_anew_in_training_and_not_in_inference(
    variant: str, masks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SST.with_masks(masks), lr=1e-30, embedding_lr=1e-30, weight_decay=0.0)
    model, batches, peer = start("torch_peer", variant, monkeypatch, recipe=recipe)
    torch = pytest.importorskip("torch")
    drawn = []
    uniform = torch.Tensor.uniform_
    monkeypatch.setattr(
        torch.Tensor, "uniform_", lambda x: drawn.append(tuple(x.shape)) or uniform(x)
    )
    graphs, inputs = batches[0]
    peer.train_step(0)
    elements = sum(int(np.prod(shape)) for shape in drawn)
    words = inputs["word"][inputs["word"] >= 0]
    rows = {"classifier": 0, "vertex": len(words), "id": len(np.unique(words))}[masks]
    assert elements == EMBEDDING * rows + HIDDEN * graphs.num_vertices
    drawn.clear()
    loss, _ = loss_and_gradients(model, graphs, inputs)
    assert peer.loss(0) == pytest.approx(loss, rel=RTOL)
    assert not drawn


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5])
def test_masks_have_the_share_of_zeros_asked_for(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    masks = importlib.import_module("peers.torch_masks").Masks(p, (400, 100))
    assert masks.scale == pytest.approx(1 / (1 - p))
    if p:
        drawn, again = masks.draw(300).clone(), masks.draw(300)
        assert drawn.shape == (300, 100)
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert float(drawn.mean()) == pytest.approx(1 - p, abs=0.02)
        assert float((drawn * again).mean()) == pytest.approx((1 - p) ** 2, abs=0.02)
        assert again is masks.last


@pytest.mark.parametrize("name", ["dgl_peer", "dynet_peer", "limit_peer", "dynamic"])
def test_peers_that_know_no_dropout_say_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module(f"peers.{name}")
    unsuitable = importlib.import_module("peers.protocol").UnsuitableError
    assert not hasattr(module, "MASKS")
    decay = replace(PLAIN, weight_decay=1e-4)
    for recipe in (SST, SST.without_regularization(), decay, replace(PLAIN, mean=True)):
        with pytest.raises(unsuitable, match="no dropout and no decay"):
            module.make("tree-lstm", module.VARIANTS[0], {}, [], recipe, 1)


def test_masks_that_leaves_of_a_word_cannot_share_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = peer_module("torch_peer", monkeypatch)
    unsuitable = importlib.import_module("peers.protocol").UnsuitableError
    for variant, masks in (("levels-distinct", "vertex"), ("levels", "id"), ("nodes", "id")):
        with pytest.raises(unsuitable, match=f"{variant} knows no {masks} masks"):
            module.make("tree-lstm", variant, {}, [], SST.with_masks(masks), 1)


def test_denormals_are_flushed_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("peers.denormals")
    done = []

    def multiply() -> bool:
        return bool((np.full(2, 2e-38, np.float32) * np.float32(0.1)).any())

    def in_a_thread() -> None:  # which takes its mode with it
        done.extend([multiply(), module.flush_denormals(), multiply()])

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    known = platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"
    assert done == [True, known, not known]
    assert multiply()
