"""The dependency Tree-LSTM computes what it says, and needs relations for what it learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import load_example
from numpy import typing as npt
from test_examples import run

import cavs
from cavs import data, nn

Array = npt.NDArray[np.float64]
SIZE, CLASSES = 4, 3
example = load_example("dependency_lstm")


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def logits(tree: data.AnnotatedTree, word: Any, relation: Any, p: dict[str, Any]) -> Array:
    """Of the root, vertex by vertex; `relation` holds the number of each vertex's relation."""

    def visit(v: int) -> tuple[Array, Array]:
        x = p["embedding.weight"][word[v]] if word[v] >= 0 else np.zeros(SIZE)
        below, inner = np.zeros(SIZE), np.zeros(SIZE)
        for k in tree.graph.children[v]:
            h, c = visit(k)
            r = p["relation.weight"][relation[k]]
            h = r * h if r.size == SIZE else r.reshape(SIZE, SIZE) @ h
            f = sigmoid(p["w_f.weight"] @ x + p["w_f.bias"] + p["u_f.weight"] @ h)
            below, inner = below + h, inner + f * c
        gates = p["w_iou.weight"] @ x + p["w_iou.bias"] + p["u_iou.weight"] @ below
        i, o, u = np.split(gates, 3)
        c = sigmoid(i) * np.tanh(u) + inner
        return sigmoid(o) * np.tanh(c), c

    return np.asarray(p["classifier.weight"] @ visit(tree.root)[0] + p["classifier.bias"])


@pytest.mark.parametrize("kind", ["matrix", "vector"])
def test_logits_are_those_of_a_recursion(kind: str) -> None:
    rng = np.random.default_rng(3)
    trees = [example.sentence(rng) for _ in range(5)]
    classes = data.Vocabulary(["chases", "flees", "meets"], unknown=None)
    hidden = [example.hide_root(tree, classes) for tree in trees]
    words, _, relations = data.annotated_vocabularies(hidden)
    dataset = data.annotated_dataset(hidden, words, labels=classes, relations=relations)
    nn.init.manual_seed(1)
    function = example.DependencyLSTM(len(words), len(relations), CLASSES, SIZE, kind)
    model = cavs.compile(function, dtype="float64")
    for parameter in model.parameters():
        parameter.data[...] += rng.normal(0, 0.3, parameter.shape)  # no two relations alike
    graphs, inputs = dataset.batch(range(5))
    found = model(graphs, **inputs)["logits"].data[graphs.roots]
    for tree, row in zip(hidden, found, strict=True):
        expected = logits(
            tree,
            words.encode(tree.tokens),
            relations.encode(tree.relations),
            {name: np.asarray(value) for name, value in model.state_dict().items()},
        )
        np.testing.assert_allclose(row, expected, rtol=1e-10)


def test_the_root_word_is_hidden_and_its_label() -> None:
    tree = example.sentence(np.random.default_rng(0))
    verb = tree.tokens[tree.root]
    hidden = example.hide_root(tree, data.Vocabulary([verb], unknown=None))
    assert hidden.tokens == tuple(None if word == verb else word for word in tree.tokens)
    assert hidden.labels == tuple(verb if word == verb else None for word in tree.tokens)
    rare = example.hide_root(tree, data.Vocabulary(["sings"], unknown=None))
    assert set(rare.labels) == {None}


def write_conllu(path: Path, trees: list[data.AnnotatedTree], relation: str | None) -> None:
    """With `relation` at all words but the root, or those of the trees."""
    with path.open("w", encoding="utf-8") as file:
        for tree in trees:
            parents = {k: v + 1 for v, below in enumerate(tree.graph.children) for k in below}
            for v, word in enumerate(tree.tokens):
                head = parents.get(v, 0)
                name = (relation or tree.relations[v]) if head else "root"
                row = [v + 1, word, "_", "_", "_", "_", head, name, "_", "_"]
                file.write("\t".join(map(str, row)) + "\n")
            file.write("\n")


def test_what_it_learns_is_in_the_relations(tmp_path: Path) -> None:
    """A file is read as CoNLL-U; the same trees with one relation for all teach little."""
    pytest.importorskip("conllu")
    rng = np.random.default_rng(0)
    trees = [example.sentence(rng) for _ in range(1000)]
    write_conllu(tmp_path / "full.conllu", trees, None)
    write_conllu(tmp_path / "bare.conllu", trees, "dep")
    arguments = ("--epochs", "3", "--data")
    full = run("dependency_lstm.py", *arguments, str(tmp_path / "full.conllu"))
    bare = run("dependency_lstm.py", *arguments, str(tmp_path / "bare.conllu"))
    assert full == run("dependency_lstm.py", "--epochs", "3", "--sentences", "800")
    assert full[-1] > 95
    assert bare[-1] < 65
