"""A call of a layer on PyTorch's tape: a function with the executor's forward and backward."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch

from cavs._arrays import Array
from cavs.call import Call
from cavs.core.ir import Name
from cavs.core.vertex import is_buffer
from cavs.errors import CavsRuntimeError
from cavs.execution.executor import Gradients, Run, Weights, write_buffers
from cavs.recording import (
    call_of_tangents,
    check_unwritten,
    search_in,
    values_before,
    with_tangents,
)
from cavs.tensor import Parameter, RowSparse, Watch, detecting
from cavs.torch._device import Place
from cavs.torch._inputs import check_mode


class Learning(NamedTuple):
    """What the backward of a call is about.

    Attributes:
        call: the call; its parameters are the first operands.
        weights: values that stand in place of the parameters'; None: the parameters' own.
        floats: names of the float inputs, which are the other operands.
        sparse: whether gradients of embeddings are sparse.
        differentiable: the outputs that depend on anything that learns.
        reread: the outputs that backward reads.
        place: where it computes.
    """

    call: Call
    weights: Weights | None
    floats: Sequence[Name]
    sparse: bool
    differentiable: frozenset[Name]
    reread: Sequence[Name]
    place: Place


def compute(call: Call, weights: Weights | None) -> tuple[Mapping[Name, Array], Run | None]:
    """Outputs and run of a call, whose values for buffers are written; with
    ``cavs.detect_nonfinite`` it looks for NaN."""
    if detecting():
        if weights is not None:
            raise CavsRuntimeError(
                "[torch] expected the layer's own parameters while looking for values that are not "
                "finite, got others in their place; call the layer itself, or leave out "
                "detect_nonfinite"
            )
        outputs, run, updates = search_in(call).checked_forward()
    else:
        given = call.graphs, call.inputs, call.random, call.wanted
        executor: Any = call.executor  # the native one, which alone takes weights
        outputs, run, updates = executor.forward(*given, weights=weights)
    write_buffers(call.params, updates)
    return outputs, run


def tensors_of(outputs: Mapping[Name, Array], place: Place) -> dict[Name, torch.Tensor]:
    """The outputs as tensors of the same memory."""
    return {name: place.tensor_of(y) for name, y in outputs.items()}


class _Kept(np.ndarray):
    """What backward needs, and its number in an array of one element.

    A tensor of this array is all that PyTorch saves. So the run is freed when PyTorch frees what it
    saved, as a checkpoint does right after the forward, whose backward then finds the run of the
    call that computed again.

    Attributes:
        learning, run: the call and its run; None once it is used up.
        names: names of the outputs.
        watch: watches the parameters' values; None where others stand in their place.
        read: tensors whose memory backward reads again; operands first.
        versions: their versions in the forward.
        before: the buffers that calls write, as they were; see `cavs.recording.values_before`.
    """

    learning: Learning
    run: Run | None
    names: list[Name]
    watch: Watch | None
    read: list[torch.Tensor]
    versions: list[int]
    before: Mapping[int, Array]

    def token(self) -> torch.Tensor:
        """The tensor to save."""
        self[0] = number = next(_numbers)
        _kept[number] = self
        return torch.from_numpy(self)

    def check(self) -> None:
        """Checks that nothing was written that backward reads again.

        Raises:
            CavsRuntimeError: something was; names it.
        """
        call = self.learning.call
        if self.watch is not None:
            check_unwritten(self.watch, call)
        now = [x._version for x in self.read]
        if now != self.versions:
            number = next(i for i, v in enumerate(now) if v != self.versions[i])
            raise CavsRuntimeError(
                f"[backward] expected {self._what(number)} as in the forward, got it modified by "
                "an inplace operation since; call backward before, or write to a copy"
            )

    def _what(self, number: int) -> str:
        call, floats = self.learning.call, self.learning.floats
        params = _learnable(call)
        if number < len(params):
            return f"parameter {call.name_of(params[number])!r}"
        number -= len(params)
        if number < len(floats):
            return f"input {floats[number]!r}"
        return f"output {self.learning.reread[number - len(floats)]!r}"


def _learnable(call: Call) -> list[Parameter]:
    """The parameters that are operands: buffers, and arrays in F, come after them."""
    return [p for p in call.params if not is_buffer(p)]


_numbers = itertools.count()
_kept: WeakValueDictionary[int, _Kept] = WeakValueDictionary()


def _find(token: torch.Tensor) -> _Kept:
    kept = _kept.get(int(token))
    if kept is None:
        raise CavsRuntimeError(
            "[torch] expected the saved tensor of a call, got a copy of it from a hook for saved "
            "tensors; call the layer outside of hooks that copy them"
        )
    return kept


class Evaluate(torch.autograd.Function):
    """Outputs from (learning, names, *operands); `names` gets the names of the outputs."""

    @staticmethod
    def forward(ctx: Any, learning: Learning, names: list[Name], *operands: torch.Tensor) -> Any:
        call = learning.call
        params: Sequence[Parameter] = call.executor.compiler.unwritten
        kept = np.zeros(1, np.int64).view(_Kept)
        kept.learning, kept.names = learning, names
        kept.read = list(operands)
        # Begin before the forward: another thread may write while it runs.
        kept.versions = _versions(kept.read)
        kept.before = values_before(call)
        own = learning.weights is None
        kept.watch = Watch([p._values for p in params], params) if own else None
        arrays, kept.run = compute(call, learning.weights)
        outputs = tensors_of(arrays, learning.place)
        names.extend(outputs)
        for name in learning.reread:
            kept.read.append(outputs[name].detach())  # without the graph, which would be a cycle
            kept.versions.append(outputs[name]._version)
        ctx.set_materialize_grads(False)
        if len(learning.differentiable) < len(outputs):
            fixed = [y for name, y in outputs.items() if name not in learning.differentiable]
            ctx.mark_non_differentiable(*fixed)
        ctx.save_for_backward(kept.token())
        return tuple(outputs.values())

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> Any:
        """Operands' gradients, which can be differentiated once more."""
        check_mode()
        kept = _find(ctx.saved_tensors[0])
        ordered = kept.learning.place.ordered()
        if not torch.is_grad_enabled():
            with ordered:
                return None, None, *_gradients(ctx, kept, cotangents)
        with torch.no_grad(), ordered:
            found = _gradients(ctx, kept, cotangents)
        known = [dx for dx in found if dx is not None]
        operands = kept.read[: len(found)]
        placed = [number for number, dx in enumerate(found) if dx is not None]
        given = kept, placed, len(operands)
        made = iter(_Differentiated.apply(*given, *known, *operands, *cotangents))
        return None, None, *(None if dx is None else next(made) for dx in found)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """Refused."""
        raise CavsRuntimeError(
            "[torch] expected a gradient in reverse mode, got forward-mode differentiation; use "
            "backward or torch.autograd.grad"
        )


def _versions(tensors: Sequence[torch.Tensor]) -> list[int]:
    try:
        return [x._version for x in tensors]
    except RuntimeError:  # it is one of inference mode
        raise CavsRuntimeError(
            "[torch] expected parameters and inputs made outside of torch.inference_mode where "
            "gradients are wanted, got one made within; give its clone(), or call the layer under "
            "torch.no_grad"
        ) from None


def _gradients(
    ctx: Any, kept: _Kept, cotangents: Sequence[torch.Tensor | None]
) -> list[torch.Tensor | None]:
    """A gradient for each operand, or None."""
    learning, run = kept.learning, kept.run
    call = learning.call
    if run is None:
        raise CavsRuntimeError(
            "[torch] expected one backward of a call, got a second; call the first with "
            "retain_graph=True"
        )
    kept.check()
    known = {
        name: _cotangent(name, dy, call, learning.place)
        for name, dy in zip(kept.names, cotangents, strict=True)
        if dy is not None
    }
    keep = torch._C._autograd._get_current_graph_task_keep_graph()
    if not keep:
        kept.run = kept.watch = None
    gradients = run.backward(known, retain=keep)
    if detecting() and learning.weights is None:
        search_in(call).check_gradients(gradients, known, None)
    found = _of_parameters(gradients, _learnable(call), learning.sparse, learning.place)
    # A reference that is left makes PyTorch copy the rows to where it accumulates them, and the
    # copy stays coalesced; rows that it takes over do not.
    ctx.rows = [dx for dx in found if dx is not None and dx.is_sparse]
    for name in learning.floats:
        dx = gradients.inputs.get(name)
        found.append(None if dx is None else learning.place.tensor_of(dx))
    return found


class _Differentiated(torch.autograd.Function):
    """The gradients of the operands of a call that are `placed`, by number, as they are: they come
    first, then all operands and the cotangents, on which they depend. `cavs.recording` does the
    same for cavs's own tape."""

    @staticmethod
    def forward(
        ctx: Any, kept: _Kept, placed: list[int], operands: int, *tensors: torch.Tensor | None
    ) -> Any:
        ctx.kept, ctx.placed = kept, placed
        ctx.save_for_backward(*tensors[len(placed) + operands :])
        return tuple(dx.detach() for dx in tensors[: len(placed)] if dx is not None)

    @staticmethod
    def backward(ctx: Any, *directions: torch.Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise CavsRuntimeError(
                "[torch] expected at most two differentiations of a layer, got a third "
                "(create_graph=True of gradients of gradients); leave those out of the loss, or "
                "use cavs.grad on tensors of cavs"
            )
        check_mode()
        with ctx.kept.learning.place.ordered():
            found = _second(
                ctx.kept, ctx.saved_tensors, dict(zip(ctx.placed, directions, strict=True))
            )
        return None, None, None, *[None] * len(ctx.placed), *found


def _second(
    kept: _Kept, cotangents: Sequence[torch.Tensor | None], directions: Mapping[int, Any]
) -> list[torch.Tensor | None]:
    """The gradients of operands and cotangents from those of the operands' gradients, by number."""
    learning = kept.learning
    call, place, params = learning.call, learning.place, _learnable(learning.call)
    kept.check()
    known = {
        name: _cotangent(name, dy, call, place)
        for name, dy in zip(kept.names, cotangents, strict=True)
        if dy is not None
    }
    of_inputs: dict[Name, Array] = {}
    of_params: dict[int, Array] = {}
    for number, direction in directions.items():
        if direction is None:
            continue
        dense = direction.to_dense() if direction.is_sparse else direction
        array = _cotangent("gradient", dense, call, place)
        if number < len(params):
            of_params[number] = array
        else:
            of_inputs[learning.floats[number - len(params)]] = array
    of_call, executor = with_tangents(call, frozenset(known), of_inputs, of_params)
    given: dict[Name, Array] = {name: of_inputs[n] for n, name in of_call.inputs.items()}
    given |= {name: of_params[i] for i, name in of_call.params.items()}
    given |= {name: kept.before[i] for i, name in of_call.buffers.items()}
    wanted = frozenset(n for n in call.wanted or () if n in of_call.trace.inputs)
    made = call_of_tangents(call, of_call, executor, given, wanted)
    native: Any = executor
    outputs, run, _ = native.forward(
        made.graphs, made.inputs, made.random, wanted, weights=learning.weights
    )
    tangents = {n: name for n, name in of_call.outputs.items() if n in known}
    gradients = run.backward({name: known[n] for n, name in tangents.items()})
    found = _of_parameters(gradients, params, False, place)
    arrays = [gradients.inputs.get(name) for name in learning.floats]
    arrays += [outputs.get(tangents.get(name)) for name in kept.names]
    return [*found, *(None if x is None else place.tensor_of(x) for x in arrays)]


def _cotangent(name: Name, cotangent: torch.Tensor, call: Call, place: Place) -> Array:
    array = place.array_of(cotangent, f"the gradient of output {name!r}")
    return place.device.contiguous(place.device.asarray(array, call.executor.dtype))


def _of_parameters(
    gradients: Gradients, params: Sequence[Parameter], sparse: bool, place: Place
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
            results[number] = place.tensor_of(total)
        elif sparse:
            results[number] = _sparse(total, place)
        else:
            results[number] = _dense(total, params[number], place)
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


def _sparse(rows: RowSparse, place: Place) -> torch.Tensor:
    ids = place.tensor_of(rows.indices.astype(np.int64)[np.newaxis])
    values = place.tensor_of(rows.values)
    return torch.sparse_coo_tensor(
        ids, values, rows.shape, is_coalesced=True, check_invariants=False
    )


def _dense(rows: RowSparse, parameter: Parameter, place: Place) -> torch.Tensor:
    whole = parameter.take_grad_buffer()
    whole.fill(0)
    rows.add_to(whole)
    return place.tensor_of(whole)
