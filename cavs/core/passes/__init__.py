"""The passes, each a file, each with a switch; on and off give the same results to rounding.

A pass is a function ``(F or gradient, context) -> F or gradient``. The passes of the lowering, in
``cavs/core/lowering``, decide instead how a program is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from cavs.core.autodiff import Gradient
from cavs.core.ir import FunctionIR
from cavs.core.passes.commute_gather import commute_gather as commute_gather
from cavs.core.passes.context import Context as Context
from cavs.core.passes.distinct_gradients import distinct_gradients as distinct_gradients
from cavs.core.passes.fuse_attention import fuse_attention as fuse_attention
from cavs.core.passes.read_parents import read_parents as read_parents
from cavs.core.passes.remember_pulls import remember_pulls as remember_pulls
from cavs.core.passes.simplify import Simplifier as Simplifier
from cavs.core.passes.simplify import simplify as simplify
from cavs.core.passes.specialize_leaves import specialize_leaves as specialize_leaves
from cavs.core.passes.split_states import split_states as split_states
from cavs.core.passes.unique_pulls import unique_pulls as unique_pulls
from cavs.core.tracing import leaves_apart
from cavs.core.verify import verify

PASSES = (
    "simplify",
    "split_states",
    "commute_gather",
    "specialize_leaves",
    "fuse_attention",
    "unique_pulls",
    "remember_pulls",
    "read_parents",
    "skip_missing",
    "skip_masked",
    "merge_matmuls",
    "hoist",
    "defer",
    "fuse",
    "stream",
)
"""Names of the passes in the order of their work; the default is all of them. ``simplify`` works
again after the others of F, and on the gradient. ``stream`` is one of runs: segments that do not
need each other go on streams of their own, where the device has any."""

_IR = TypeVar("_IR", FunctionIR, Gradient)
Pass = Callable[[_IR, Context], _IR]

OF_FUNCTIONS: tuple[Pass[FunctionIR], ...] = (
    simplify,
    split_states,
    commute_gather,
    specialize_leaves,
    fuse_attention,
    unique_pulls,
    simplify,
)
OF_GRADIENTS: tuple[Pass[Gradient], ...] = (distinct_gradients, read_parents, simplify)

_ALWAYS = ("distinct_gradients",)


def run(passes: Sequence[Pass[_IR]], ir: _IR, context: Context) -> _IR:
    """F or a gradient after the passes that are on, verified after each."""
    for one in passes:
        name = one.__name__
        if name in context.switches or name in _ALWAYS:
            with leaves_apart(context.leaves_apart):
                ir = one(ir, context)
            verify(ir.roots(), name)
    return ir


def say_switches(context: Context, reasons: Mapping[str, str]) -> None:
    """Notes the passes that are off; `reasons`: of those that are for another reason than the
    user's."""
    for name in PASSES:
        if context.notes is not None and name not in context.switches:
            by = "passes= leaves it out"
            if name == "specialize_leaves":
                by += ", or policy='serial', which runs one vertex at a time"
            context.notes.refuse(name, None, reasons.get(name, f"is off: {by}"))
