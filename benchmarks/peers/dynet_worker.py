"""The child-sum Tree-LSTM in DyNet, run by DyNet's own interpreter at the other end of two pipes.

Usage: dynet_worker.py FOLDER AUTOBATCH RATE, where FOLDER holds state.npz (weights by name) and
batches.npz (ptr, child_ptr, children, word, label of each batch, with its number appended). Each
line of standard input is a request, each line of standard output its answer:

- ``train N``, ``infer N``: a step over batch N; the answer is its number of graphs.
- ``loss N``: the sum of its losses.
- ``gradients N FILE``: writes gradients by name to FILE (.npz) and answers with it.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import dynet_config
import numpy as np
from denormals import flush_denormals

dynet_config.set(mem=2048, autobatch=int(sys.argv[2]), random_seed=1)
import dynet as dy  # noqa: E402  (its settings come first)

GATES = ("i", "o", "u")


class Tree:
    """One graph as Python lists: children, word and label of each vertex, and the roots."""

    def __init__(self, children: list[list[int]], words: list[int], labels: list[int]) -> None:
        self.children, self.words, self.labels = children, words, labels
        below = {child for row in children for child in row}
        self.roots = [vertex for vertex in range(len(words)) if vertex not in below]


class Model:
    """Parameters, one matrix a gate, and the expressions of a batch."""

    def __init__(self, state: dict[str, np.ndarray], learning_rate: float) -> None:
        self.collection = dy.ParameterCollection()
        self.embedding = self.collection.lookup_parameters_from_numpy(state["embedding.weight"])
        self.parameters: dict[str, Any] = {}
        for name in ("w_iou.weight", "u_iou.weight", "w_iou.bias"):
            for gate, part in zip(GATES, np.split(state[name], 3), strict=True):
                self.add(f"{name}.{gate}", part)
        for name in ("u_f.weight", "w_f.bias", "classifier.weight", "classifier.bias"):
            self.add(name, state[name])
        self.trainer = dy.AdagradTrainer(self.collection, learning_rate=learning_rate, eps=1e-20)
        self.trainer.set_clip_threshold(-1)  # the others clip no gradients

    def add(self, name: str, value: np.ndarray) -> None:
        value = np.ascontiguousarray(value, np.float32)
        self.parameters[name] = self.collection.parameters_from_numpy(value)

    def loss(self, trees: list[Tree]) -> Any:
        """Declares a new graph; returns the sum of the losses over all vertices of all trees."""
        dy.renew_cg()
        # One expression for each graph: a parameter that is used directly is looked up at every
        # use.
        e = {name: parameter.expr(update=True) for name, parameter in self.parameters.items()}
        self.leaf = [(e[f"w_iou.bias.{gate}"], e[f"w_iou.weight.{gate}"]) for gate in GATES]
        self.inner = [(e[f"w_iou.bias.{gate}"], e[f"u_iou.weight.{gate}"]) for gate in GATES]
        self.forget = e["w_f.bias"], e["u_f.weight"]
        self.classifier = e["classifier.bias"], e["classifier.weight"]
        losses: list[Any] = []
        for tree in trees:
            for root in tree.roots:
                self.visit(tree, root, losses)
        return dy.esum(losses)

    def visit(self, tree: Tree, vertex: int, losses: list[Any]) -> tuple[Any, Any]:
        """h and c of a vertex, its children's first; appends the loss of each."""
        children = tree.children[vertex]
        if children:
            states = [self.visit(tree, child, losses) for child in children]
            x = dy.esum([h for h, _ in states])
            weights = self.inner
        else:
            states = []
            x = self.embedding[tree.words[vertex]]
            weights = self.leaf
        i, o, u = (dy.affine_transform([bias, weight, x]) for bias, weight in weights)
        c = dy.cmult(dy.logistic(i), dy.tanh(u))
        if states:
            b_f, u_f = self.forget
            kept = [
                dy.cmult(dy.logistic(dy.affine_transform([b_f, u_f, h])), below)
                for h, below in states
            ]
            c = dy.esum([c, *kept])
        h = dy.cmult(dy.logistic(o), dy.tanh(c))
        b_c, w_c = self.classifier
        label = tree.labels[vertex]
        if label >= 0:
            losses.append(dy.pickneglogsoftmax(dy.affine_transform([b_c, w_c, h]), label))
        return h, c

    def gradients(self, trees: list[Tree]) -> dict[str, np.ndarray]:
        """Gradients by name; of the embedding, the rows of the distinct words."""
        loss = self.loss(trees)
        loss.forward()
        loss.backward()
        found = {name: p.grad_as_array().copy() for name, p in self.parameters.items()}
        for name in ("w_iou.weight", "u_iou.weight", "w_iou.bias"):
            found[name] = np.concatenate([found.pop(f"{name}.{gate}") for gate in GATES])
        words = sorted({word for tree in trees for word in tree.words if word >= 0})
        found["embedding.weight"] = self.embedding.grad_as_array()[words]
        for parameter in (*self.parameters.values(), self.embedding):
            parameter.scale_gradient(0.0)
        return found


def read_batches(path: Path) -> list[list[Tree]]:
    with np.load(path) as arrays:
        count = len([name for name in arrays.files if name.startswith("child_ptr")])
        batches = []
        for number in range(count):
            ptr, child_ptr, children, word, label = (
                arrays[f"{name}{number}"].tolist()
                for name in ("ptr", "child_ptr", "children", "word", "label")
            )
            trees = []
            for first, last in pairwise(ptr):
                rows = [
                    [child - first for child in children[child_ptr[v] : child_ptr[v + 1]]]
                    for v in range(first, last)
                ]
                trees.append(Tree(rows, word[first:last], label[first:last]))
            batches.append(trees)
    return batches


def answer(model: Model, batches: list[list[Tree]], request: list[str]) -> object:
    """Fulfils a request; returns the content of its answer."""
    verb, trees = request[0], batches[int(request[1]) % len(batches)]
    if verb == "train":
        loss = model.loss(trees)
        loss.value()
        loss.backward()
        model.trainer.update()
        return len(trees)
    if verb == "infer":
        model.loss(trees).value()
        return len(trees)
    if verb == "loss":
        return model.loss(trees).value()
    if verb == "gradients":
        np.savez(request[2], **model.gradients(trees))
        return request[2]
    raise ValueError(f"[dynet_worker] expected train, infer, loss or gradients, got {verb}")


def main() -> None:
    flush_denormals()
    folder = Path(sys.argv[1])
    with np.load(folder / "state.npz") as arrays:
        state = {name: arrays[name] for name in arrays.files}
    model, batches = Model(state, float(sys.argv[3])), read_batches(folder / "batches.npz")
    print("ready", flush=True)
    for line in sys.stdin:
        print(answer(model, batches, line.split()), flush=True)


if __name__ == "__main__":
    main()
