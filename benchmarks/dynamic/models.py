"""The workloads as a user of dynamic declaration writes them: functions that declare one sample.

Each is made from a graph and the numbers of the parameters, which have the names and the layout of
the vertex program in ``cavs.models``. If weights of gates stand side by side there, and are faster
apart here, `Model.splits` splits them. Values that a sample does not need are not declared: no
product with zeros of a missing word or child, no classifier without a label. A value that does not
depend on the recurrence has a node of its own, so that it is batched over all vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynamic.samples import (
    Samples,
    chain_samples,
    feature_samples,
    lattice_samples,
    vertex_samples,
)

#: Declares the graph of one sample and returns the expressions of its losses.
Declare = Callable[[Any], list[int]]
Weights = Mapping[str, int]


def tree_lstm(g: Any, w: Weights, hidden: int) -> Declare:
    """Child-sum Tree-LSTM; a sample: (children, word, label) by vertex."""
    del hidden
    lookup, total, logistic, tanh, cmult = g.lookup, g.sum, g.logistic, g.tanh, g.cmult
    table, loss, gate = w["embedding.weight"], _classifier(g, w), _gate(g)
    i_, o_, u_ = _cells(w, "w_iou", "u_iou", 3)
    f_ = w["w_f.bias"], w["w_f.weight"], w["u_f.weight"]

    def declare(sample: Any) -> list[int]:
        hs: list[int] = []
        cs: list[int] = []
        losses: list[int] = []
        for children, word, label in sample:
            x = lookup(table, word) if word >= 0 else None
            before = _sum([hs[k] for k in children], total)
            terms = [cmult(logistic(gate(i_, x, before)), tanh(gate(u_, x, before)))]
            for k in children:
                terms.append(cmult(logistic(gate(f_, x, hs[k])), cs[k]))
            c = total(terms) if children else terms[0]
            h = cmult(logistic(gate(o_, x, before)), tanh(c))
            hs.append(h)
            cs.append(c)
            if label >= 0:
                losses.append(loss(h, label))
        return losses

    return declare


def tree_gru(g: Any, w: Weights, hidden: int) -> Declare:
    """Child-sum Tree-GRU; a sample: (children, word, label) by vertex."""
    del hidden
    lookup, total, cmult, one_minus = g.lookup, g.sum, g.cmult, g.one_minus
    logistic, tanh = g.logistic, g.tanh
    table, loss, gate = w["embedding.weight"], _classifier(g, w), _gate(g)
    z_, r_ = _cells(w, "w_zrn", "u_zr", 2)
    n_ = w["w_zrn.bias/2"], w["w_zrn.weight/2"], w["u_n.weight"]

    def declare(sample: Any) -> list[int]:
        hs: list[int] = []
        losses: list[int] = []
        for children, word, label in sample:
            x = lookup(table, word) if word >= 0 else None
            before = _sum([hs[k] for k in children], total)
            z = logistic(gate(z_, x, before))
            if before is None:
                h = cmult(one_minus(z), tanh(gate(n_, x, None)))
            else:
                r = logistic(gate(r_, x, before))
                n = tanh(gate(n_, x, cmult(r, before)))
                h = total([cmult(z, before), cmult(one_minus(z), n)])
            hs.append(h)
            if label >= 0:
                losses.append(loss(h, label))
        return losses

    return declare


def tree_fc(g: Any, w: Weights, hidden: int) -> Declare:
    """Tree-FC; a sample: (children, word, label) by vertex, at most two children."""
    lookup, concat, tanh, gate = g.lookup, g.concat, g.tanh, _gate(g)
    table, loss = w["embedding.weight"], _classifier(g, w)
    cell = w["w.bias"], w["w.weight"], w["u.weight"]

    def declare(sample: Any) -> list[int]:
        hs: list[int] = []
        losses: list[int] = []
        for children, word, label in sample:
            x = lookup(table, word) if word >= 0 else None
            states = [hs[k] for k in children]
            if len(states) == 1:
                states.append(g.input([0.0] * hidden))
            h = tanh(gate(cell, x, concat(states) if states else None))
            hs.append(h)
            if label >= 0:
                losses.append(loss(h, label))
        return losses

    return declare


def language_model(g: Any, w: Weights, hidden: int) -> Declare:
    """LSTM; a sample: (word, label) along a chain."""
    run, loss = _lstm(g, w, "", hidden), _classifier(g, w)

    def declare(sample: Any) -> list[int]:
        hs = run([word for word, _ in sample])
        return [loss(h, label) for h, (_, label) in zip(hs, sample, strict=True) if label >= 0]

    return declare


def bilstm_tagger(g: Any, w: Weights, hidden: int) -> Declare:
    """LSTMs in both directions; a sample: (word, label) along a chain."""
    forth, back = _lstm(g, w, "before.", hidden), _lstm(g, w, "after.", hidden)
    concat, loss = g.concat, _classifier(g, w, "after.")

    def declare(sample: Any) -> list[int]:
        words = [word for word, _ in sample]
        states = zip(forth(words), reversed(back(words[::-1])), sample, strict=True)
        return [loss(concat([a, b]), label) for a, b, (_, label) in states if label >= 0]

    return declare


def lattice_lstm(g: Any, w: Weights, hidden: int) -> Declare:
    """Lattice LSTM; a sample: (characters before, words as (where it begins, id), character, label)
    by character."""
    lookup, affine, pick_range, total = g.lookup, g.affine, g.pick_range, g.sum
    logistic, tanh, exp, cmult = g.logistic, g.tanh, g.exp, g.cmult
    table, words_table = w["char.embedding.weight"], w["word.embedding.weight"]
    loss, gate = _classifier(g, w, "char."), _gate(g)
    own_ = w["char.w.bias"], w["char.w.weight"], w["char.u.weight"]
    word_ = w["word.w.bias"], w["word.w.weight"], w["word.u.weight"]
    link_ = w["char.w_link.bias"], w["char.w_link.weight"], w["char.u_link.weight"]

    def word_cell(word: int, h: int, c: int) -> int:
        gates = gate(word_, lookup(words_table, word) if word >= 0 else None, h)
        i = logistic(pick_range(gates, 0, hidden))
        f = logistic(pick_range(gates, hidden, 2 * hidden))
        new = tanh(pick_range(gates, 2 * hidden, 3 * hidden))
        return int(total([cmult(f, c), cmult(i, new)]))

    def declare(sample: Any) -> list[int]:
        hs: list[int] = []
        cs: list[int] = []
        losses: list[int] = []
        for before, words, character, label in sample:
            x = lookup(table, character) if character >= 0 else None
            gates = gate(own_, x, _sum([hs[k] for k in before], total))
            i = logistic(pick_range(gates, 0, hidden))
            new = tanh(pick_range(gates, 3 * hidden, 4 * hidden))
            if words:
                cells = [word_cell(word, hs[k], cs[k]) for k, word in words]
                link = affine(*link_[:2], x) if x is not None else g.parameter(link_[0])
                weights = [
                    exp(logistic(total([link, affine(-1, link_[2], cell)]))) for cell in cells
                ]
                shares = [cmult(a, b) for a, b in zip(weights, cells, strict=True)]
                own = exp(i)
                c = g.cdiv(total([cmult(own, new), *shares]), total([own, *weights]))
            else:
                c = cmult(i, new)
                c_before = _sum([cs[k] for k in before], total)
                if c_before is not None:
                    f = logistic(pick_range(gates, hidden, 2 * hidden))
                    c = total([cmult(f, c_before), c])
            h = cmult(logistic(pick_range(gates, 2 * hidden, 3 * hidden)), tanh(c))
            hs.append(h)
            cs.append(c)
            if label >= 0:
                losses.append(loss(h, label))
        return losses

    return declare


def mv_rnn(g: Any, w: Weights, hidden: int) -> Declare:
    """MV-RNN; a sample: (children, word, label) by vertex, at most two children.

    Matrices stand column after column here and row after row there, so each is the other's
    transpose, as is the product with it.
    """
    lookup, affine, concat, matvec, tanh = g.lookup, g.affine, g.concat, g.matvec, g.tanh
    vectors, matrices, loss = w["vectors.weight"], w["matrices.weight"], _classifier(g, w)
    weight, weight_m = w["w.weight"], w["w_m.weight"]

    def declare(sample: Any) -> list[int]:
        ps: list[int] = []
        ms: list[int] = []
        losses: list[int] = []
        for children, word, label in sample:
            vector_terms = [lookup(vectors, word)] if word >= 0 else []
            matrix_terms = [lookup(matrices, word, hidden)] if word >= 0 else []
            if children:
                below = [ms[k] for k in children]
                if len(children) == 1:
                    below.append(g.input([0.0] * hidden**2, hidden))
                else:
                    left, right = (ps[k] for k in children)
                    crossed = concat([matvec(below[1], left), matvec(below[0], right)])
                    vector_terms.append(tanh(affine(-1, weight, crossed)))
                matrix_terms.append(affine(-1, weight_m, concat(below)))
            p = _sum(vector_terms, g.sum)
            m = _sum(matrix_terms, g.sum)
            ps.append(g.input([0.0] * hidden) if p is None else p)
            ms.append(g.input([0.0] * hidden**2, hidden) if m is None else m)
            if label >= 0:
                losses.append(loss(ps[-1], label))
        return losses

    return declare


def dag_rnn(g: Any, w: Weights, hidden: int) -> Declare:
    """DAG-RNN; a sample: (children, features, label) by vertex."""
    del hidden
    given, tanh, total = g.input, g.tanh, g.sum
    gate, loss = _gate(g), _classifier(g, w)
    cell = w["w.bias"], w["w.weight"], w["u.weight"]

    def declare(sample: Any) -> list[int]:
        hs: list[int] = []
        losses: list[int] = []
        for children, features, label in sample:
            h = tanh(gate(cell, given(features), _sum([hs[k] for k in children], total)))
            hs.append(h)
            if label >= 0:
                losses.append(loss(h, label))
        return losses

    return declare


def _classifier(g: Any, w: Weights, prefix: str = "") -> Callable[[int, int], int]:
    """A function that takes (state, label) and returns the loss of a linear classifier."""
    affine, pick_neg_log_softmax = g.affine, g.pick_neg_log_softmax
    weight, bias = w[f"{prefix}classifier.weight"], w[f"{prefix}classifier.bias"]

    def loss(h: int, label: int) -> int:
        return int(pick_neg_log_softmax(affine(bias, weight, h), label))

    return loss


def _sum(terms: list[int], total: Callable[[list[int]], int]) -> int | None:
    """The sum of the terms, None without terms."""
    return total(terms) if len(terms) > 1 else terms[0] if terms else None


def _cells(w: Weights, forward: str, recurrent: str, count: int) -> list[tuple[int, int, int]]:
    """(b, W, U) of each of the gates that stand in split parameters."""
    names = (f"{forward}.bias", f"{forward}.weight", f"{recurrent}.weight")
    return [
        (w[f"{b}/{k}"], w[f"{x}/{k}"], w[f"{h}/{k}"]) for k in range(count) for b, x, h in [names]
    ]


def _gate(g: Any) -> Callable[[tuple[int, int, int], int | None, int | None], int]:
    """A function that takes ((b, W, U), x, h) and returns W x + U h + b without the terms that are
    None; W x + b is a node of its own."""
    affine, add = g.affine, g.add

    def gate(numbers: tuple[int, int, int], x: int | None, h: int | None) -> int:
        bias, weight, recurrent = numbers
        if x is None:
            return int(g.parameter(bias) if h is None else affine(bias, recurrent, h))
        projected = affine(bias, weight, x)
        return int(projected if h is None else add(projected, affine(-1, recurrent, h)))

    return gate


def _lstm(g: Any, w: Weights, prefix: str, hidden: int) -> Callable[[Sequence[int]], list[int]]:
    """A function that takes the words of a chain and returns their states, by the LSTM whose
    parameters start with `prefix`."""
    lookup, pick_range, cmult, add = g.lookup, g.pick_range, g.cmult, g.add
    logistic, tanh, table, gate = g.logistic, g.tanh, w["embedding.weight"], _gate(g)
    gates_ = w[f"{prefix}w.bias"], w[f"{prefix}w.weight"], w[f"{prefix}u.weight"]

    def run(words: Sequence[int]) -> list[int]:
        hs: list[int] = []
        h = c = None
        for word in words:
            gates = gate(gates_, lookup(table, word) if word >= 0 else None, h)
            i = logistic(pick_range(gates, 0, hidden))
            new = cmult(i, tanh(pick_range(gates, 2 * hidden, 3 * hidden)))
            if c is not None:
                new = add(cmult(logistic(pick_range(gates, hidden, 2 * hidden)), c), new)
            c = new
            h = cmult(logistic(pick_range(gates, 3 * hidden, 4 * hidden)), tanh(c))
            hs.append(h)
        return hs

    return run


@dataclass(frozen=True)
class Model:
    """A workload.

    Attributes:
        declare: a function that takes (graph, numbers of the parameters, hidden size) and returns
            the function that declares a sample.
        samples: a function that makes the samples of a ``PeerBatch``, as `declare` takes them.
        hidden: the parameter that has as many columns as states have elements.
        tables: maps parameters whose rows are looked up to the inputs with the ids of the rows.
        splits: maps each parameter that is split by rows to the number of parts; part k of NAME is
            called NAME/k.
    """

    declare: Callable[[Any, Weights, int], Declare]
    samples: Callable[[Any], Samples]
    hidden: str = "classifier.weight"
    tables: Mapping[str, str] = field(default_factory=lambda: {"embedding.weight": "word"})
    splits: Mapping[str, int] = field(default_factory=dict)


_IOU = {"w_iou.weight": 3, "w_iou.bias": 3, "u_iou.weight": 3}
_ZRN = {"w_zrn.weight": 3, "w_zrn.bias": 3, "u_zr.weight": 2}
MODELS: dict[str, Model] = {
    "tree-lstm": Model(tree_lstm, vertex_samples, splits=_IOU),
    "tree-gru": Model(tree_gru, vertex_samples, splits=_ZRN),
    "tree-fc": Model(tree_fc, vertex_samples),
    "fixed-lstm": Model(language_model, chain_samples),
    "var-lstm": Model(language_model, chain_samples),
    "bilstm-tagger": Model(bilstm_tagger, chain_samples, "after.u.weight"),
    "mv-rnn": Model(
        mv_rnn, vertex_samples, tables=dict.fromkeys(("vectors.weight", "matrices.weight"), "word")
    ),
    "dag-rnn": Model(dag_rnn, feature_samples, tables={}),
    "lattice-lstm": Model(
        lattice_lstm,
        lattice_samples,
        "char.classifier.weight",
        {"char.embedding.weight": "character", "word.embedding.weight": "word"},
    ),
}
