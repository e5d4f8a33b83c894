"""Attention of a vertex over its children (Vaswani et al. 2017, section 3.2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cavs._arguments import number, shown
from cavs.core.ops._def import Shape, shape_of, size_of
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.random import check_dropout
from cavs.core.ops.random import dropout as drop
from cavs.core.ops.reduce import sum as total
from cavs.core.ops.shape import broadcast, reshape
from cavs.core.ops.structure import CHILD_COLUMNS, segment_softmax, segment_sum
from cavs.errors import DTypeError, ShapeError, TraceError


def attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    scale: float | None = None,
    bias: Any = None,
    position: Any = None,
    dropout: float = 0.0,
) -> Any:
    """The mean of the children's values, weighted by how their keys fit the vertex's query, in
    several heads: softmax over the children of ``scale * (q . k) + bias + position``, times v
    (Vaswani et al. 2017, eq. 1). A vertex without children gets zeros.

    Args:
        q: queries, a value per vertex of shape (heads, s).
        k: keys, a value per child of shape (heads, s): gathered, or computed from what is gathered.
        v: values, per child, of shape (heads, sv).
        scale: by default s ** -0.5.
        bias: what is added to the scores of a child, per child, of shape () or (heads,).
        position: what is added to the scores by the child's place, per vertex, a parameter or an
            array, of shape (heads, places): the last child gets the last column, the one before it
            the last but one. With ``places = n`` a vertex may have up to n children. Relative
            positions as in Transformer-XL (Dai et al. 2019, section 3.3) are such scores.
        dropout: the probability with which a weight is zeroed while training; the others are scaled
            by 1 / (1 - p).

    Returns:
        A value per vertex of shape (heads, sv).

    Raises:
        ShapeError: shapes do not fit; TraceError: q is no value per vertex, k and v are no values
        per child of the same children; DTypeError: one of them is int32; InputError: `dropout` is
        no probability below 1.
    """
    _check(q, k, v, bias, position)
    check_dropout(dropout, "vertex")
    heads, size = q.shape
    if scale is None:
        scale = 1.0 / math.sqrt(size)
    number("attention", "scale", scale)
    score = total(k * q, -1) * float(scale)
    if bias is not None:
        score = score + (bias if bias.shape else broadcast(reshape(bias, (1,)), (heads,)))
    if position is not None:
        score = score + k.__cavs_apply__(CHILD_COLUMNS, (position,), {"to": k.space})
    weight = segment_softmax(score)
    if dropout:
        weight = drop(weight, dropout)
    return segment_sum(reshape(weight, (heads, 1)) * v)


def _check(q: Any, k: Any, v: Any, bias: Any, position: Any) -> None:
    added = {"bias": bias, "position": position}
    given = {"q": q, "k": k, "v": v, **{name: x for name, x in added.items() if x is not None}}
    for name, x in given.items():
        shared = getattr(x, "__cavs_parameter__", False) or isinstance(x, np.ndarray)
        if not (name in ("q", "position") and shared) and not getattr(x, "__cavs_symbol__", False):
            remedy = "attention is over the children of a vertex"
            if name == "bias":
                remedy = "pull a number for each child by v.pull_edge(...), or leave out edges"
            raise TraceError(
                f"[attention] expected a value of a vertex function as {name}, got {shown(x)}; "
                f"{remedy}"
            )
        if getattr(x, "__cavs_symbol__", False) and x.dtype == "int32":
            raise DTypeError(
                f"[attention] expected floats as {name}, got int32; pull them as float32, or look "
                "them up in an embedding"
            )
    for name in ("k", "v", "bias"):
        x = given.get(name)
        if x is not None and x.space.kind is not SpaceKind.EDGE:
            remedy = "gather it from all children, v.gather(...) without a position"
            if name == "bias":
                remedy = "pull it by v.pull_edge(...), or compute it from what is gathered"
            raise TraceError(
                f"[attention] expected a value per child as {name}, got one per {x.space.kind}; "
                f"{remedy}"
            )
        if x is not None and x.space != k.space:
            raise TraceError(
                f"[attention] expected {name} of the children of k, {k.space}, got {x.space}; "
                "gather both from the same children"
            )
    for name in ("q", "position"):
        x = given.get(name)
        if x is not None and getattr(x, "space", SpaceKind.NONE).kind is SpaceKind.EDGE:
            raise TraceError(
                f"[attention] expected a value per vertex as {name}, got one per child; compute "
                "it from what the vertex pulls, or from one child, as v.gather(-1, ...)"
            )
    _check_shapes({name: shape_of("attention", x) for name, x in given.items()})


def _check_shapes(shapes: dict[str, Shape]) -> None:
    q, k, v = shapes["q"], shapes["k"], shapes["v"]
    if len(q) != 2 or k != q or len(v) != 2 or v[0] != q[0] or not size_of(q) * size_of(v):
        raise ShapeError(
            f"[attention] expected q and k of (heads, s) and v of (heads, sv), got {q}, {k} and "
            f"{v}; reshape all to as many heads, q and k to one size"
        )
    bias, position = shapes.get("bias", ()), shapes.get("position")
    if bias not in ((), q[:1]):
        raise ShapeError(
            f"[attention] expected a bias of shape () or {q[:1]}, got {bias}; reshape it"
        )
    if position is not None and (len(position) != 2 or position[0] != q[0] or not position[1]):
        raise ShapeError(
            f"[attention] expected position of ({q[0]}, places), got {position}; reshape it"
        )
