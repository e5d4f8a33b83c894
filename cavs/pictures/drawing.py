"""`cavs.draw`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cavs._arguments import instance, items, shown
from cavs.core.ops._spaces import EdgeList
from cavs.core.type_order import TypeOrder
from cavs.core.vertex import VertexFunction
from cavs.core.vertex_program import VertexProgram
from cavs.errors import InputError, ShapeError
from cavs.model import Model
from cavs.program import Program
from cavs.scheduler import GraphBatch, InputGraph, Policy, batch

if TYPE_CHECKING:
    from cavs.pictures.graphs import Turns
    from cavs.pictures.picture import Picture

_MOST = 2000
"""Vertices of a picture."""


def draw(
    what: VertexFunction | Model | GraphBatch | InputGraph | Sequence[InputGraph],
    /,
    *,
    model: Model | None = None,
    policy: str | Policy | None = None,
    labels: Sequence[str] | None = None,
) -> Picture:
    """Draws a vertex function, or graphs with the batches in which their vertices run.

    A function is drawn with its inputs above, and its scatters and pushes below. Colours show
    whether a value has a row for each vertex, edge or graph. In a function of types the border
    shows the type, and a gather says which list of edges it reads: ``char<word, all`` are all words
    among the children of a character, ``char<any, child 0`` its first child of whichever type.

    Graphs are drawn with parents above. Colours show the types of vertices. Rows are levels, the
    first at the bottom; with `model` they are the batches in which it runs the vertices. With
    `policy`, and no model, they are those of a function that runs all types in batches.

    Args:
        what: a function, a model, or graphs of up to 2,000 vertices together.
        model: of graphs, a compiled function that takes them.
        policy: of graphs with types, as for `cavs.compile`.
        labels: of graphs, a text for each vertex; None shows their numbers.

    Returns:
        A picture: ``save(file)`` writes it as ``.svg`` or ``.dot``, or, where Graphviz is
        installed, as ``.png`` or ``.pdf``; ``svg()`` and ``dot()`` give texts. Notebooks show it.

    Raises:
        InputError: `what` cannot be drawn, or has no use for an argument; ShapeError: another
        number of labels; GraphError: graphs without types, with `policy`, or as in a call of the
        model.
    """
    if isinstance(what, (VertexFunction, Model)):
        for name, given in (("model", model), ("policy", policy), ("labels", labels)):
            if given is not None:
                raise InputError(
                    f"[draw] expected {name} with graphs alone, got it with a function; leave it "
                    "out"
                )
        return _draw_function(what)
    graphs = _batch(what)
    if graphs.num_vertices > _MOST:
        raise InputError(
            f"[draw] expected {_MOST:,} vertices or fewer, got {graphs.num_vertices:,}; draw some "
            "of the graphs"
        )
    from cavs.pictures.graphs import graphs_picture  # not with cavs: few programs draw

    return graphs_picture(graphs, _turns(graphs, model, policy), _labels(graphs, labels))


def _draw_function(what: VertexFunction | Model) -> Picture:
    from cavs.pictures.functions import function_picture

    if isinstance(what, Model):
        return function_picture(what.function, what._compiler.trace)
    return function_picture(what)


def _batch(what: Any) -> GraphBatch:
    if isinstance(what, GraphBatch):
        return what
    if isinstance(what, InputGraph):
        return batch([what])
    if not isinstance(what, (list, tuple)) or not all(isinstance(x, InputGraph) for x in what):
        several = isinstance(what, (Program, VertexProgram))
        raise InputError(
            f"[draw] expected a vertex function, a compiled one, or graphs, got {shown(what)}; "
            + ("draw its functions one by one" if several else "pass one of these")
        )
    return batch(what)


def _labels(graphs: GraphBatch, labels: Any) -> list[str] | None:
    if labels is None:
        return None
    found: list[str] = items("draw", "labels", labels, str, "texts")
    if len(found) != graphs.num_vertices:
        raise ShapeError(
            f"[draw] expected a label for each of the {graphs.num_vertices} vertices, got "
            f"{len(found)}; give one each"
        )
    return found


def _turns(graphs: GraphBatch, model: Model | None, policy: str | Policy | None) -> Turns:
    from cavs.pictures.graphs import batch_turns, level_turns

    if model is None and policy is None:
        return level_turns(graphs)
    if model is not None:
        instance("draw", "model", model, Model, "a compiled vertex function")
        if policy is not None:
            raise InputError(
                "[draw] expected a model or a policy, got both; compile the model with the policy"
            )
        graphs = model._checker.batch(graphs)
        order, trace, policy = model._compiler.types, model._compiler.trace, model._policy
        if order is None:
            return level_turns(graphs)
    else:
        assert policy is not None
        order, trace = _all_batched(graphs), None
    schedule = graphs.schedule(policy, order.numbers())
    name = policy if isinstance(policy, str) else getattr(policy, "__name__", type(policy).__name__)
    return batch_turns(graphs, schedule, order, trace, name)


def _all_batched(graphs: GraphBatch) -> TypeOrder:
    """The types of the graphs: all run in batches, and gather all children."""
    types = graphs.types or []
    if not types and graphs.num_vertices:
        raise InputError(
            "[draw] expected graphs with types for a policy, got some without; give them, as in "
            "InputGraph(children, types=[...])"
        )
    names = tuple(dict.fromkeys(x for x in types if isinstance(x, str)))
    if not names:
        names = tuple(str(number) for number in range(1 + max(map(int, types), default=-1)))
    lists = tuple(EdgeList(name, None) for name in names)
    return TypeOrder(names, names, lists, frozenset(names), frozenset())
