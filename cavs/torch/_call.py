"""A call of a layer on PyTorch's tape: a function with the executor's forward and backward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from cavs._arrays import Array
from cavs.call import Call
from cavs.core.ir import Name
from cavs.errors import CavsRuntimeError
from cavs.execution.executor import Gradients, Run, Weights
from cavs.recording import check_unwritten, search_in
from cavs.tensor import Parameter, RowSparse, Watch, detecting
from cavs.torch._inputs import array_of, check_mode


class Learning(NamedTuple):
    """What the backward of a call is about.

    Attributes:
        call: the call; its parameters are the first operands.
        weights: values that stand in place of the parameters'; None: the parameters' own.
        floats: names of the float inputs, which are the other operands.
        sparse: whether gradients of embeddings are sparse.
        differentiable: the outputs that depend on anything that learns.
        reread: the outputs that backward reads.
    """

    call: Call
    weights: Weights | None
    floats: Sequence[Name]
    sparse: bool
    differentiable: frozenset[Name]
    reread: frozenset[Name]


def compute(call: Call, weights: Weights | None) -> tuple[Mapping[Name, Array], Run | None]:
    """Outputs and run of a call; with ``cavs.detect_nonfinite`` it looks for NaN."""
    if detecting():
        if weights is not None:
            raise CavsRuntimeError(
                "[torch] expected the layer's own parameters while looking for values that are not "
                "finite, got others in their place; call the layer itself, or leave out "
                "detect_nonfinite"
            )
        return search_in(call).checked_forward()
    given = call.graphs, call.inputs, call.random, call.wanted
    executor: Any = call.executor  # the native one, which alone takes weights
    outputs, run = executor.forward(*given, weights=weights)
    return outputs, run


def tensors_of(outputs: Mapping[Name, Array]) -> dict[Name, torch.Tensor]:
    """The outputs as tensors of the same memory."""
    return {name: torch.from_numpy(y) for name, y in outputs.items()}


class Evaluate(torch.autograd.Function):
    """Outputs from (learning, names, *operands); `names` gets the names of the outputs."""

    @staticmethod
    def forward(ctx: Any, learning: Learning, names: list[Name], *operands: torch.Tensor) -> Any:
        call = learning.call
        params: Sequence[Parameter] = call.params
        # Before the forward: another thread may write while it runs.
        ctx.watch = Watch([p._values for p in params], params) if learning.weights is None else None
        arrays, ctx.run = compute(call, learning.weights)
        outputs = tensors_of(arrays)
        names.extend(outputs)
        ctx.learning, ctx.names = learning, names
        ctx.set_materialize_grads(False)
        fixed = [y for name, y in outputs.items() if name not in learning.differentiable]
        ctx.mark_non_differentiable(*fixed)
        # PyTorch checks in backward that they are as they were.
        ctx.save_for_backward(*operands, *(outputs[name] for name in learning.reread))
        return tuple(outputs.values())

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> Any:
        """Operands' gradients, which have no gradient of their own.

        With ``create_graph=True`` differentiating them is an error: ``once_differentiable`` would
        take them for constants where the cotangents want no gradient.
        """
        check_mode()
        with torch.no_grad():
            operands = ctx.saved_tensors
            found = Evaluate._gradients(ctx, cotangents)
        if torch.is_grad_enabled():
            known = [dx for dx in found if dx is not None]
            once = iter(_Once.apply(len(known), *known, *operands, *cotangents))
            found = [None if dx is None else next(once) for dx in found]
        return None, None, *found

    @staticmethod
    def _gradients(
        ctx: Any, cotangents: Sequence[torch.Tensor | None]
    ) -> list[torch.Tensor | None]:
        learning: Learning = ctx.learning
        call = learning.call
        _check(ctx)
        known = {
            name: _cotangent(name, dy, call)
            for name, dy in zip(ctx.names, cotangents, strict=True)
            if dy is not None
        }
        keep = torch._C._autograd._get_current_graph_task_keep_graph()
        run = ctx.run
        if not keep:
            ctx.run = ctx.watch = None
        gradients: Gradients = run.backward(known, retain=keep)
        if detecting() and learning.weights is None:
            search_in(call).check_gradients(gradients, known, None)
        found = _of_parameters(gradients, call.params, learning.sparse)
        # A reference that is left makes PyTorch copy the rows to where it accumulates them, and the
        # copy stays coalesced; rows that it takes over do not.
        ctx.rows = [dx.values() for dx in found if dx is not None and dx.is_sparse]
        for name in learning.floats:
            dx = gradients.inputs.get(name)
            found.append(None if dx is None else torch.from_numpy(dx))
        return found

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """Refused."""
        raise CavsRuntimeError(
            "[torch] expected a gradient in reverse mode, got forward-mode differentiation; use "
            "backward or torch.autograd.grad"
        )


class _Once(torch.autograd.Function):
    """The first `count` tensors, gradients that depend on all the others, as they are; a backward
    through them is an error."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: torch.Tensor | None) -> Any:
        return tuple(dx.detach() for dx in tensors[:count] if dx is not None)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        raise CavsRuntimeError(
            "[torch] expected one differentiation of a layer, got a second, of its gradients "
            "(create_graph=True); leave gradients of this layer out of the loss"
        )


def _check(ctx: Any) -> None:
    """Checks what PyTorch does not: writes by cavs and through ``.data``, and a second backward."""
    if ctx.run is None:
        raise CavsRuntimeError(
            "[torch] expected one backward of a call, got a second; call the first with "
            "retain_graph=True"
        )
    if ctx.watch is not None:
        check_unwritten(ctx.watch, ctx.learning.call)


def _cotangent(name: Name, cotangent: torch.Tensor, call: Call) -> Array:
    array = array_of(cotangent, f"the gradient of output {name!r}")
    return np.ascontiguousarray(array, call.executor.dtype)


def _of_parameters(
    gradients: Gradients, params: Sequence[Parameter], sparse: bool
) -> list[torch.Tensor | None]:
    """The gradient of each parameter: a tensor, sparse where that is wanted and can be."""
    totals: dict[int, Array | RowSparse] = {}
    for number, part in gradients.params:
        shape = params[number].shape
        found = RowSparse._wrap(*part, shape) if isinstance(part, tuple) else part
        before = totals.get(number)
        totals[number] = found if before is None else _sum(before, found)
    results: list[torch.Tensor | None] = [None] * len(params)
    for number, total in totals.items():
        if not isinstance(total, RowSparse):
            results[number] = torch.from_numpy(total)
        elif sparse:
            results[number] = _sparse(total)
        else:
            results[number] = _dense(total, params[number])
    return results


def _sum(a: Array | RowSparse, b: Array | RowSparse) -> Array | RowSparse:
    if isinstance(a, RowSparse):
        if isinstance(b, RowSparse):
            return a.add(b)
        a, b = b, a
    if isinstance(b, RowSparse):
        b.add_to(a)
    else:
        a += b
    return a


def _sparse(rows: RowSparse) -> torch.Tensor:
    ids = torch.from_numpy(rows.indices.astype(np.int64)[np.newaxis])
    return torch.sparse_coo_tensor(
        ids, torch.from_numpy(rows.values), rows.shape, is_coalesced=True, check_invariants=False
    )


def _dense(rows: RowSparse, parameter: Parameter) -> torch.Tensor:
    whole = parameter.take_grad_buffer()
    whole.fill(0)
    rows.add_to(whole)
    return torch.from_numpy(whole)
