"""A call of a model on the tape: gradients of parameters end here, those of inputs flow on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from cavs.call import Call
from cavs.core.ir import Name
from cavs.core.ops._def import apply
from cavs.core.ops.loss import EMBEDDING
from cavs.core.tangents import WithTangents
from cavs.device import device_of
from cavs.device.taking import moved
from cavs.errors import CavsRuntimeError
from cavs.execution.executor import Array, Executor, Gradients, Run, read_parameters
from cavs.tensor import (
    RowSparse,
    Tensor,
    Watch,
    captures,
    detecting,
    grad_lock,
    record,
    retaining,
    wrong_cotangent,
)

if TYPE_CHECKING:
    from cavs.nonfinite import Search


def record_call(
    call: Call,
    outputs: Mapping[Name, Array],
    run: Run,
    tensors: Mapping[Name, Tensor],
    watch: Watch,
) -> dict[Name, Tensor]:
    """The outputs on the tape. Parameters are leaves, and get their gradients here and not
    through the tape: there may be many, and a step is short.

    Args:
        call: the call.
        outputs, run: the results of the executor.
        tensors: the inputs that want gradients.
        watch: watches the values of the parameters, since before the forward; the inputs from now.
    """
    names, params = list(outputs), call.params
    watched, before = len(watch.arrays), values_before(call)
    if tensors:  # a derivative of the gradient computes F again
        watch.add([x._values for x in tensors.values()])

    def backward(cotangents: Sequence[Any], place: Any = None) -> list[Any]:
        check_unwritten(watch, call, watched)
        known = {n: dy for n, dy in zip(names, cotangents, strict=True) if dy is not None}
        if place is not None:
            return _Differentiated(call, run, tensors, watch, watched, before).gradients(known)
        retain = retaining()
        if not retain:
            watch.end()
        gradients = run.backward(known, retain=retain)
        if detecting():
            search_in(call).check_gradients(gradients, known, wrong_cotangent())
        _accumulate(params, gradients)
        return _of_inputs(gradients, tensors)

    def find(index: int, output: Array) -> str:
        return search_in(call).origin_of(names[index], output)

    results = record(
        outputs.values(),
        tensors.values(),
        backward,
        name="model",
        learns=True,
        find=find,
        derives=params,
    )
    return dict(zip(names, results, strict=True))


def _accumulate(params: Sequence[Any], gradients: Gradients) -> None:
    """Adds gradients to those of parameters."""
    with grad_lock:
        for number, part in gradients.params:
            parameter = params[number]
            grad: Any = part
            if isinstance(part, tuple):
                grad = RowSparse._wrap(*part, parameter.shape)
            if not captures(parameter, grad):
                parameter._accumulate(grad, adopt=True)


def _dense(gradients: Gradients, params: Sequence[Any]) -> dict[int, Array]:
    """The gradients of parameters, by number."""
    found: dict[int, Array] = {}
    for number, part in gradients.params:
        if number not in found and not isinstance(part, tuple):
            found[number] = part
            continue
        if number not in found:
            found[number] = device_of(part[1]).zeros(params[number].shape, part[1].dtype)
        if isinstance(part, tuple):
            RowSparse._wrap(*part, params[number].shape).add_to(found[number])
        else:
            found[number] += part
    return found


def _of_inputs(gradients: Gradients, tensors: Mapping[Name, Tensor]) -> list[Array | None]:
    """The gradient of each tensor. One of the other precision, or of the host, was converted on its
    way in."""
    found = gradients.inputs
    return [
        moved(found[n], device_of(x._values)).astype(x.dtype, copy=False) if n in found else None
        for n, x in tensors.items()
    ]


class _Differentiated(NamedTuple):
    """A call whose gradients are differentiated.

    The gradients depend on the cotangents of the outputs and on inputs and parameters. The gradient
    of what a loss makes of them, by the cotangents, is the derivative of the outputs in a
    direction, that of its cotangents; by inputs and parameters it is the gradient of that
    derivative: the Hessian is symmetric. Both are a call of the function of tangents, and its
    backward: with the call and backward of before four sweeps.

    Attributes:
        watched: how many parameters `watch` watches, before the inputs.
        before: the buffers that calls write, by their numbers, as they were.
    """

    call: Call
    run: Run
    tensors: Mapping[Name, Tensor]
    watch: Watch
    watched: int
    before: Mapping[int, Array]

    def gradients(self, cotangents: Mapping[Name, Tensor]) -> list[Tensor | None]:
        """The gradients of the inputs that want one, then of the parameters, on the tape."""
        self._check()
        call, params = self.call, self.call.params
        device = call.executor.device
        arrays = {n: device.contiguous(dy._values) for n, dy in cotangents.items()}
        found = self.run.backward(arrays, retain=True)
        values: dict[Name, Array] = {}
        for n, dx in zip(self.tensors, _of_inputs(found, self.tensors), strict=True):
            if dx is not None:
                values[n] = dx
        of_params = _dense(found, params)
        outputs = [*values.values(), *of_params.values()]

        def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
            of_inputs = dict(zip(values, dys, strict=False))
            numbered = dict(zip(of_params, dys[len(values) :], strict=True))
            return self._second(cotangents, of_inputs, numbered, place is not None)

        operands = [*cotangents.values(), *self.tensors.values()]
        name = "gradient of model"
        made = record(outputs, operands, backward, name=name, learns=True, derives=params)
        by_input = dict(zip(values, made, strict=False))
        by_number = dict(zip(of_params, made[len(values) :], strict=True))
        return [
            *(by_input.get(n) for n in self.tensors),
            *(by_number.get(i) for i in range(len(params))),
        ]

    def _check(self) -> None:
        """Checks that inputs and parameters are as in the forward."""
        check_unwritten(self.watch, self.call, self.watched)
        written = self.watch.first_changed()
        if written >= 0:
            name = list(self.tensors)[written - self.watched]
            raise CavsRuntimeError(
                f"[grad] expected input {name!r} as it was in the call, got values that were "
                "written since; take derivatives before you write to them, or call the model again"
            )

    def _second(
        self,
        cotangents: Mapping[Name, Tensor],
        of_inputs: Mapping[Name, Any],
        of_params: Mapping[int, Any],
        on_tape: bool,
    ) -> list[Any]:
        """The gradients of the operands of the gradient, and of parameters, from the cotangents of
        its results: arrays, and of parameters by accumulation, or tensors `on_tape`."""
        self._check()
        directions: dict[Name, Any] = {n: dx for n, dx in of_inputs.items() if dx is not None}
        numbered = {i: dw for i, dw in of_params.items() if dw is not None}
        call = self.call
        asked = frozenset(cotangents), directions, numbered
        known, executor = with_tangents(call, *asked, by_rows=on_tape)
        given: dict[Name, Any] = {name: directions[n] for n, name in known.inputs.items()}
        given |= {name: numbered[i] for i, name in known.params.items()}
        for (number, ids), name in known.rows.items():
            table = numbered[number]
            given[name] = apply(EMBEDDING, table, Tensor(call.inputs[ids]).to(table.device))
        device, dtype = executor.device, executor.dtype
        learning = {n: x for n, x in self.tensors.items() if n in known.trace.inputs}
        if on_tape:
            given = {n: x.astype(dtype).to(device.name) for n, x in given.items()}
            learning |= {n: x for n, x in given.items() if x.requires_grad}
            given = {n: x._values for n, x in given.items()}
        given |= {name: self.before[i] for i, name in known.buffers.items()}
        made = call_of_tangents(call, known, executor, given, frozenset(learning))
        params = executor.compiler.unwritten
        watch = Watch([p._values for p in params], params)
        outputs, run, _ = executor.forward(made.graphs, made.inputs, made.random, made.wanted)
        assert run is not None
        tangents = {n: known.outputs[n] for n in cotangents if n in known.outputs}
        if on_tape:
            results = record_call(made, outputs, run, learning, watch)
            given_out = {name: cotangents[n] for n, name in tangents.items()}
            derived = _Differentiated(made, run, learning, watch, len(params), {}).gradients(
                given_out
            )
            found = dict(zip(learning, derived, strict=False))
            return [
                *(results.get(tangents.get(n)) for n in cotangents),
                *(found.get(n) for n in self.tensors),
                *derived[len(learning) :],
            ]
        known_out = {name: device.contiguous(cotangents[n]._values) for n, name in tangents.items()}
        gradients = run.backward(known_out)
        _accumulate(params, gradients)
        return [
            *(outputs.get(tangents.get(n)) for n in cotangents),
            *_of_inputs(gradients, self.tensors),
        ]


# By executor, the executors of tangents, by outputs, inputs and numbers of parameters.
_Key = tuple[frozenset[Name], frozenset[Name], frozenset[int], bool]
_tangents: WeakKeyDictionary[Executor, dict[_Key, tuple[WithTangents, Executor]]] = (
    WeakKeyDictionary()
)


def with_tangents(
    call: Call,
    outputs: frozenset[Name],
    inputs: Iterable[Name],
    params: Iterable[int],
    by_rows: bool = False,
) -> tuple[WithTangents, Executor]:
    """The function of tangents of a call's function, and its executor; compiled once."""
    known = _tangents.setdefault(call.executor, {})
    key = outputs, frozenset(inputs), frozenset(params), by_rows
    if key not in known:
        compiler, found = call.executor.compiler.with_tangents(*key)
        known[key] = found, call.executor.of(compiler)
    return known[key]


def call_of_tangents(
    call: Call,
    known: WithTangents,
    executor: Executor,
    tangents: Mapping[Name, Array],
    wanted: frozenset[Name],
) -> Call:
    """The call of a function of tangents that belongs to a call."""
    device, dtype = executor.device, executor.dtype
    arrays = {n: x for n, x in call.inputs.items() if n in known.trace.inputs}
    for n, x in tangents.items():
        arrays[n] = device.contiguous(moved(x, device).astype(dtype, copy=False))
    return call._replace(executor=executor, inputs=arrays, wanted=wanted)


def search_in(call: Call) -> Search:
    """The search for where a value of a call that is not finite comes from."""
    # Not with cavs: it needs the reference executor, which few programs ever do.
    from cavs.nonfinite import Search

    return Search(call)


def values_before(call: Call) -> dict[int, Array]:
    """Copies of the buffers that calls write, by their numbers: derivatives of gradients read the
    values that they have before the call writes."""
    compiler = call.executor.compiler
    first = len(compiler.unwritten)
    values = read_parameters(compiler.params[first:]).values
    return {first + i: device_of(x).copy(x) for i, x in enumerate(values)}


def check_unwritten(watch: Watch, call: Call, count: int | None = None) -> None:
    """Checks that the parameters are as in the forward: backward reads them in place. They are the
    first `count` that are watched; None: all."""
    written = watch.first_changed()
    if written >= 0 and (count is None or written < count):
        name = call.name_of(call.params[written])
        raise CavsRuntimeError(
            f"[backward] expected parameter {name!r} as it was in the forward, got one that was "
            "written since; call backward before optimizers, load_state_dict or others change it, "
            "or call the model again"
        )
