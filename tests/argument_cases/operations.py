"""Calls of the operations, on tensors or symbols, and of the vertex that is traced."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import cavs
from argument_cases.base import Case
from cavs import ops

UNARY = """
    abs cos digamma elu erf erfinv exp expm1 gelu leaky_relu lgamma log log1p log_softmax
    one_hot_max reciprocal relu rsqrt sigmoid sign silu sin softmax softplus sqrt square
    stop_gradient tanh trigamma
"""
BINARY = """
    binary_cross_entropy_with_logits equal greater greater_equal less less_equal maximum
    minimum pow squared_error
"""
OF_EDGES = """
    segment_logsumexp segment_max segment_mean segment_softmax segment_sum bernoulli
    categorical uniform_like
"""


def _convolutions(square: Any) -> Iterator[Case]:
    """Of the square (4, 4) as a sequence of four channels, and as an image of one."""
    over = {"stride": 1, "padding": 2, "dilation": 1, "groups": 1}
    filters = ops.stack([square, square], axis=1)  # (4, 2, 4)
    line = {"x": square[:2], "weight": filters, "bias": None, **over}
    yield Case("ops.conv1d", ops.conv1d, {**line, "mask": [True] * 4})
    image = {"x": square[None], "weight": filters[:, None, :, :], "bias": None, **over}
    yield Case("ops.conv2d", ops.conv2d, {**image, "mask": [[True] * 4] * 2})
    up = {"x": square, "weight": filters, "bias": None, **over, "output_padding": 0}
    yield Case("ops.conv_transpose1d", ops.conv_transpose1d, up)


def ops_cases(x: Any, square: Any, ids: Any, own: str) -> Iterator[Case]:
    """The operations on values of one world: x (4,), or (rows, 4), square (4, 4), ids."""
    for name in UNARY.split():
        yield Case(f"ops.{name}", getattr(ops, name), {"x": x})
    for name in BINARY.split():
        yield Case(f"ops.{name}", lambda a, b, f=name: getattr(ops, f)(a, b), {"a": x, "b": x})
    for name in ("sum", "mean", "max", "min", "logsumexp"):
        arguments = {"x": x, "axis": -1, "keepdims": False}
        yield Case(f"ops.{name}", getattr(ops, name), arguments)
    for name in ("softmax", "log_softmax", "cumsum", "argmax", "argsort", "sort"):
        yield Case(f"ops.{name}", getattr(ops, name), {"x": x, "axis": -1})
    yield Case("ops.top_k", ops.top_k, {"x": x, "k": 2, "axis": -1})
    yield Case("ops.permute", ops.permute, {"x": square, "axes": (1, 0)})
    yield Case("ops.stack", ops.stack, {"values": [x, x], "axis": 0})
    yield Case("ops.stack", lambda a: ops.stack([x, a]), {"a": x})
    yield Case("ops.concat", ops.concat, {"values": [x, x], "axis": 0})
    yield Case("ops.where", ops.where, {"condition": x, "a": x, "b": x})
    yield Case("ops.clip", ops.clip, {"x": x, "low": -1.0, "high": 1.0})
    yield Case("ops.reshape", ops.reshape, {"x": x, "shape": (-1, 2)})
    yield Case("ops.split", ops.split, {"x": x, "parts": 2})
    yield Case("ops.split", ops.split, {"x": x, "parts": [1, 3]})
    yield Case("ops.split", lambda part: ops.split(x, [1, part]), {"part": 3})
    yield Case("ops.concat", ops.concat, {"values": [x, x]})
    yield Case("ops.concat", lambda a: ops.concat([x, a]), {"a": x})
    yield Case("ops.slice_last", ops.slice_last, {"x": x, "start": 1, "stop": 3})
    yield Case("ops.matmul", ops.matmul, {"a": x, "b": square})
    yield Case("ops.linear", ops.linear, {"x": x, "weight": square, "bias": x})
    yield from _convolutions(square)
    pool = {"x": x, "size": 2, "stride": 1, "padding": ((1, 0),)}
    yield Case("ops.max_pool", ops.max_pool, pool)
    yield Case("ops.avg_pool", ops.avg_pool, {**pool, "count_include_pad": False})
    yield Case("ops.max_pool", lambda k: ops.max_pool(square, (2, k), padding=(k, 1)), {"k": 2})
    yield Case("ops.upsample", ops.upsample, {"x": x, "scale": 2})
    yield Case("ops.upsample", lambda k: ops.upsample(square, (2, k)), {"k": 3})
    norm = {"x": x, "weight": x, "bias": x, "eps": 1e-5, "axis": -1}
    group = {**norm, "groups": 2, "axis": 0 if own == "symbol" else 1}
    yield Case("ops.layer_norm", ops.layer_norm, norm)
    yield Case("ops.group_norm", ops.group_norm, group)
    yield Case("ops.cross_entropy", ops.cross_entropy, {"logits": x, "label": ids})
    yield Case("ops.embedding", ops.embedding, {"weight": square, "ids": ids})
    yield Case("ops.pick", ops.pick, {"x": x, "ids": ids})
    yield Case("ops.take", ops.take, {"x": x, "ids": ids, "axis": -1})
    own_ids = ids if own == "symbol" else cavs.tensor(ids)
    yield Case("ops.one_hot", ops.one_hot, {"ids": own_ids, "size": 5})
    for name in OF_EDGES.split():
        yield Case(f"ops.{name}", lambda x, f=name: getattr(ops, f)(x), {"x": x})
    yield Case("ops.dropout", ops.dropout, {"x": x, "p": 0.5, "by": "vertex"})
    yield Case("ops.normal", ops.normal, {"mean": x, "std": x})
    gumbel = {"logits": x, "temperature": 1.0, "hard": True}
    yield Case("ops.gumbel_softmax", ops.gumbel_softmax, gumbel)
    if own == "symbol":
        for name in ("softmax", "log_softmax"):
            yield Case(f"symbol.{name}", getattr(x, name), {"axis": -1})
        yield Case("symbol.permute", lambda axes: x.reshape(2, 2).permute(axes), {"axes": (1, 0)})
        yield Case(
            "symbol.transpose", lambda a, b: x.reshape(2, 2).transpose(a, b), {"a": 1, "b": 0}
        )
        for name in ("sum", "mean", "max", "min", "logsumexp"):
            yield Case(f"symbol.{name}", getattr(x, name), {"axis": -1, "keepdims": False})
        yield Case("symbol[]", lambda key: x[key], {"key": slice(1, 2)})
        yield Case("symbol[]", lambda a, b: x[a:b], {"a": 1, "b": 2})
        yield Case("symbol[]", lambda key: x[..., key], {"key": 1})
        yield Case("symbol.reshape", lambda a, b: x.reshape(a, b), {"a": 2, "b": -1})
        for sign in ("eq", "ne", "lt", "le", "gt", "ge"):
            by = getattr(operator, sign)
            yield Case(f"symbol {sign}", lambda other, by=by: by(x, other), {"other": x})
        for sign in ("add", "sub", "mul", "truediv"):
            yield Case(f"symbol.{sign}", getattr(x, f"__{sign}__"), {"other": 2})
        yield Case("symbol.pow", x.__pow__, {"exponent": 2})
        yield Case("symbol.pow", x.__pow__, {"exponent": 1.5})
        yield Case("symbol.matmul", x.__matmul__, {"other": square})


def vertex_cases(v: cavs.Vertex, h: Any) -> Iterator[Case]:
    """The calls of the vertex that is being traced."""
    for name in ("pull", "pull_edge", "pull_graph"):
        arguments = {"name": f"fresh_{name}", "shape": (2, 3), "dtype": "float32"}
        yield Case(f"Vertex.{name}", getattr(v, name), arguments)
    yield Case("Vertex.uniform", v.uniform, {"shape": (2, 3)})
    yield Case("Vertex.normal", v.normal, {"shape": 3})
    yield Case("Vertex.gather", lambda slot, size: v.gather(slot, h=size), {"slot": 0, "size": 4})
    yield Case("Vertex.push", lambda y: v.push(fresh=y), {"y": h})
    yield Case("Vertex.scatter", lambda y: v.scatter(fresh=y), {"y": h})
