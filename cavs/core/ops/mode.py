"""Values that differ between training and evaluation, such as the statistics of a batch, and
buffers that training calls write."""

from __future__ import annotations

from typing import Any

from cavs._arguments import shown
from cavs.core.ops._def import OpDef, Shape, apply, define, shape_of
from cavs.core.ops._holding import makers
from cavs.core.ops._spaces import SpaceKind
from cavs.errors import InputError, ShapeError, TraceError


def _infer(training: Shape, *others: Shape) -> Shape:
    return training


def _vjp(dy: Any, y: Any, training: Any, evaluation: Any, *update: Any) -> tuple[Any, ...]:
    return apply(BY_MODE, dy, 0.0), apply(BY_MODE, 0.0, dy), *[None] * len(update)


# The first operand in training, the second in evaluation: each mode's program has one of them and
# not this operation. With a third one the second is a buffer, which takes its value.
BY_MODE: OpDef = define("by_mode", arity=-1, infer=_infer, vjp=_vjp)


def by_mode(training: Any, evaluation: Any) -> Any:
    """`training` in calls of a model in training mode, `evaluation` in others.

    Both are values of a vertex function, parameters, arrays or numbers; shapes are broadcast. Each
    mode computes its own alone.

    Raises:
        ShapeError: shapes do not fit; TraceError: outside of a vertex function.
    """
    check_traced("by_mode")
    return apply(BY_MODE, training, evaluation)


def running(value: Any, buffer: Any, update: Any) -> Any:
    """`value` in training, where a call writes `update` to `buffer`; in evaluation the buffer.

    So batch normalisation keeps running averages::

        mean = ops.running(x.batch_mean(), self.mean, 0.9 * self.mean + 0.1 * x.batch_mean())

    Within a call the buffer has the values from before it. A call that does not need the result
    leaves the buffer as it is, and so does a graph that grows. No gradient flows to the buffer or
    by way of `update`.

    Args:
        value: a value of the vertex function, of the buffer's shape.
        buffer: of :meth:`cavs.nn.Module.register_buffer`.
        update: a value without rows, of the buffer's shape.

    Raises:
        InputError: `buffer` is none; ShapeError: another shape, or `update` has rows; TraceError:
        outside of a vertex function.
    """
    check_traced("running")
    if not hasattr(buffer, "__cavs_buffer__") or hasattr(buffer, "__cavs_constant__"):
        raise InputError(
            f"[running] expected a buffer, got {shown(buffer)}; make one by self.register_buffer"
        )
    for what, x in (("a value", value), ("an update", update)):
        if shape_of("running", x) != buffer.shape:
            raise ShapeError(
                f"[running] expected {what} of shape {buffer.shape}, as the buffer, got {x.shape}; "
                "reshape it"
            )
    y = apply(BY_MODE, value, buffer, update)
    if y.inputs[2].space != SpaceKind.NONE:
        raise ShapeError(
            "[running] expected an update without rows, got one with rows; reduce it, as by "
            "x.batch_mean()"
        )
    return y


def check_traced(name: str) -> None:
    """Raises a TraceError outside of vertex functions."""
    if not makers.tracing():
        raise TraceError(
            f"[{name}] expected values of a vertex function, got a call outside of one; call it in "
            "the forward of a cavs.VertexFunction"
        )
