"""`InputGraph`: the structure of one sample."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cavs._arguments import integer, is_among, shown
from cavs._native import core
from cavs.errors import DTypeError, GraphError, InputError
from cavs.scheduler.conversions import (
    edges_of_index,
    lists_of_networkx,
    lists_of_nltk,
    networkx_of,
    with_holes,
)
from cavs.scheduler.structure import IntArray, Ints, Structure, Types


class InputGraph(Structure):
    """A directed acyclic graph: for each vertex the list of its children. Immutable.

    Children may stand before or after their parents, a vertex may have several parents, and a child
    may stand twice in a list. The order of a list counts: `gather(k)` is its k-th child. Edges are
    numbered in the order of the lists: vertex 0's, then vertex 1's, ...

        >>> InputGraph(children=[[], [], [0, 1]])
        InputGraph(children=[[], [], [0, 1]])

    A list may have holes: -1 where the k-th child is missing, as in ``[-1, 0]``, a right child
    without a left one. `gather(k)` reads zeros there, and a gather of all children skips it: a hole
    is no edge. Holes behind the last child say nothing and are dropped; a list of holes alone makes
    a leaf.

    `types` gives each vertex a type, by name or by number, for :class:`cavs.TypedFunction`.

    Where children are consecutive vertices, as what a word of a sentence attends to, `windows` and
    `chain` make graphs that hold two numbers for each vertex and none for each edge.

    Raises `GraphError` that names the vertex for a child out of range and for a cycle, and
    `DTypeError` for a child that is not an integer.
    """

    __slots__ = ()

    def __init__(
        self,
        children: Sequence[Sequence[int]] | Sequence[npt.NDArray[Any]],
        types: Types | None = None,
    ) -> None:
        try:
            self._native = core.GraphBatch.from_children(children)
        except TypeError as error:
            raise DTypeError(str(error)) from None
        self._set_types(types)

    @classmethod
    def from_parents(
        cls,
        parents: Ints,
        *,
        order: Literal["number", "leaf"] = "number",
        types: Types | None = None,
    ) -> "InputGraph":
        """Make a forest from the parent of each vertex, -1 for a root; [num_vertices].

        Parents alone do not say which child comes first. With `order` ``number`` children stand by
        their numbers; with ``leaf`` by the least number of a leaf below each (of a leaf, its own
        number). If leaves are numbered from left to right, as in a sentence, children then stand
        from left to right too.
        """
        if not is_among(order, ("number", "leaf")):
            raise InputError(
                f"[graph] expected order 'number' or 'leaf', got {shown(order)}; pass one of these"
            )
        return cls._from_native(core.GraphBatch.from_parents, parents, order == "leaf", types=types)

    @classmethod
    def from_edges(
        cls, num_vertices: int, children: Ints, parents: Ints, types: Types | None = None
    ) -> "InputGraph":
        """Make a graph from the two ends of each edge; two arrays of [num_edges].

        A vertex's children stand in the order in which their edges are given. Where `parents` is
        sorted, the graph's edges are numbered as given; otherwise edge `e` of the graph is given
        edge ``numpy.argsort(parents, kind="stable")[e]``, and inputs on edges stand in that order.
        """
        ends = num_vertices, children, parents
        return cls._from_native(core.GraphBatch.from_edges, *ends, types=types)

    @classmethod
    def from_csr(
        cls,
        child_ptr: Ints,
        child_index: Ints,
        child_slot: Ints | None = None,
        types: Types | None = None,
    ) -> "InputGraph":
        """Make a graph from arrays like the attributes of these names.

        Holes are said by `child_slot`, or stand as -1 in `child_index`, where `child_ptr` counts
        them.
        """
        arrays = child_ptr, child_index, child_slot
        return cls._from_native(core.GraphBatch.from_csr, *arrays, types=types)

    @classmethod
    def windows(cls, first: Ints, count: Ints, types: Types | None = None) -> "InputGraph":
        """Make a graph whose child lists are runs: vertex i has the children ``first[i]``,
        ``first[i] + 1``, ... , ``count[i]`` of them; two arrays of [num_vertices].

        The graph is equal to the one with these lists, and F computes the same over both. It stays
        two int32 for each vertex, also in a batch and in its schedule, whatever the number of
        edges; lists are written out, once, where something asks for them by edges: `child_index`,
        an input of edges, or what F computes on the rows that a gather of all children has.

        All children stand before their parents, or, in a graph that is read from its end, all
        behind them. Graphs batched with others stay runs where the lists of all of them are
        consecutive, as those of chains are.

            >>> InputGraph.windows([0, 0, 0, 1], [0, 1, 2, 2])
            InputGraph(children=[[], [0], [0, 1], [1, 2]])

        Raises `GraphError` that names the vertex for a negative count, for children out of range or
        not before their parent, and for more than 2**31 - 2 edges in all; `DTypeError` for
        anything but integers.
        """
        return cls._from_native(core.GraphBatch.graph_from_runs, first, count, types=types)

    @classmethod
    def chain(
        cls,
        length: int,
        *,
        window: int | None = None,
        memory: int = 0,
        types: Types | None = None,
    ) -> "InputGraph":
        """Make a causal chain: each vertex sees those before it, held as runs (see `windows`).

        The graph has ``memory + length`` vertices. The first `memory` are leaves: what is
        remembered of earlier segments, as in Transformer-XL (Dai et al., ACL 2019). Behind them
        stand the vertices of the segment. The children of vertex i are the last `window` vertices
        before it, ascending, or as many as there are; with `window` None all before it. It is no
        child of itself. Vertices of the memory count like others: with ``memory=window`` each
        vertex of the segment has `window` children.

            >>> InputGraph.chain(3)
            InputGraph(children=[[], [0], [0, 1]])
            >>> InputGraph.chain(3, window=2, memory=2)
            InputGraph(children=[[], [], [0, 1], [1, 2], [2, 3]])

        `types` are those of all ``memory + length`` vertices. Raises `GraphError` for a negative
        number, and for more than 2**31 - 2 edges, as 65,537 vertices without a window have.
        """
        sizes = (
            integer("graph", "length", length, 0, error=GraphError),
            -1 if window is None else integer("graph", "window", window, 0, error=GraphError),
            integer("graph", "memory", memory, 0, error=GraphError),
        )
        return cls._from_native(core.GraphBatch.chain, *sizes, types=types)

    @classmethod
    def from_edge_index(cls, edge_index: npt.ArrayLike, num_vertices: int) -> "InputGraph":
        """Make a graph from edges as PyTorch Geometric and DGL hold them.

        Column e of `edge_index`, integers [2, E], is the edge from ``edge_index[0, e]`` to
        ``edge_index[1, e]``. Messages flow from source to target, so the source is the child and
        the target the parent; swap the rows (``edge_index[::-1]``) of a tree whose edges lead down
        from its root. A vertex's children stand in the order of the columns; a column that comes
        again is an edge of its own. Edge `e` of the graph is column
        ``numpy.argsort(edge_index[1], kind="stable")[e]``: ``edge_attr[order]`` are its inputs.

        Raises `ShapeError` for another shape, `DTypeError` for anything but integers, `GraphError`
        for an end out of range and for a cycle, a vertex's edge to itself among them.
        """
        edges = edges_of_index(edge_index, num_vertices)
        return cls._from_native(core.GraphBatch.from_edges, *edges)

    def to_edge_index(self) -> npt.NDArray[np.int64]:
        """The edges as `from_edge_index` takes them, int64 [2, num_edges]: children, which are
        sources, above parents, in the order of the graph's edges."""
        parents = np.repeat(np.arange(self.num_vertices), np.diff(self.child_ptr))
        return np.stack([self.child_index.astype(np.int64), parents])

    @classmethod
    def from_networkx(cls, graph: Any, *, slot: str | None = "slot") -> "InputGraph":
        """Make a graph from a ``networkx.DiGraph`` or ``MultiDiGraph``.

        Vertex i is the i-th of ``graph.nodes``. Messages flow along the edges: an edge leads from
        child to parent; pass ``graph.reverse()`` where edges lead from parent to child. A vertex's
        children stand as ``graph.in_edges(node)`` gives them, or, where its edges have the integer
        attribute `slot`, each at that position, with holes where there is none. The edges of a
        graph without slots are numbered as ``[e for node in graph for e in graph.in_edges(node)]``.

        Raises `InputError` for anything else, an undirected graph among it, and `GraphError` for a
        cycle and for slots that are no distinct integers from 0 on.
        """
        return cls(lists_of_networkx(graph, slot))

    def to_networkx(self) -> Any:
        """The graph as a ``networkx.MultiDiGraph``, which `from_networkx` reads back.

        Its nodes are the numbers of the vertices. Each edge leads from a child to its parent and
        has the attributes ``edge``, its number, and ``slot``, the child's position. Raises
        `InputError` where networkx is not installed.
        """
        return networkx_of(self)

    @classmethod
    def from_nltk(
        cls, tree: Any, *, words: Literal["merged", "vertices"] = "merged"
    ) -> "InputGraph":
        """Make a graph from an ``nltk.Tree``: its vertices are in post-order, the root last.

        Each subtree is a vertex. With `words` ``merged`` a subtree that holds a word and nothing
        else, ``(DT the)``, is one vertex, as in all treebanks here; with ``vertices`` every word is
        a vertex of its own. A word among other children is one either way. `data.phrase_tree` also
        keeps labels and words. Raises `InputError` for anything but a tree.
        """
        return cls(lists_of_nltk(tree, words))

    @classmethod
    def _from_native(cls, make: Any, *args: Any, types: Types | None = None) -> "InputGraph":
        graph = cls.__new__(cls)
        try:
            graph._native = make(*args)
        except TypeError as error:
            raise DTypeError(str(error)) from None
        graph._set_types(types)
        return graph

    @property
    def child_index(self) -> IntArray:
        """Each edge's child: the lists one after the other; int32 [num_edges], read-only."""
        array: IntArray = self._native.children
        return array

    @property
    def children(self) -> list[list[int]]:
        """The child list of each vertex, with -1 for a hole."""
        if self.runs is not None:
            first, count = (array.tolist() for array in self.runs)
            return [list(range(a, a + n)) for a, n in zip(first, count, strict=True)]
        index, ptr = self.child_index.tolist(), self.child_ptr.tolist()
        if not self.has_holes:
            return [index[first:last] for first, last in pairwise(ptr)]
        slots = self.child_slot.tolist()
        return [with_holes(index[a:b], slots[a:b]) for a, b in pairwise(ptr)]

    @property
    def levels(self) -> IntArray:
        """Level of each vertex: 1 + its children's greatest, 0 for a leaf; int32 [num_vertices]."""
        array: IntArray = self._native.vertex_levels()
        return array

    @property
    def num_levels(self) -> int:
        """Number of levels; 0 without vertices."""
        return int(self.levels.max(initial=-1)) + 1

    @property
    def depth(self) -> int:
        """Number of edges on the longest path, which is one less than `num_levels`, at least 0."""
        return max(self.num_levels - 1, 0)

    def reverse(self) -> "InputGraph":
        """Return the graph with children and parents exchanged, vertices under the same numbers.

        A vertex's new children stand in the order of the edges, without holes; edge `e` of the
        reversed graph is this graph's edge
        ``numpy.argsort(graph.child_index, kind="stable")[e]``. Runs stay runs where the parents of
        each vertex are consecutive, as in chains.
        """
        return self._from_native(self._native.reverse)  # the types stay

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InputGraph):
            return NotImplemented
        return bool(self._native == other._native)

    def __hash__(self) -> int:
        return hash(self._hashed())

    def _arrays(self) -> tuple[Any, ...]:
        """The arguments of `from_csr` that make this graph."""
        slots = self._slots()[0] if self.has_holes else None
        last = () if self.types is None else (self.types,)
        found = np.array(self.child_ptr), np.array(self.child_index)
        return (*found, slots, *last) if last or slots is not None else found

    def __repr__(self) -> str:
        # Slots may be far apart, and edges parallel.
        if self.num_vertices <= 16 and int(self.child_slot.max(initial=0)) < 64:
            types = "" if self.types is None else f", types={self.types}"
            return f"InputGraph(children={self.children}{types})"
        return (
            f"<InputGraph of {self.num_vertices} vertices, {self.num_edges} edges, "
            f"{self.num_levels} levels>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self.runs is not None:
            return InputGraph.windows, (*map(np.array, self.runs), self.types)
        return InputGraph.from_csr, self._arrays()
