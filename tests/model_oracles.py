"""The models once more: NumPy, vertex after vertex, from the equations in their docstrings."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Parameters = Mapping[str, Array]
Inputs = Mapping[str, Any]
Oracle = Callable[[Parameters, list[list[int]], Inputs], Array]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def cross_entropy(logits: Array, label: int) -> float:
    if label < 0:
        return 0.0
    return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label])


def order(children: list[list[int]]) -> list[int]:
    """Vertices, children before parents."""
    done: list[int] = []
    seen: set[int] = set()

    def visit(v: int) -> None:
        if v not in seen:
            seen.add(v)
            for child in children[v]:
                visit(child)
            done.append(v)

    for v in range(len(children)):
        visit(v)
    return done


def affine(p: Parameters, layer: str, x: Array) -> Array:
    y = p[f"{layer}.weight"] @ x
    return y + p[f"{layer}.bias"] if f"{layer}.bias" in p else y


def embed(p: Parameters, word: int) -> Array:
    weight = p["embedding.weight"]
    return weight[word] if word >= 0 else np.zeros(weight.shape[1])


def classify(p: Parameters, h: dict[int, Array]) -> Array:
    return np.array([affine(p, "classifier", h[v]) for v in sorted(h)])


Cell = Callable[[Parameters, Array, list[Array], list[Array]], tuple[Array, Array]]


def trees(p: Parameters, children: Any, inputs: Inputs, cell: Cell) -> Array:
    """By a cell of (parameters, x, the children's h, their c); with types, each has its own
    parameters, and embedding and classifier are those of leaves."""
    parts = {"": p}
    for kind in ("leaf", "left", "right"):
        names = {name: name.removeprefix(f"{kind}.") for name in p if name.startswith(f"{kind}.")}
        parts[kind] = {short: p[name] for name, short in names.items()}
    types = getattr(children, "types", [""] * len(children))
    shared = parts[types[order(children)[0]]]  # of a leaf
    h: dict[int, Array] = {}
    c: dict[int, Array] = {}
    for v in order(children):
        x = embed(shared, inputs["word"][v])
        below = [h[k] for k in children[v]], [c[k] for k in children[v]]
        h[v], c[v] = (leaf_cell if types[v] == "leaf" else cell)(parts[types[v]], x, *below)
    return classify(shared, h)


def leaf_cell(p: Parameters, x: Array, *_: Any) -> tuple[Array, Array]:
    i, o, u = np.split(affine(p, "w_iou", x), 3)
    c = sigmoid(i) * np.tanh(u)
    return sigmoid(o) * np.tanh(c), c


def child_sum_cell(
    p: Parameters, x: Array, hs: list[Array], cs: list[Array]
) -> tuple[Array, Array]:
    total = sum(hs, np.zeros(p["u_f.weight"].shape[0]))
    i, o, u = np.split(affine(p, "w_iou", x) + affine(p, "u_iou", total), 3)
    c = sigmoid(i) * np.tanh(u)
    for h_k, c_k in zip(hs, cs, strict=True):
        c = c + sigmoid(affine(p, "w_f", x) + affine(p, "u_f", h_k)) * c_k
    return sigmoid(o) * np.tanh(c), c


def nary_cell(p: Parameters, x: Array, hs: list[Array], cs: list[Array]) -> tuple[Array, Array]:
    size = p["w_f.weight"].shape[0]
    arity = p["u_iou.weight"].shape[1] // size
    u_iou = p["u_iou.weight"].reshape(3, size, arity, size)
    u_f = p["u_f.weight"].reshape(arity, size, arity, size)
    i, o, u = np.split(affine(p, "w_iou", x), 3)
    f = [affine(p, "w_f", x) for _ in hs]
    for slot, h_k in enumerate(hs):
        i = i + u_iou[0, :, slot] @ h_k
        o = o + u_iou[1, :, slot] @ h_k
        u = u + u_iou[2, :, slot] @ h_k
        f = [f_k + u_f[k, :, slot] @ h_k for k, f_k in enumerate(f)]
    c = sigmoid(i) * np.tanh(u)
    for f_k, c_k in zip(f, cs, strict=True):
        c = c + sigmoid(f_k) * c_k
    return sigmoid(o) * np.tanh(c), c


def child_sum_tree_lstm(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    return trees(p, children, inputs, child_sum_cell)


def nary_tree_lstm(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    return trees(p, children, inputs, nary_cell)


def tree_fc(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    size = p["u.weight"].shape[0]
    h: dict[int, Array] = {}
    for v in order(children):
        total = affine(p, "w", embed(p, inputs["word"][v]))
        for slot, child in enumerate(children[v]):
            total = total + p["u.weight"][:, slot * size : (slot + 1) * size] @ h[child]
        h[v] = np.tanh(total)
    return classify(p, h)


def tree_gru(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    size = p["u_n.weight"].shape[0]
    h: dict[int, Array] = {}
    for v in order(children):
        w_z, w_r, w_n = np.split(affine(p, "w_zrn", embed(p, inputs["word"][v])), 3)
        total = sum((h[k] for k in children[v]), np.zeros(size))
        z = sigmoid(w_z + p["u_zr.weight"][:size] @ total)
        r = sigmoid(w_r + p["u_zr.weight"][size:] @ total)
        n = np.tanh(w_n + affine(p, "u_n", r * total))
        h[v] = z * total + (1 - z) * n
    return classify(p, h)


def lstm(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    size = p["u.weight"].shape[1]
    h, c = {-1: np.zeros(size)}, {-1: np.zeros(size)}
    for v in order(children):
        before = children[v][0] if children[v] else -1
        gates = affine(p, "w", embed(p, inputs["word"][v])) + affine(p, "u", h[before])
        i, f, g, o = np.split(gates, 4)
        c[v] = sigmoid(f) * c[before] + sigmoid(i) * np.tanh(g)
        h[v] = sigmoid(o) * np.tanh(c[v])
    del h[-1]
    return classify(p, h)


def gru(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    size = p["u.weight"].shape[1]
    h = {-1: np.zeros(size)}
    for v in order(children):
        before = h[children[v][0] if children[v] else -1]
        w_r, w_z, w_n = np.split(affine(p, "w", embed(p, inputs["word"][v])), 3)
        u_r, u_z, u_n = np.split(affine(p, "u", before), 3)
        r, z = sigmoid(w_r + u_r), sigmoid(w_z + u_z)
        h[v] = (1 - z) * np.tanh(w_n + r * u_n) + z * before
    del h[-1]
    return classify(p, h)


def lattice_lstm(p: Parameters, children: Any, inputs: Inputs) -> Array:
    char, word = (
        {name.removeprefix(f"{kind}."): value for name, value in p.items() if name.startswith(kind)}
        for kind in ("char", "word")
    )
    size = char["u_link.weight"].shape[0]
    row = [children.types[:v].count(kind) for v, kind in enumerate(children.types)]
    h: dict[int, Array] = {}
    c: dict[int, Array] = {}
    for v in order(children):
        if children.types[v] == "word":
            (k,) = children[v]
            x = embed(word, inputs["word"][row[v]])
            i, f, g = np.split(affine(word, "w", x) + affine(word, "u", h[k]), 3)
            c[v] = sigmoid(f) * c[k] + sigmoid(i) * np.tanh(g)
            continue
        x = embed(char, inputs["character"][row[v]])
        before = [k for k in children[v] if children.types[k] == "char"]
        words = [c[k] for k in children[v] if children.types[k] == "word"]
        h_before, c_before = (x[before[0]] if before else np.zeros(size) for x in (h, c))
        i, f, o, g = np.split(affine(char, "w", x) + affine(char, "u", h_before), 4)
        own = sigmoid(i)
        if words:
            links = [
                sigmoid(affine(char, "w_link", x) + affine(char, "u_link", cw)) for cw in words
            ]
            weights = np.exp(np.array([own, *links]))
            c[v] = (weights / weights.sum(axis=0) * np.array([np.tanh(g), *words])).sum(axis=0)
        else:
            c[v] = sigmoid(f) * c_before + own * np.tanh(g)
        h[v] = sigmoid(o) * np.tanh(c[v])
    return classify(char, h)


def mv_rnn(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    """With the matrices as the paper has them: the parameters' are transposed."""
    size = p["w.weight"].shape[0]
    vectors: dict[int, Array] = {}
    matrices: dict[int, Array] = {}
    for v in order(children):
        word = inputs["word"][v]
        vector, matrix = np.zeros(size), np.zeros((size, size))
        if word >= 0:
            vector, matrix = p["vectors.weight"][word], p["matrices.weight"][word]
            matrix = matrix.reshape(size, size).T
        found = [(vectors[k], matrices[k]) for k in children[v]]
        found += [(np.zeros(size), np.zeros((size, size)))] * (2 - len(found))
        (a, a_matrix), (b, b_matrix) = found
        crossed = np.concatenate([b_matrix @ a, a_matrix @ b])
        vectors[v] = vector + np.tanh(p["w.weight"] @ crossed)
        matrices[v] = matrix + p["w_m.weight"] @ np.concatenate([a_matrix, b_matrix])
    return classify(p, vectors)


def dag_rnn(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    size = p["u.weight"].shape[0]
    h: dict[int, Array] = {}
    for v in order(children):
        total = sum((h[k] for k in children[v]), np.zeros(size))
        h[v] = np.tanh(affine(p, "w", inputs["x"][v]) + affine(p, "u", total))
    return classify(p, h)


def bilstm(p: Parameters, children: list[list[int]], inputs: Inputs) -> Array:
    """Over a chain 0, 1, 2, ..."""
    words = [embed(p, word) for word in inputs["word"]]

    def read(layer: str, xs: list[Array]) -> list[Array]:
        size = p[f"{layer}.u.weight"].shape[1]
        h, c, states = np.zeros(size), np.zeros(size), []
        for x in xs:
            i, f, g, o = np.split(affine(p, f"{layer}.w", x) + affine(p, f"{layer}.u", h), 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            states.append(h)
        return states

    after = read("after", words[::-1])[::-1]
    both = zip(read("before", words), after, strict=True)
    return np.array([affine(p, "after.classifier", np.concatenate(pair)) for pair in both])
