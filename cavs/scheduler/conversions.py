"""Input graphs from those of other libraries, and back; the libraries are imported where needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cavs._arguments import choice, integer, printed, shown
from cavs.errors import CavsError, DTypeError, GraphError, InputError, ShapeError

if TYPE_CHECKING:
    from cavs.scheduler.input_graph import InputGraph

WORDS = ("merged", "vertices")


class Edges(NamedTuple):
    """The ends of edges, in their order, as `InputGraph.from_edges` takes them."""

    num_vertices: int
    children: npt.ArrayLike
    parents: npt.ArrayLike


def as_array(given: Any, component: str, name: str) -> npt.NDArray[Any]:
    """The array of another library, or of lists, as NumPy reads it. Raises InputError."""
    try:
        return np.asarray(given)
    except CavsError:  # of a symbol
        raise
    except Exception as error:  # an object's own conversion to an array may raise anything
        raise InputError(
            f"[{component}] expected an array as {name}, got {printed(error, str)}; convert it"
        ) from None


def edges_of_index(edge_index: Any, num_vertices: Any) -> Edges:
    """The edges of an array (2, E): sources are children, targets parents."""
    count = integer("graph", "num_vertices", num_vertices, 0, error=GraphError)
    array = as_array(edge_index, "graph", "edge_index")
    if array.ndim != 2 or array.shape[0] != 2:
        raise ShapeError(
            "[graph] expected edge_index of shape (2, E), the sources above the targets, got "
            f"shape {array.shape}; transpose or stack the two"
        )
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(
            f"[graph] expected integers in edge_index, got {array.dtype}; convert it to int64"
        )
    return Edges(count, array[0].astype(np.int64), array[1].astype(np.int64))


def lists_of_networkx(graph: Any, slot: Any) -> list[list[int]]:
    """The child list of each node, holes included: the sources of the edges that end there."""
    if slot is not None and not isinstance(slot, str):
        raise InputError(
            f"[graph] expected the name of an edge attribute, or None, as slot, got {shown(slot)}; "
            "pass one"
        )
    is_graph = callable(getattr(graph, "is_directed", None)) and not isinstance(graph, type)
    if not is_graph or not hasattr(graph, "in_edges"):
        found = "an undirected graph" if is_graph else shown(graph)
        raise InputError(
            f"[graph] expected a networkx.DiGraph or MultiDiGraph, got {found}; make the graph "
            "directed, its edges from child to parent"
        )
    number = {node: index for index, node in enumerate(graph.nodes)}
    lists = []
    for node in number:
        edges = list(graph.in_edges(node, data=True))
        children = [number[source] for source, _, _ in edges]
        given = [] if slot is None else [data[slot] for *_, data in edges if slot in data]
        lists.append(_at_slots(children, given, node) if given else children)
    return lists


def _at_slots(children: list[int], slots: Sequence[Any], node: Any) -> list[int]:
    """`with_holes` of `node`, whose slots are checked."""
    where = f"[graph] node {shown(node)}: expected"
    if len(slots) != len(children):
        raise GraphError(
            f"{where} a slot on all of its {len(children)} edges or on none, got {len(slots)}; "
            "give each edge its child's position"
        )
    found = [integer("graph", "slot of an edge", slot, 0, error=GraphError) for slot in slots]
    if len(set(found)) != len(found):
        raise GraphError(
            f"{where} children at distinct slots, got {shown(sorted(found))}; number them"
        )
    if max(found) >= _MOST_SLOTS:
        raise GraphError(
            f"{where} slots below {_MOST_SLOTS}, got {max(found)}; number children from 0"
        )
    return with_holes(children, found)


def with_holes(children: list[int], slots: list[int]) -> list[int]:
    """The child list with each child at its slot, and -1 where there is none."""
    placed = [-1] * (max(slots, default=-1) + 1)
    for slot, child in zip(slots, children, strict=True):
        placed[slot] = child
    return placed


_MOST_SLOTS = 1 << 20  # a list of so many is a mistake, and would fill the memory


def networkx_of(graph: InputGraph) -> Any:
    """A networkx.MultiDiGraph with an edge from each child to its parent."""
    try:
        import networkx
    except ImportError:
        raise InputError(
            "[graph] expected package networkx, got none; pip install 'cavs-nn[data]'"
        ) from None
    made: Any = networkx.MultiDiGraph()
    made.add_nodes_from(range(graph.num_vertices))
    edge = 0
    for vertex, children in enumerate(graph.children):
        for slot, child in enumerate(children):
            if child >= 0:
                made.add_edge(child, vertex, edge=edge, slot=slot)
                edge += 1
    return made


def lists_of_nltk(tree: Any, words: Any) -> list[list[int]]:
    """The child list of each vertex of a tree, in post-order; needs no recursion."""
    merged = choice("graph", "words", words, WORDS) == "merged"
    if not _is_tree(tree):
        raise InputError(f"[graph] expected an nltk.Tree, got {shown(tree)}; pass one")
    lists: list[list[int]] = []
    # For each open tree: what is left of its children, and the vertices of those before.
    opened = [(tree, iter(_parts(tree, merged)), list[int]())]
    on_path = {id(tree)}
    while opened:
        current, rest, children = opened[-1]
        for part in rest:
            if _is_tree(part):
                if id(part) in on_path:
                    raise GraphError(
                        "[graph] expected a tree, got one that is its own descendant; copy it"
                    )
                on_path.add(id(part))
                opened.append((part, iter(_parts(part, merged)), []))
                break
            lists.append([])
            children.append(len(lists) - 1)
        else:
            opened.pop()
            on_path.remove(id(current))
            lists.append(children)
            if opened:
                opened[-1][2].append(len(lists) - 1)
    return lists


def _is_tree(value: Any) -> bool:
    return isinstance(value, list) and callable(getattr(value, "label", None))


def _parts(tree: Any, merged: bool) -> list[Any]:
    """The children of a tree that are vertices of their own."""
    is_preterminal = merged and len(tree) == 1 and not _is_tree(tree[0])
    return [] if is_preterminal else list(tree)
