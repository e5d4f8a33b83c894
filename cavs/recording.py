"""A call of a model on the tape: gradients of parameters end here, those of inputs flow on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cavs.call import Call
from cavs.core.ir import Name
from cavs.device import device_of
from cavs.device.taking import moved
from cavs.errors import CavsRuntimeError
from cavs.execution.executor import Array, Run
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
        watch: watches the values of the parameters, since before the forward.
    """
    names, params = list(outputs), call.params

    def backward(cotangents: Sequence[Any], place: Any = None) -> list[Any]:
        if place is not None:
            raise CavsRuntimeError(
                "[grad] expected operations on tensors between outputs and inputs, got a call of a "
                "model, whose gradient has no derivative; take cavs.grad in its vertex function"
            )
        retain = retaining()
        check_unwritten(watch, call)
        if not retain:
            watch.end()
        known = {n: dy for n, dy in zip(names, cotangents, strict=True) if dy is not None}
        gradients = run.backward(known, retain=retain)
        if detecting():
            search_in(call).check_gradients(gradients, known, wrong_cotangent())
        with grad_lock:
            for number, part in gradients.params:
                parameter = params[number]
                grad: Any = part
                if isinstance(part, tuple):
                    grad = RowSparse._wrap(*part, parameter.shape)
                if not captures(parameter, grad):
                    parameter._accumulate(grad, adopt=True)
        # Tensors of the other precision, or of the host, were converted on their way in.
        found = gradients.inputs
        return [
            moved(found[n], device_of(x._values)).astype(x.dtype, copy=False)
            if n in found
            else None
            for n, x in tensors.items()
        ]

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


def search_in(call: Call) -> Search:
    """The search for where a value of a call that is not finite comes from."""
    # Not with cavs: it needs the reference executor, which few programs ever do.
    from cavs.nonfinite import Search

    return Search(call)


def check_unwritten(watch: Watch, call: Call) -> None:
    """Checks that the parameters are as in the forward: backward reads them in place."""
    written = watch.first_changed()
    if written >= 0:
        name = call.name_of(call.params[written])
        raise CavsRuntimeError(
            f"[backward] expected parameter {name!r} as it was in the forward, got one that was "
            "written since; call backward before optimizers, load_state_dict or others change it, "
            "or call the model again"
        )
