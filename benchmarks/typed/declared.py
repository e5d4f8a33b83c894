"""The same models by dynamic declaration (``benchmarks/dynamic``): a graph of operations for each
sample, batched by signature. A sample is a list of vertices, children first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from typed.contenders import LR, Indices, Whole
from typed.graphs import children_of

Vertex = tuple[str, list[int], dict[str, int]]
"""Type, children, and ids by input."""
Declare = Callable[[list[Vertex]], list[int]]
_EPS = 1e-10
ONES = "ones"


class Cells:
    """Parameters by name, and what the models have in common."""

    def __init__(self, g: Any, w: Mapping[str, int]) -> None:
        self.g, self.w = g, w

    def affine(self, layer: str, x: int) -> int:
        """The linear layer of this path."""
        return int(self.g.affine(self.w.get(f"{layer}.bias", -1), self.w[f"{layer}.weight"], x))

    def look(self, layer: str, number: int) -> int | None:
        """A row of the embedding; None where there is no id."""
        return None if number < 0 else int(self.g.lookup(self.w[f"{layer}.weight"], number))

    def gates(self, layer: str, x: int | None, u: str, h: int | None) -> int:
        """W x + U h + b without what is not there."""
        own = self.g.parameter(self.w[f"{layer}.bias"]) if x is None else self.affine(layer, x)
        return int(own if h is None else self.g.add(own, self.affine(u, h)))

    def loss(self, layer: str, h: int, label: int) -> list[int]:
        """The loss of a classifier, if there is a label."""
        return [self.g.pick_neg_log_softmax(self.affine(layer, h), label)] if label >= 0 else []

    def part(self, x: int, number: int, size: int) -> int:
        """One of the gates that stand in a vector."""
        return int(self.g.pick_range(x, number * size, (number + 1) * size))

    def lstm(self, gates: int, c: int | None, size: int) -> tuple[int, int]:
        """(h, c) from the gates i, f, g, o."""
        g = self.g
        i, new, o = (self.part(gates, k, size) for k in (0, 2, 3))
        cell = g.cmult(g.logistic(i), g.tanh(new))
        if c is not None:
            cell = g.add(g.cmult(g.logistic(self.part(gates, 1, size)), c), cell)
        return g.cmult(g.logistic(o), g.tanh(cell)), cell


def tree(g: Any, w: Mapping[str, int], hidden: int) -> Declare:
    """See ``functions.tree``."""
    cells = Cells(g, w)

    def declare(sample: list[Vertex]) -> list[int]:
        hs, cs, losses = [], [], []
        for kind, below, ids in sample:
            if kind == "leaf":
                x = cells.look("leaf.embedding", ids["word"])
                assert x is not None
                iou = cells.affine("leaf.w", x)
            else:
                iou = cells.affine(f"{kind}.u", g.concat([hs[k] for k in below]))
            i, o, u = (cells.part(iou, k, hidden) for k in range(3))
            c = g.cmult(g.logistic(i), g.tanh(u))
            if below:
                kept = [
                    g.cmult(g.logistic(cells.part(iou, 3 + j, hidden)), cs[k])
                    for j, k in enumerate(below)
                ]
                c = g.sum([c, *kept])
            hs.append(g.cmult(g.logistic(o), g.tanh(c)))
            cs.append(c)
            losses += cells.loss("leaf.classifier", hs[-1], ids["label"])
        return losses

    return declare


def lattice(g: Any, w: Mapping[str, int], hidden: int) -> Declare:
    """See ``functions.lattice``."""
    cells = Cells(g, w)

    def word(ids: dict[str, int], h: int, c: int) -> int:
        x = cells.look("char.embedding", ids["word"])
        gates = cells.gates("word.w", x, "word.u", h)
        i, f, new = (cells.part(gates, k, hidden) for k in range(3))
        return int(g.add(g.cmult(g.logistic(f), c), g.cmult(g.logistic(i), g.tanh(new))))

    def declare(sample: list[Vertex]) -> list[int]:
        hs: list[int | None] = []
        cs: list[int] = []
        losses: list[int] = []
        for kind, below, ids in sample:
            if kind == "word":
                h = hs[below[0]]
                assert h is not None
                cs.append(word(ids, h, cs[below[0]]))
                hs.append(None)
                continue
            words = [cs[k] for k in below if hs[k] is None]
            before = [k for k in below if hs[k] is not None]
            x = cells.look("char.embedding", ids["character"])
            gates = cells.gates("char.w", x, "char.u", hs[before[0]] if before else None)
            i = g.logistic(cells.part(gates, 0, hidden))
            new = g.tanh(cells.part(gates, 3, hidden))
            if words:
                links = [cells.gates("char.w_link", x, "char.u_link", cell) for cell in words]
                weights = [g.exp(g.logistic(link)) for link in links]
                own = g.exp(i)
                shares = [g.cmult(a, b) for a, b in zip(weights, words, strict=True)]
                c = g.cdiv(g.sum([g.cmult(own, new), *shares]), g.sum([own, *weights]))
            else:
                c = g.cmult(i, new)
                if before:
                    f = g.logistic(cells.part(gates, 1, hidden))
                    c = g.add(g.cmult(f, cs[before[0]]), c)
            hs.append(g.cmult(g.logistic(cells.part(gates, 2, hidden)), g.tanh(c)))
            cs.append(c)
            losses += cells.loss("char.classifier", hs[-1], ids["label"])
        return losses

    return declare


def tagger(g: Any, w: Mapping[str, int], hidden: int) -> Declare:
    """See ``functions.tagger``."""
    cells = Cells(g, w)
    letters = hidden // 4
    ways = ("before", "after")

    def to_gates(xs: tuple[int, int]) -> dict[str, int]:
        return {way: cells.affine(f"word.to_{way}", x) for way, x in zip(ways, xs, strict=True)}

    def declare(sample: list[Vertex]) -> list[int]:
        hs: list[int] = []
        cs: list[int | None] = []
        gates: dict[int, dict[str, int]] = {}  # of words
        losses: list[int] = []
        kinds = [kind for kind, _, _ in sample]
        for number, (kind, below, ids) in enumerate(sample):
            h, c = -1, None
            last = next((k for k in below if kinds[k] == kind), None)
            before, cell = (None, None) if last is None else (hs[last], cs[last])
            if kind == "word":
                x = cells.look("word.embedding", ids["word"])
                assert x is not None
                gates[number] = to_gates((x, x))
            elif kind == "spelled":
                both = g.concat([hs[k] for k in below])
                x_before, x_after = (cells.affine(f"spelled.join_{way}", both) for way in ways)
                gates[number] = to_gates((x_before, x_after))
            elif kind == "tag":
                both = g.concat([hs[k] for k in below])
                losses += cells.loss("tag.classifier", both, ids["label"])
            elif kind in ways:
                read = gates[next(k for k in below if k in gates)][kind]
                bias = w[f"{kind}.u.bias"]
                own = g.parameter(bias) if before is None else cells.affine(f"{kind}.u", before)
                h, c = cells.lstm(g.add(read, own), cell, hidden)
            else:
                x = cells.look(f"{kind}.embedding", ids["letter"])
                h, c = cells.lstm(cells.gates(f"{kind}.w", x, f"{kind}.u", before), cell, letters)
            hs.append(h)
            cs.append(c)
        return losses

    return declare


def attention(g: Any, w: Mapping[str, int], hidden: int) -> Declare:
    """See ``functions.attention``. A sum over a vector, and a number times a vector, are products
    with ones: parameters too, so that only the time of an update counts."""
    cells = Cells(g, w)
    row, column = w[f"{ONES}.row"], w[f"{ONES}.column"]

    def attend(query: int | None, source: list[int]) -> int:
        if query is None:  # equal weights, as those of a query of zeros
            scores = [g.input([0.0]) for _ in source]
        else:
            query = cells.affine("attend.query", query)
            scores = [g.affine(-1, row, g.cmult(query, h)) for h in source]
        weights = [g.exp(score) for score in scores]
        shares = [g.cmult(g.affine(-1, column, a), h) for a, h in zip(weights, source, strict=True)]
        return int(g.cdiv(g.sum(shares), g.affine(-1, column, g.sum(weights))))

    def declare(sample: list[Vertex]) -> list[int]:
        hs: list[int] = []
        cs: list[int | None] = []
        losses: list[int] = []
        kinds = [kind for kind, _, _ in sample]
        for kind, below, ids in sample:
            before = [k for k in below if kinds[k] in (kind, "encode", "decode")]
            if kind == "attend":
                query = next((hs[k] for k in below if kinds[k] == "decode"), None)
                hs.append(attend(query, [hs[k] for k in below if kinds[k] == "encode"]))
                cs.append(None)
                continue
            x = cells.look("encode.embedding", ids["word"])
            assert x is not None
            if kind == "decode":
                x = g.concat([x, *(hs[k] for k in below if kinds[k] == "attend")])
            h = hs[before[0]] if before else None
            c = cs[before[0]] if before else None
            h, c = cells.lstm(cells.gates(f"{kind}.w", x, f"{kind}.u", h), c, hidden)
            hs.append(h)
            cs.append(c)
            if kind == "decode":
                losses += cells.loss("decode.classifier", h, ids["label"])
        return losses

    return declare


#: Of each model: how a sample is declared, and which types have which input.
MODELS: dict[str, tuple[Callable[[Any, Mapping[str, int], int], Declare], dict[str, list[str]]]] = {
    "tree": (tree, {"word": ["leaf"], "label": []}),
    "lattice": (lattice, {"character": ["char"], "label": ["char"], "word": ["word"]}),
    "tagger": (tagger, {"word": ["word"], "letter": ["forth", "back"], "label": ["tag"]}),
    "attention": (attention, {"word": ["encode", "decode"], "label": ["decode"]}),
}


def sample(ours: Whole, inputs: Mapping[str, Sequence[str]], number: int) -> list[Vertex]:
    """The vertices of a sample; an input without types is one of all."""
    graph, arrays = ours.dataset[number]
    rows = {name: iter(arrays[name].tolist()) for name in inputs}

    def ids(kind: str) -> dict[str, int]:
        return {name: next(rows[name]) for name, of in inputs.items() if kind in of or not of}

    kinds = [str(kind) for kind in graph.types or ()]
    return [(k, below, ids(k)) for k, below in zip(kinds, children_of(graph), strict=True)]


class Declared:
    """A model by dynamic declaration; `ours` has its weights and samples."""

    def __init__(self, name: str, ours: Whole, hidden: int, policy: str) -> None:
        import dynamic

        declare, self._inputs = MODELS[name]
        self._ours = ours
        self._known: dict[int, list[Vertex]] = {}
        self.parameters = dynamic.Parameters()
        numbers = {}
        for path, value in ours.model.state_dict().items():
            in_rows = path.endswith("embedding.weight")
            numbers[path] = self.parameters.add(path, np.asarray(value, np.float32), in_rows)
        if name == "attention":
            for side, shape in (("row", (1, hidden)), ("column", (hidden, 1))):
                ones = np.ones(shape, np.float32)
                numbers[f"{ONES}.{side}"] = self.parameters.add(f"{ONES}.{side}", ones, False)
        self.graph = dynamic.Graph(self.parameters, policy)
        self._declare = declare(self.graph, numbers, hidden)
        dynamic.set_num_threads(1)

    def _sample(self, number: int) -> list[Vertex]:
        found = self._known.get(number)
        if found is None:
            found = self._known[number] = sample(self._ours, self._inputs, number)
        return found

    def see(self, indices: Indices) -> None:
        """Samples as Python objects, made before the clock starts, as for other peers."""
        self._seen = [self._sample(int(i)) for i in indices]

    def _run(self, given: list[list[Vertex]]) -> int:
        self.parameters.zero_gradients()
        self.graph.renew()
        losses = [x for sample in given for x in self._declare(sample)]
        loss = int(self.graph.sum(losses))
        self.graph.forward(loss)
        return loss

    def loss(self) -> float:
        return float(self.graph.value(self._run(self._seen))[0, 0])

    def train(self) -> None:
        self.graph.backward(self._run(self._seen))

    def infer(self) -> None:
        self._run(self._seen)

    def step(self, indices: Indices) -> None:
        self.graph.backward(self._run([self._sample(int(i)) for i in indices]))
        self.parameters.adagrad(LR, _EPS)

    def batches(self) -> int:
        """Batches of operations of forward."""
        self.graph.reset_account()
        self.infer()
        return int(self.graph.account()["batches"])
