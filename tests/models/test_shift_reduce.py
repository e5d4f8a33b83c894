"""The shift-reduce parser: against its equations, its gradient, and what it decides by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import (
    LabelledTree,
    Vocabulary,
    left_branching,
    parse_tree,
    right_branching,
    transition_dataset,
)
from cavs.errors import InputError
from cavs.models import ShiftReduceParser
from cavs.training import parse
from cavs.training.tasks.parser import Parsing

TREES = [
    parse_tree("(1 (1 a) (1 (1 (1 b) (1 c)) (1 d)))"),
    parse_tree("(1 (1 (1 d) (1 a)) (1 (1 b) (1 (1 e) (1 a))))"),
    parse_tree("(1 c)"),
    parse_tree("(1 (1 e) (1 b))"),
]
VOCABULARY = Vocabulary(["<unk>", "a", "b", "c", "d"])
DATA = transition_dataset(TREES, VOCABULARY)
SIZE = 6
SENTENCES = [list("abcde"), ["c"], list("dda"), list("bacadab"), list("ab")]


def make(dtype: str = "float64", scale: float = 1.0, seed: int = 9, **dropout: Any) -> cavs.Program:
    cavs.nn.init.manual_seed(seed)
    parser = ShiftReduceParser(len(VOCABULARY), 4, SIZE, **dropout)
    for _, parameter in parser.named_parameters():
        parameter.data[...] *= scale
    return cavs.compile(parser, dtype=dtype, seed=3)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(gates: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * before + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


class Oracle:
    """The parser by its equations, an item at a time."""

    def __init__(self, program: cavs.Program, words: list[str]) -> None:
        self.b = {n: x.data for n, x in program["buffer"].named_parameters()}
        self.p = {n: x.data for n, x in program["stack"].named_parameters()}
        self.ids = VOCABULARY.encode(words).tolist()
        self.fronts = [np.zeros(SIZE)]
        h = c = np.zeros(SIZE)
        for word in reversed(self.ids):
            gates = self.b["w.weight"] @ self.p["embedding.weight"][word] + self.b["w.bias"]
            h, c = lstm(gates + self.b["u.weight"] @ h, c)
            self.fronts.insert(0, h)
        zeros = (np.zeros(SIZE),) * 4
        self.stack = [self.item(np.zeros(4), zeros, zeros, zeros)]
        self.read = 0

    def item(self, x: np.ndarray, below: tuple, left: tuple, right: tuple) -> tuple:
        p = self.p
        gates = p["w.weight"] @ x + p["w.bias"]
        gates = gates + p["u_left.weight"] @ left[0] + p["u_right.weight"] @ right[0]
        i, f_left, f_right, o, u = np.split(gates, 5)
        c = sigmoid(f_left) * left[1] + sigmoid(f_right) * right[1] + sigmoid(i) * np.tanh(u)
        h = sigmoid(o) * np.tanh(c)
        stack = p["w_stack.weight"] @ h + p["w_stack.bias"] + p["u_stack.weight"] @ below[2]
        return h, c, *lstm(stack, below[3])

    def logits(self) -> np.ndarray:
        h, _, s, _ = self.stack[-1]
        seen = np.concatenate([s, h, self.fronts[self.read]])
        hidden = np.tanh(self.p["hidden.weight"] @ seen + self.p["hidden.bias"])
        return self.p["out.weight"] @ hidden + self.p["out.bias"]

    def shift(self) -> None:
        zeros = (np.zeros(SIZE),) * 4
        x = self.p["embedding.weight"][self.ids[self.read]]
        self.stack.append(self.item(x, self.stack[-1], zeros, zeros))
        self.read += 1

    def reduce(self) -> None:
        below, left, right = self.stack[-3:]
        self.stack[-2:] = [self.item(np.zeros(4), below, left, right)]

    def possible(self) -> tuple[bool, bool]:
        return self.read < len(self.ids), len(self.stack) > 2


def loss_of(program: cavs.Program, numbers: list[int]) -> cavs.Tensor:
    return Parsing(VOCABULARY).loss(program, *DATA.batch(numbers))[0]


def test_words_are_dropped_where_that_is_asked_for() -> None:
    def losses(**dropout: Any) -> float:
        return loss_of(make(**dropout), [0, 1, 3]).item()

    rates: list[dict[str, Any]] = [{}, {"dropout": 0.5}, {"embedding_dropout": 0.5}]
    rates.append({"embedding_dropout": 0.5, "embedding_dropout_by": "id"})
    assert len({losses(**dropout) for dropout in rates}) == 4
    assert losses(dropout=0.5, embedding_dropout=0.0) == losses(dropout=0.5)
    program = make(embedding_dropout=0.5, embedding_dropout_by="id")
    assert all("dropout_by_id" in program[name].program for name in ("buffer", "stack"))


def test_the_loss_equals_its_equations() -> None:
    program = make(scale=2.0)
    expected = []
    for tree in TREES:
        oracle, nats = Oracle(program, tree.words()), 0.0
        for children in tree.graph.children:
            logits, free = oracle.logits(), all(oracle.possible())
            nats -= free * (logits[int(bool(children))] - np.logaddexp.reduce(logits))
            (oracle.reduce if children else oracle.shift)()
        expected.append(nats)
    assert sum(expected) > 1
    for number, nats in enumerate(expected):
        assert loss_of(program, [number]).item() == pytest.approx(nats, rel=1e-10, abs=1e-12)
    together = loss_of(program, [2, 1, 0, 3]).item()
    assert together == pytest.approx(sum(expected), rel=1e-10)


def test_gradients_equal_central_differences() -> None:
    program = make()
    loss_of(program, [0, 1, 2]).backward()
    rng = np.random.default_rng(0)
    for name, p in program.named_parameters():
        direction, values, before = rng.normal(size=p.shape), [], p.data.copy()
        for step in (1e-5, -1e-5):
            p.data[...] = before + step * direction
            values.append(loss_of(program, [0, 1, 2]).item())
        p.data[...] = before
        assert p.grad is not None, name
        found = float((np.asarray(p.grad) * direction).sum())
        assert found == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_decides_as_its_equations_do(seed: int) -> None:
    program = make(scale=6.0, seed=seed)
    for sentence, tree in zip(SENTENCES, parse(program, VOCABULARY, SENTENCES), strict=True):
        oracle = Oracle(program, sentence)
        assert tree.words() == sentence
        for children in tree.graph.children:
            shift, reduce = oracle.possible()
            choice = int(oracle.logits().argmax()) if shift and reduce else int(reduce)
            assert choice == bool(children)
            (oracle.reduce if choice else oracle.shift)()
        assert oracle.possible() == (False, False)


def test_a_batch_equals_its_sentences_alone() -> None:
    program = make("float32", scale=6.0, seed=2)
    together = parse(program, VOCABULARY, SENTENCES)
    assert together == [parse(program, VOCABULARY, [s])[0] for s in SENTENCES]
    assert parse(program, VOCABULARY, []) == []


@pytest.mark.parametrize(("favoured", "branch"), [(0, right_branching), (1, left_branching)])
def test_one_action_only(favoured: int, branch: object) -> None:
    """All shifts first give right-branching trees, reducing at once left-branching ones."""
    program = make()
    program["stack"].function.out.bias.data[favoured] = 50.0
    assert callable(branch)
    assert parse(program, VOCABULARY, SENTENCES) == [branch(s) for s in SENTENCES]


def test_a_sentence_has_words() -> None:
    with pytest.raises(InputError, match=r"\[parse\] expected words, got none in sentence 1"):
        parse(make(), VOCABULARY, [["a"], []])


def test_it_learns_what_it_is_shown() -> None:
    """Brackets that follow from the words."""
    rng = np.random.default_rng(0)

    def tree_of(words: list[str]) -> LabelledTree:
        parts: list[str] = []
        for word in words:
            parts = [f"(1 {parts[0]} (1 b))"] if parts and word == "b" else [*parts, f"(1 {word})"]
            if len(parts) == 3:
                parts = [f"(1 {parts[0]} (1 {parts[1]} {parts[2]}))"]
        while len(parts) > 1:
            parts[-2:] = [f"(1 {parts[-2]} {parts[-1]})"]
        return parse_tree(parts[0])

    trees = [tree_of(["a", *rng.choice(["a", "b", "c"], 6)]) for _ in range(60)]
    data = transition_dataset(trees, VOCABULARY)
    program = make("float32")
    objective = Parsing(VOCABULARY)
    optimizer = cavs.optim.Adam(program.parameters(), lr=0.02)
    batches = [data.batch(range(len(trees)))]
    before = objective.evaluate(program, batches, lambda: False)
    for _ in range(60):
        objective.loss(program, *batches[0])[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    after = objective.evaluate(program, batches, lambda: False)
    assert before is not None
    assert after is not None
    assert after["f1"] > 0.95 > before["f1"] + 0.1
    assert objective.evaluate(program, batches, lambda: True) is None
