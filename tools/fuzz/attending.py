"""Attention over children in the ways that a vertex function may write it, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from operations import Operation
from tape import Array, Value

from cavs import ops

#: How it is written. The pass ``fuse_attention`` knows the first five, and none of the others.
KNOWN = ("op", "by_hand", "turned", "scaled_query", "one_head")
NEAR_MISSES = ("scaled_sum", "by_log", "by_products", "shared", "two_biases")
FORMS = (*KNOWN, *NEAR_MISSES)

#: With a bias and scores by place, behind queries, keys and values.
OWN = "children_attention"
DROPPED = "children_attention_dropout"


def _write(*given: Any, dropout: float = 0.0) -> Any:
    """Operands, and behind them `form`, `scale` and `position`: whether the last operand are scores
    by place, or these as an array."""
    (q, k, v, *added), (form, scale, position) = given[:-3], given[-3:]
    columns = added.pop() if position is True else position
    if form == "op":
        bias = added[0] if added else None
        more: dict[str, Any] = {"dropout": dropout} if dropout else {}
        return ops.attention(q, k, v, scale=scale, bias=bias, position=columns, **more)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    return _BY_HAND.get(form, _by_hand)(q, k, v, added, factor)


def _sum(score: Any, added: Any) -> Any:
    """Scores of (heads, 1), and biases of () or (heads,)."""
    for bias in added:
        score = score + (ops.reshape(bias, score.shape) if bias.shape else bias)
    return score


def _by_hand(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    score = _sum(ops.sum(k * q, axis=-1, keepdims=True) * scale, added)
    return (score.softmax() * v).sum()


def _turned(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    score = scale * ops.sum(ops.reshape(q, q.shape) * k, axis=-1)
    for bias in added:
        score = bias + score
    return (v * ops.reshape(score.softmax(), (q.shape[0], 1))).sum()


def _scaled_query(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    score = _sum(ops.sum(ops.reshape(q, q.shape) * scale * k, axis=-1, keepdims=True), added)
    return (score.softmax() * v).sum()


def _one_head(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    q, k, w = (ops.reshape(x, x.shape[-1:]) for x in (q, k, v))
    score = _sum(ops.sum(q * k, axis=-1, keepdims=True) * scale, added)
    return ops.reshape((score.softmax() * w).sum(), v.shape)


def _scaled_sum(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    score = _sum(ops.sum(k * q, axis=-1, keepdims=True), added) * scale
    return (score.softmax() * v).sum()


def _by_log(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    score = _sum(ops.sum(k * q, axis=-1, keepdims=True) * scale, added)
    return (ops.exp(score.log_softmax()) * v).sum()


def _by_products(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    heads, size = q.shape
    products = ops.matmul(ops.reshape(k, (heads, 1, size)), ops.reshape(q, (heads, size, 1)))
    score = _sum(ops.reshape(products, (heads, 1)) * scale, added)
    return (score.softmax() * v).sum()


def _shared(q: Any, k: Any, v: Any, added: Any, scale: float) -> Any:
    """The sum of the weights is 1, or there are no children."""
    weight = _sum(ops.sum(k * q, axis=-1, keepdims=True) * scale, added).softmax()
    return (weight * v).sum() * weight.sum()


_BY_HAND: dict[str, Callable[..., Any]] = {
    "turned": _turned,
    "scaled_query": _scaled_query,
    "one_head": _one_head,
    "scaled_sum": _scaled_sum,
    "by_log": _by_log,
    "by_products": _by_products,
    "shared": _shared,
}


def _mean(*operands: Value, form: str, scale: float | None, position: Any) -> Value:
    """Of one vertex, whose children are the rows of keys and values, head by head."""
    q, k, v, *added = operands
    children, heads, size = k.data.shape
    if scale is None:
        scale = 1 / float(size) ** 0.5
    columns = added.pop() if position is True else None
    table = columns.data[0] if columns is not None else position
    places = 0 if table is None else table.shape[-1]
    of_bias = scale if form == "scaled_sum" else 1.0
    weight = np.zeros((children, heads))
    y = np.zeros((1, heads, v.data.shape[-1]))
    for head in range(heads if children else 0):
        score = np.zeros(children)
        for child in range(children):
            score[child] = scale * np.dot(q.data[0, head], k.data[child, head])
            for bias in added:
                of_child = bias.data[child]
                score[child] += of_bias * (of_child[head] if of_child.ndim else of_child)
            if table is not None:
                score[child] += table[head, places - children + child]
        e = np.exp(score - score.max())
        weight[:, head] = e / e.sum()
        for child in range(children):
            y[0, head] += weight[child, head] * v.data[child, head]

    def by_score(dy: Array) -> Array:
        """(children, heads)."""
        of_weight = np.zeros((children, heads))
        for child in range(children):
            for head in range(heads):
                of_weight[child, head] = np.dot(dy[0, head], v.data[child, head])
        return weight * (of_weight - (weight * of_weight).sum(axis=0))

    def to_query(dy: Array) -> Array:
        dq = np.zeros((1, heads, size))
        for child, slopes in enumerate(by_score(dy)):
            dq[0] += scale * slopes[:, None] * k.data[child]
        return dq

    def to_columns(dy: Array) -> Array:
        whole = np.zeros((1, heads, places))
        for child, slopes in enumerate(by_score(dy)):
            whole[0, :, places - children + child] = slopes
        return whole

    def to_bias(bias: Value) -> Callable[[Array], Array]:
        def pull_back(dy: Array) -> Array:
            slopes = of_bias * by_score(dy)
            return slopes if bias.features else slopes.sum(axis=1)

        return pull_back

    parents: list[Any] = [
        (q, to_query),
        (k, lambda dy: scale * by_score(dy)[:, :, None] * q.data),
        (v, lambda dy: weight[:, :, None] * dy),
        *((bias, to_bias(bias)) for bias in added),
    ]
    if columns is not None:
        parents.append((columns, to_columns))
    return Value(y, parents)


OPERATIONS: dict[str, Operation] = {
    OWN: Operation(_write, _mean),
    DROPPED: Operation(lambda *given: _write(*given, dropout=0.3), None),
}
