"""`grad`: derivatives of values of a vertex function, in it, and of tensors outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cavs._arguments import boolean, items, shown
from cavs.core.ir import Node
from cavs.core.partial import partial
from cavs.core.tracing import tracing
from cavs.device import device_of
from cavs.errors import InputError, ShapeError
from cavs.tensor import RowSparse, Tensor, capturing, gradients, place_of, record


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, *, create_graph: bool = False
) -> tuple[Any, ...]:
    """The derivative of the sum of all elements of `outputs`, each times its `grad_outputs`, by
    each of `inputs`; gradients of parameters are left as they are.

    In a vertex function it takes values of F and gives values of F, which are differentiated again
    where the function trains, as a gradient penalty is (Gulrajani et al., "Improved Training of
    Wasserstein GANs", 2017). It is the derivative at this vertex: states of children count as
    given. The derivative by a value without rows, such as a parameter, is summed over the batch.

    On tensors it goes back along the tape, through calls of models too, and the graph is gone
    afterwards, as after ``backward``. With `create_graph` the graph stays, and the results have one
    of their own, to be differentiated to any order.

    Args:
        outputs: a value or tensor, or several.
        inputs: likewise: in F values that `outputs` are computed from, or parameters; of tensors
            those that require a gradient.
        grad_outputs: for each output a value or tensor of its shape; None: ones.
        create_graph: whether the results can be differentiated. In F they always can.

    Returns:
        For each input a value, or a tensor, of its shape.

    Raises:
        TraceError: in F no output depends on an input, or an operation has no gradient; it names
        the line. InputError: likewise of tensors; ShapeError: a cotangent of another shape;
        CavsRuntimeError: the graph is gone.
    """
    boolean("grad", "create_graph", create_graph)
    ys, xs = _listed("outputs", outputs), _listed("inputs", inputs)
    dys = None if grad_outputs is None else _listed("grad_outputs", grad_outputs)
    if dys is not None and len(dys) != len(ys):
        raise InputError(
            f"[grad] expected grad_outputs for each of {len(ys)} outputs, got {len(dys)}; give as "
            "many"
        )
    if tracing():
        return tuple(partial([_value(y) for y in ys], xs, dys))
    return _of_tensors(ys, xs, dys, create_graph)


def _listed(name: str, given: Any) -> list[Any]:
    if isinstance(given, (Node, Tensor)) or (name == "grad_outputs" and not _is_several(given)):
        return [given]
    found = items("grad", name, given, object, "values or tensors")
    if not found and name != "grad_outputs":
        raise InputError(f"[grad] expected {name}, got none; pass one or more")
    return found


def _is_several(given: Any) -> bool:
    return isinstance(given, (list, tuple))


def _value(y: Any) -> Node:
    if not isinstance(y, Node):
        raise InputError(
            f"[grad] expected values of F as outputs, got {shown(y)}; differentiate what an "
            "operation gave"
        )
    return y


def _of_tensors(
    ys: Sequence[Any], xs: Sequence[Any], dys: Sequence[Any] | None, create_graph: bool
) -> tuple[Tensor, ...]:
    for name, given in (("outputs", ys), ("inputs", xs)):
        for number, x in enumerate(given):
            if not isinstance(x, Tensor) or not x.requires_grad:
                raise InputError(
                    f"[grad] expected tensors that require a gradient as {name}, got {shown(x)} at "
                    f"{number}; make it with requires_grad=True, or compute it from such ones"
                )
    seeds = [None if dys is None else _seed(y, dys[i], i) for i, y in enumerate(ys)]
    places = list(map(place_of, xs))
    found: Mapping[Any, Any]
    if create_graph:
        found = gradients(ys, seeds, xs)
    else:
        with capturing(xs) as found:
            _weighted(ys, seeds).backward()
    results: list[Tensor] = []
    for number, place in enumerate(places):
        gradient = found.get(place)
        if gradient is None:
            raise InputError(
                f"[grad] expected outputs that depend on input {number}, got some that do not; "
                "leave it out"
            )
        if isinstance(gradient, RowSparse):
            gradient = gradient.to_dense()
        results.append(gradient if isinstance(gradient, Tensor) else Tensor._wrap(gradient))
    return tuple(results)


def _weighted(ys: Sequence[Tensor], seeds: Sequence[Tensor | None]) -> Tensor:
    """A number whose gradient is, of each of the tensors, its cotangent, or ones."""

    def backward(_: Sequence[Any]) -> list[Any]:
        return [
            device_of(y._values).full(y.shape, 1, y.dtype) if dy is None else dy._values
            for y, dy in zip(ys, seeds, strict=True)
        ]

    number = device_of(ys[0]._values).zeros((), ys[0].dtype)
    return record([number], ys, backward, name="grad", fresh=False)[0]


def _seed(y: Tensor, given: Any, number: int) -> Tensor | None:
    """The cotangent of an output, as a tensor where it is."""
    if given is None:
        return None
    dy = given if isinstance(given, Tensor) else Tensor(given, y.dtype).to(y.device)
    if dy.shape != y.shape:
        raise ShapeError(
            f"[grad] expected grad_outputs of shape {y.shape}, as output {number}, got "
            f"{dy.shape}; reshape it"
        )
    return dy
