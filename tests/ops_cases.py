"""The case table of the operations: for each row of the ops table, operands to try it on.

A new operation needs a line here. `tests/core/test_ops.py` runs the table on the NumPy reference.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cavs import ops
from cavs.core.ops import OPS

Shape = tuple[int, ...]

# Sources of vertex functions and movements between rows, which only executors define, and random
# operations, which draw by vertex: the executors' tests try these.
STRUCTURE = frozenset(
    {
        "attention",
        "attention_grad_bias",
        "attention_grad_children",
        "attention_grad_query",
        "by_mode",
        "child_columns",
        "child_columns_grad",
        "constant",
        "dropout",
        "dropout_by_id",
        "expand",
        "gather",
        "graph_max",
        "graph_spread",
        "graph_sum",
        "join",
        "level_attention",
        "level_attention_bias",
        "level_attention_children",
        "level_attention_edges",
        "level_attention_query",
        "max_rows",
        "num_children",
        "param",
        "present",
        "pull",
        "push_cotangent",
        "reduce_rows",
        "segment_log_softmax",
        "segment_logsumexp",
        "segment_max",
        "segment_softmax",
        "segment_sum",
        "slots_to_edges",
        "spread",
        "state_cotangent",
        "uniform",
        "unique_ids",
        "remembered",
        "unique_sum",
    }
)
# Operations that sum over all rows: their results have none.
OVER_ROWS = frozenset({"conv_weight_reduce", "embedding_grad", "matmul_reduce"})
# Before anything runs, a row of a gradient only becomes a concatenation, and a choice by mode one
# of its operands.
NOT_LOWERED = frozenset({"by_mode", "level_attention_edges", "slice_grad"})

_SATURATING = (
    0.0,
    -0.0,
    1e-30,
    1,
    -1,
    20,
    -20,
    30,
    -30,
    88,
    -88,
    89,
    -89,
    104,
    -104,
    1e3,
    -1e3,
    1e4,
    -1e4,
)
_WIDE = (1.0, 1e-30, 1e-10, 1e-3, 2.0, 1e3, 1e10, 1e30)


@dataclass(frozen=True)
class Operand:
    """One operand of a case.

    Attributes:
        shape: of one row.
        kind: what its values are, see :func:`_draw`.
        shared: whether it has no rows, as a parameter.
        ids: for integer operands, how many ids there are: values are in -1..ids-1.
    """

    shape: Shape
    kind: str = "spread"
    shared: bool = False
    ids: int | None = None


@dataclass(frozen=True)
class OpCase:
    """An operation on operands.

    Attributes:
        op: name in the ops table.
        operands, attrs: what it is applied to.
        gradient: whether it is smooth at these values, so that differences tell the gradient.
    """

    op: str
    operands: tuple[Operand, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    gradient: bool = True

    @property
    def id(self) -> str:
        """Name of the case, for pytest."""
        parts = ["x".join(map(str, x.shape)) or "scalar" for x in self.operands]
        kinds = {x.kind for x in self.operands if x.ids is None} - {"spread"}
        attrs = [f"{k}={v}".replace(" ", "") for k, v in self.attrs.items()]
        shared = [f"shared{i}" for i, x in enumerate(self.operands) if x.shared]
        return "-".join([self.op, *parts, *sorted(kinds), *attrs, *shared])

    def arrays(self, dtype: Any = np.float64, rows: int | None = None) -> list[np.ndarray]:
        """Values of the operands, always the same ones; with `rows`, so many rows of each."""
        rng = np.random.default_rng(zlib.crc32(self.id.encode()))
        shapes = [x.shape if x.shared or rows is None else (rows, *x.shape) for x in self.operands]
        total = sum(int(np.prod(s)) for s in shapes)
        # Distinct, none zero, shared out over the operands: away from every kink and every tie.
        pool = iter(rng.permutation(np.linspace(-2.0, 2.0, 2 * ((total + 2) // 2))))
        arrays = []
        for x, shape in zip(self.operands, shapes, strict=True):
            if x.ids is not None:
                arrays.append(rng.integers(-1, x.ids, shape).astype(np.int32))
            else:
                arrays.append(_draw(x.kind, shape, rng, pool).astype(dtype))
        return arrays


def _draw(kind: str, shape: Shape, rng: np.random.Generator, pool: Iterator[float]) -> np.ndarray:
    count = int(np.prod(shape))
    if kind == "spread":
        values = np.fromiter((next(pool) for _ in range(count)), float, count)
    elif kind == "positive":
        values = np.exp(rng.normal(size=count))
    elif kind == "nonzero":
        values = rng.choice([-1.0, 1.0], count) * (0.5 + np.abs(rng.normal(size=count)))
    elif kind == "ties":
        values = rng.integers(-1, 2, count).astype(float)
    elif kind == "mask":
        values = rng.integers(0, 2, count).astype(float)
    elif kind == "open":
        values = rng.uniform(-0.99, 0.99, count)
    elif kind == "impossible":
        values = np.where(rng.random(count) < 0.4, -np.inf, rng.normal(size=count))
    elif kind == "infinite":
        values = rng.choice([-np.inf, np.inf, 1.0, -2.0], count)
    elif kind == "nothing":
        values = np.full(count, -np.inf)
    elif kind == "ends":
        values = np.resize([0.0, -0.0, 0.01, -1.0, 1.0, 0.99, -0.9, 1.5], count)
    elif kind == "order":
        values = rng.uniform(1.5, 4.5, count)
    elif kind == "unit":
        values = rng.uniform(0.05, 0.95, count)
    elif kind in ("saturating", "wide"):
        some = np.array(_SATURATING if kind == "saturating" else _WIDE)
        values = np.resize(np.roll(some, -int(rng.integers(len(some)))), count)
    else:
        raise ValueError(f"unknown kind of values {kind!r}")
    return values.reshape(shape)


def as_floats(y: Any, case: OpCase) -> Any:
    """The result of a case as floats that a vertex function may push: places as numbers."""
    if OPS[case.op].dtype != "int32":
        return y
    return ops.take(np.arange(float(max(case.operands[0].shape))), y)


LOG_SPACE = ("logsumexp", "softmax", "log_softmax")
INFINITIES = ("impossible", "infinite", "nothing")

ELEMENTWISE_SHAPES: tuple[Shape, ...] = ((), (1,), (3,), (17,), (150,), (2, 3))
# Axes that are not the last one, of which the elements stand apart.
AXES: tuple[tuple[Shape, int], ...] = (
    ((2, 5), -2),
    ((17, 3), -2),
    ((2, 3, 4), -2),
    ((3, 2, 9), -3),
)
VECTORS: tuple[Shape, ...] = ((1,), (3,), (17,), (150,), (2, 5))


def _elementwise(op: str, kinds: Sequence[str], *harsh: Sequence[str]) -> list[OpCase]:
    """Smooth cases in all shapes, then `harsh` kinds of values, forward only, in one long shape."""
    smooth = [OpCase(op, tuple(Operand(s, k) for k in kinds)) for s in ELEMENTWISE_SHAPES]
    return smooth + [
        OpCase(op, tuple(Operand((61,), k) for k in ks), gradient=False) for ks in harsh
    ]


_UNARY = {
    "neg": ("spread", "saturating"),
    "exp": ("spread", "saturating"),
    "log": ("positive", "wide"),
    "sqrt": ("positive", "wide"),
    "rsqrt": ("positive", "wide"),
    "reciprocal": ("nonzero", "wide"),
    "square": ("spread", "saturating"),
    "abs": ("spread", "saturating"),
    "sign": ("spread", "saturating"),
    "sigmoid": ("spread", "saturating"),
    "tanh": ("spread", "saturating"),
    "relu": ("spread", "saturating"),
    "softplus": ("spread", "saturating"),
    "erfinv": ("open", "ends"),
    "sin": ("spread", "saturating"),
    "cos": ("spread", "saturating"),
    "erf": ("spread", "saturating"),
    "gelu": ("spread", "saturating"),
    "silu": ("spread", "saturating"),
    "log1p": ("positive", "ends"),
    "expm1": ("spread", "saturating"),
    "lgamma": ("positive", "wide"),
    "digamma": ("positive", "wide"),
}


def _elementwise_cases() -> list[OpCase]:
    cases = []
    for op, (smooth, harsh) in _UNARY.items():
        cases += _elementwise(op, [smooth], [harsh])
    cases += _elementwise("identity", ["spread"], ["saturating"])
    cases += [replace(case, gradient=False) for case in _elementwise("stop_gradient", ["spread"])]
    for op in ("add", "sub", "mul", "squared_error"):
        cases += _elementwise(op, ["spread", "spread"], ["saturating", "spread"])
    cases += _elementwise("div", ["spread", "nonzero"], ["saturating", "nonzero"])
    harsh_powers = (["wide", "ties"], ["saturating", "ties"], ["infinite", "infinite"])
    more = (["ends", "mask"], ["ties", "spread"], ["spread", "impossible"])
    # The first is what others take as the operation's case, so its results are not too large.
    cases += _elementwise("pow", ["positive", "unit"])
    cases += _elementwise("pow", ["positive", "spread"], *harsh_powers, *more)
    for op in ("maximum", "minimum"):
        cases += _elementwise(op, ["spread", "spread"], ["ties", "ties"])
    for op in ("greater", "greater_equal", "less", "less_equal", "equal"):
        cases += _elementwise(op, ["spread", "spread"], ["ties", "ties"])
    for op in ("elu", "leaky_relu"):
        cases += _elementwise(op, ["spread", "positive"], ["saturating", "unit"])
    cases += _elementwise("zeta", ["order", "positive"], ["order", "wide"])
    for op in ("sigmoid_grad", "tanh_grad"):
        cases += _elementwise(op, ["spread", "unit"], ["spread", "mask"])
    cases += _elementwise("where", ["mask", "spread", "spread"], ["ties", "saturating", "spread"])
    harsh = (["saturating", "mask"], ["infinite", "mask"], ["infinite", "unit"])
    cases += _elementwise("bce_with_logits", ["spread", "unit"], *harsh)
    return cases


def _reduction_cases() -> list[OpCase]:
    cases = []
    for op in ("row_sum", "row_max", *LOG_SPACE):
        cases += [OpCase(op, (Operand(s),)) for s in VECTORS]
        kinds = ["ties", "saturating", *(INFINITIES if op != "row_sum" else [])]
        cases += [OpCase(op, (Operand((61,), kind),), gradient=False) for kind in kinds]
    for op in ("row_max", *LOG_SPACE):
        for shape, axis in AXES:
            cases.append(OpCase(op, (Operand(shape),), {"axis": axis}))
        for kind in ("ties", *INFINITIES):
            x = Operand((5, 19), kind)
            cases.append(OpCase(op, (x,), {"axis": -2}, gradient=False))
    for shape in VECTORS:
        x, dy, infinite = Operand(shape), Operand(shape[:-1]), Operand(shape[:-1], "infinite")
        cases.append(OpCase("logsumexp_grad", (dy, dy, x)))
        cases.append(OpCase("logsumexp_grad", (dy, infinite, x), gradient=False))
        for kind in ("spread", "ties", *INFINITIES):
            cases.append(OpCase("one_hot_max", (Operand(shape, kind), x), gradient=False))
    return cases


def _matmul_cases() -> list[OpCase]:
    cases = []
    sizes = [(1, 3, 5), (1, 17, 150), (1, 1, 1), (4, 3, 2), (3, 1, 17)]
    for m, k, n in sizes:
        for ta in (False, True):
            for tb in (False, True):
                a, b = (k, m) if ta else (m, k), (n, k) if tb else (k, n)
                attrs = {"ta": ta, "tb": tb}
                for op in ("matmul", "matmul_reduce"):
                    smooth = op == "matmul"
                    cases.append(OpCase(op, (Operand(a), Operand(b)), attrs, smooth))
                    cases.append(OpCase(op, (Operand(a), Operand(b, shared=True)), attrs, smooth))
                    cases.append(OpCase(op, (Operand(a, shared=True), Operand(b)), attrs, smooth))
    return cases


def _lookup_cases() -> list[OpCase]:
    cases = []
    for classes in (1, 2, 5, 17, 150):
        label = Operand((), ids=classes)
        for kind in ("spread", "saturating", *INFINITIES):
            logits = Operand((classes,), kind)
            cases.append(OpCase("cross_entropy", (logits, label), gradient=kind == "spread"))
            cases.append(OpCase("cross_entropy_grad", (Operand(()), logits, label), gradient=False))
    for num, size in ((1, 1), (7, 3), (5, 17), (20, 150)):
        ids = Operand((), ids=num)
        cases.append(OpCase("embedding", (Operand((num, size), shared=True), ids)))
        cases.append(
            OpCase("embedding_grad", (Operand((size,)), ids), {"num": num}, gradient=False)
        )
    return cases


def _shape_cases() -> list[OpCase]:
    cases = []
    for shape, to in (((6,), (2, 3)), ((2, 3), (6,)), ((), (1,)), ((1,), ()), ((150,), (3, 50))):
        cases.append(OpCase("reshape", (Operand(shape),), {"to": to, "rank": len(shape)}))
    for shape, start, stop in (((3,), 0, 2), ((17,), 5, 17), ((450,), 150, 300), ((2, 5), 1, 2)):
        bounds = {"start": start, "stop": stop}
        piece = (*shape[:-1], stop - start)
        cases.append(OpCase("slice", (Operand(shape),), bounds))
        cases.append(OpCase("slice_grad", (Operand(piece),), {**bounds, "total": shape[-1]}))
    for shape, axes in (((2, 5), (1, 0)), ((17, 9), (1, 0)), ((2, 3, 4), (2, 0, 1))):
        cases.append(OpCase("permute", (Operand(shape),), {"axes": axes}))
    for shape, axes in (((2, 3, 4), (1, 0, 2)), ((2, 1, 3, 2), (3, 1, 0, 2))):
        cases.append(OpCase("permute", (Operand(shape),), {"axes": axes}))
    for shapes in (((3,), (1,)), ((17,),), ((150,), (150,), (150,)), ((2, 3), (2, 1), (2, 4))):
        cases.append(OpCase("concat", tuple(Operand(s) for s in shapes)))
    pairs: list[tuple[Shape, Shape]] = [
        ((), (3,)),
        ((1,), (17,)),
        ((150,), (1, 150)),
        ((3,), (2, 3)),
        ((2, 1), (2, 5)),
        ((1, 3, 1), (4, 3, 2)),
        ((), (2, 3)),
    ]
    for small, large in pairs:
        cases.append(OpCase("broadcast", (Operand(small),), {"to": large, "rank": len(small)}))
        cases.append(OpCase("sum_to", (Operand(large),), {"to": small, "rank": len(large)}))
    return cases


def _line_cases() -> list[OpCase]:
    cases = []
    lines: list[tuple[Shape, int]] = [((1,), -1), ((17,), -1), ((150,), -1), ((2, 5), -1), *AXES]
    for shape, axis in lines:
        attrs: dict[str, Any] = {} if axis == -1 else {"axis": axis}
        x, n = Operand(shape), shape[axis]
        at = len(shape) + axis
        cases.append(OpCase("cumsum", (x,), attrs))
        cases.append(OpCase("cumsum", (x,), {"reverse": True, **attrs}))
        for descending in ({}, {"descending": True}):
            for count in sorted({1, n}):
                order = {"count": count, **descending, **attrs}
                cases.append(OpCase("argsort", (x,), order, gradient=False))
        for kind in ("ties", *INFINITIES) if shape in ((17,), (17, 3)) else ():
            among = Operand(shape, kind)
            cases.append(OpCase("argsort", (among,), {"count": n, **attrs}, gradient=False))
        for k in (1, 4):  # of each line, by numbers of its own
            along = {"along": True, "ranks": (len(shape), len(shape)), **attrs}
            some = (*shape[:at], k, *shape[at + 1 :])
            cases.append(OpCase("pick_elements", (x, Operand(some, ids=n)), along))
            put = (Operand(some), Operand(some, ids=n))
            cases.append(OpCase("put_elements", put, {**along, "size": n}))
        for ids in ((), (3,), (2, 2)):  # by the same numbers
            alike = {"along": False, "ranks": (len(shape), len(ids)), **attrs}
            some = (*shape[:at], *ids, *shape[at + 1 :])
            cases.append(OpCase("pick_elements", (x, Operand(ids, ids=n)), alike))
            put = (Operand(some), Operand(ids, ids=n))
            cases.append(OpCase("put_elements", put, {**alike, "size": n}))
    table = Operand((5, 3), shared=True)
    attrs = {"along": False, "ranks": (2, 1), "axis": -2}
    cases.append(OpCase("pick_elements", (table, Operand((4,), ids=5)), attrs))
    return cases


# Windows: of one axis and two, that overlap and leave elements out, with padding of each side.
POOLS: tuple[tuple[Shape, dict[str, Any]], ...] = (
    ((1,), {"size": (1,), "stride": (1,), "pad": ((0, 0),)}),
    ((17,), {"size": (3,), "stride": (1,), "pad": ((1, 0),)}),
    ((2, 150), {"size": (4,), "stride": (3,), "pad": ((0, 2),)}),
    ((300,), {"size": (3,), "stride": (1,), "pad": ((1, 1),)}),
    ((6, 8), {"size": (2, 2), "stride": (2, 2), "pad": ((0, 0), (0, 0))}),
    ((2, 7, 9), {"size": (3, 3), "stride": (2, 2), "pad": ((1, 1), (1, 1))}),
    ((2, 5, 7), {"size": (3, 2), "stride": (1, 3), "pad": ((0, 1), (1, 0))}),
    ((1, 3, 40), {"size": (2, 4), "stride": (1, 2), "pad": ((1, 0), (2, 1))}),
    ((3, 7, 5), {"size": (2, 1), "stride": (4, 3), "pad": ((1, 1), (0, 0))}),
    ((4, 4), {"size": (4, 4), "stride": (4, 4), "pad": ((2, 0), (0, 2))}),
)


def _pool_cases() -> list[OpCase]:
    cases = []
    for shape, attrs in POOLS:
        image, x = shape[-len(attrs["size"]) :], Operand(shape)
        pooled = OPS["max_pool"].infer(shape, **attrs)
        dy = Operand(pooled)
        cases.append(OpCase("max_pool", (x,), attrs))
        for kind in ("ties", *INFINITIES):
            among = (Operand(shape, kind),)
            cases.append(OpCase("max_pool", among, attrs, gradient=False))
        # Of few numbers, so that most windows have elements that equal the given maximum.
        y, of = Operand(pooled, "mask"), Operand(shape, "mask")
        cases.append(OpCase("max_pool_grad", (dy, y, of), attrs, gradient=False))
        cases.append(OpCase("max_pool_tangent", (x, y, of), attrs, gradient=False))
        for padded in ({}, {"padded": True}):
            cases.append(OpCase("avg_pool", (x,), {**attrs, **padded}))
            cases.append(OpCase("avg_unpool", (dy,), {**attrs, **padded, "image": image}))
    return cases


# Images, outputs, kernels, and where they differ from the rule: stride, padding, dilation, groups,
# and the taps that a mask leaves.
_CONVOLUTIONS: tuple[tuple[Shape, int, Shape, dict[str, Any]], ...] = (
    ((1, 3, 4), 1, (2, 2), {}),
    ((1, 1, 4), 2, (1, 2), {"padding": (0, 0, 1, 0)}),
    ((2, 3, 3), 2, (1, 1), {}),
    ((3, 7, 6), 5, (3, 3), {"padding": (1, 1, 1, 1)}),
    ((3, 7, 6), 5, (3, 3), {"padding": (1, 1, 1, 1), "taps": (0, 1, 2, 3)}),
    ((2, 9, 11), 3, (5, 4), {"stride": (2, 3), "padding": (2, 1, 0, 3)}),
    ((4, 8, 9), 6, (3, 2), {"dilation": (2, 3), "padding": (0, 2, 1, 1), "groups": 2}),
    ((3, 6, 6), 3, (3, 3), {"stride": (3, 2), "dilation": (1, 2), "groups": 3}),
    ((2, 7, 5), 34, (2, 3), {"stride": (2, 2), "padding": (1, 0, 2, 2), "dilation": (3, 1)}),
    ((33, 5, 17), 17, (3, 3), {"padding": (1, 1, 1, 1)}),
    ((40, 7, 7), 36, (2, 2), {"stride": (2, 2), "taps": (0, 3)}),
)


def _convolution_cases() -> list[OpCase]:
    cases = []
    whole = {"stride": (1, 1), "padding": (0,) * 4, "dilation": (1, 1), "groups": 1, "taps": ()}
    for image, outputs, kernel, given in _CONVOLUTIONS:
        attrs = {**whole, **given}
        weight = (outputs, image[0] // attrs["groups"], *kernel)
        places = OPS["conv"].infer(image, weight, **attrs)
        x, dy = Operand(image), Operand(places)
        of_input, of_weight = {**attrs, "size": image[1:]}, {**attrs, "kernel": kernel}
        for w in (Operand(weight), Operand(weight, shared=True)):
            cases.append(OpCase("conv", (x, w), attrs))
            cases.append(OpCase("conv_input", (dy, w), of_input))
        for op in ("conv_weight", "conv_weight_reduce"):
            cases.append(OpCase(op, (x, dy), of_weight, gradient=op == "conv_weight"))
        shared = Operand(image, shared=True)
        cases.append(OpCase("conv_weight_reduce", (shared, dy), of_weight, gradient=False))
    return cases


CASES: tuple[OpCase, ...] = (
    *_elementwise_cases(),
    *_reduction_cases(),
    *_matmul_cases(),
    *_lookup_cases(),
    *_shape_cases(),
    *_line_cases(),
    *_pool_cases(),
    *_convolution_cases(),
)
