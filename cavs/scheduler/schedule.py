"""The content of a schedule, and the policies by which it is made."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cavs._arguments import is_among, shown
from cavs._native import core
from cavs.errors import InputError
from cavs.scheduler.learned_policy import LearnedPolicy

IntArray = npt.NDArray[np.int32]

Policy = Callable[[Mapping[str, int]], str]
"""From the number of ready vertices of each type that has some to the type that runs next."""

#: ``depth`` goes level by level, in each level type by type: a vertex is activated together with
#: all others whose last child is done. ``agenda`` runs the type whose vertices have the least
#: average depth, ``bound`` one whose batch lowers the lower bound of what is left: the longest
#: chain of each type, added up. ``serial`` runs one vertex at a time, graph by graph. With one type
#: the first three are the same.
POLICIES = ("depth", "agenda", "bound", "serial")
_ALIASES = {"batching": "depth"}


class Schedule(Protocol):
    """A batch's vertices renumbered batch by batch; all arrays are int32 and not to be written to.

    The vertices of a batch run together: without types those of a level, else some of one type.
    Rows stand type by type, those of a batch are contiguous and keep the user's order; an edge's
    row follows its parent's, so a batch's edges are contiguous too. What is said of edges is, in a
    schedule for types, of the first list of edges. CSR is a pair of
    arrays: the values, and `_ptr`, the offset at which each row's values start, ending with the
    total.
    """

    num_graphs: int
    num_vertices: int
    num_edges: int
    num_levels: int  # the same as num_batches
    num_batches: int
    num_steps: int  # of batches that do not wait for each other
    batches: list[tuple[int, int, int]]  # (type, first row, last row + 1), in order
    type_rows: list[tuple[int, int, int]]  # (first row, first inner row, last row + 1) by type
    has_runs: bool  # whether the batch holds child lists as runs
    has_few_leaves: bool  # fewer than 32, and an eighth of the vertices at most; without types
    max_arity: int  # the greatest number of children of a vertex
    num_slots: int  # 1 + the greatest slot of a child: max_arity, or more where lists have holes
    level_ptr: IntArray  # [num_levels + 1] first vertex row of each level
    level_edge_ptr: IntArray  # [num_levels + 1] first edge row of each level
    vertex_order: IntArray  # [vertex row] -> user's vertex
    vertex_row: IntArray  # [user's vertex] -> vertex row
    edge_order: IntArray  # [edge row] -> user's edge
    child: IntArray  # [edge row] -> vertex row of the child
    parent: IntArray  # [edge row] -> vertex row of the parent
    edge_slot: IntArray  # [edge row] -> place in the parent's child list, holes counted
    child_ptr: IntArray  # CSR vertex row -> its edge rows, which are contiguous
    out_ptr: IntArray  # CSR vertex row -> the edge rows in which it is the child,
    out_edge: IntArray  #   ascending
    graph: IntArray  # [vertex row] -> graph
    local: IntArray  # [vertex row] -> number within its graph
    edge_graph: IntArray  # [edge row] -> graph
    edge_local: IntArray  # [edge row] -> number within its graph's edges
    step_ptr: IntArray  # [num_steps + 1] first batch of each step
    graph_ptr: IntArray  # CSR graph -> its vertex rows,
    graph_vertex: IntArray  #   in the user's order

    def slot(self, k: int, list: int = 0) -> IntArray:
        """Maps each vertex row to the vertex row of its k-th child, in a list of edges, or -1;
        [num_vertices]."""

    def runs(self, list: int = 0) -> dict[str, Any]:
        """The runs of children in a list of edges, linear in the vertices: `first` [vertex row],
        the place of the first child (-1: the children are no run), `order` [place], vertex rows of
        what can be a child in the user's order, `graph_ptr` [graph + 1], the first place of each
        graph, `whole` [graph], whether all vertices of the graph have runs, `ptr`, that of
        `edge_rows`."""

    def missing_ids(self, ids: IntArray, known: Any, rows: Any) -> IntArray | None:
        """Those of the ids of some rows, a native ``IdRows``, for which `known` is false."""

    def edge_rows(self, list: int) -> dict[str, IntArray]:
        """The arrays of a list of edges: order, child, parent, slot, ptr, out_ptr, out_edge."""


def check_policy(policy: Any, component: str = "schedule") -> Any:
    """Return the policy, by its own name; raises `InputError` where there is none, or where it is a
    function that does not take the ready vertices as its one argument."""
    if callable(policy):
        _check_arguments(policy)
        return policy
    if is_among(policy, _ALIASES):
        return _ALIASES[policy]
    if not is_among(policy, POLICIES):
        raise InputError(
            f"[{component}] expected policy {', '.join(POLICIES)} or a function of the ready "
            f"vertices by type, got {shown(policy)}; choose one of these"
        )
    return policy


@lru_cache(maxsize=256)
def _native_order(types: tuple[Any, ...]) -> Any:
    """Read once: each call of a model over a new batch makes a schedule."""
    return core.TypeOrder(types)


def _check_arguments(policy: Callable[..., Any]) -> None:
    """Raises `InputError` where a function cannot be called with one argument. It is asked of this
    before it is called: a TypeError of the call may be one that it raised itself."""
    try:
        # What a decorator makes takes other arguments than what it wraps.
        signature = inspect.signature(policy, follow_wrapped=False)
    except (TypeError, ValueError):  # of some that are built in nothing is known
        return
    try:
        signature.bind({})
    except TypeError:
        raise InputError(
            "[policy] expected a function of one argument, the number of ready vertices by type, "
            f"got one of {signature}; give it one, as in def policy(ready)"
        ) from None


def make_schedule(batch: Any, policy: str | Policy, types: tuple[Any, ...] | None) -> Schedule:
    """The schedule of a native batch; `types`: the order of a function's types, in numbers."""
    known = policy if policy.__class__ is str and policy in POLICIES else check_policy(policy)
    if isinstance(known, str):
        order = None if types is None else _native_order(types)
        made: Schedule = core.Schedule(batch, known, order)
        return made
    assert types is not None
    names = types[0]
    if isinstance(known, LearnedPolicy):
        known.check(names)
        made = core.Schedule(batch, "depth", _native_order(types), known.native(names))
        return made

    def choose(ready: list[int]) -> int:
        named = {name: count for name, count in zip(names, ready, strict=True) if count}
        ready_types = tuple(named)  # the policy may change the dictionary
        chosen = known(named)
        if not is_among(chosen, ready_types):
            raise InputError(
                f"[policy] expected one of the types with ready vertices, {list(ready_types)}, got "
                f"{shown(chosen)}; name one of these"
            )
        number: int = names.index(chosen)
        return number

    made = core.Schedule(batch, "depth", _native_order(types), choose)
    return made
