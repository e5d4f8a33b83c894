"""Hypothesis strategies for graphs, for all tests that run over any structure.

Vertices are numbered at random: children before, after and among their parents.
"""

from hypothesis import strategies as st

from cavs.scheduler import GraphBatch, InputGraph, batch

__all__ = ["as_lists", "batches", "dags", "forests", "input_graphs", "run_graphs"]


@st.composite
def forests(draw: st.DrawFn, min_vertices: int = 0, max_vertices: int = 12) -> InputGraph:
    """Forests of any shape: at most one parent for each vertex, children in increasing order."""
    count = draw(st.integers(min_vertices, max_vertices))
    order = draw(st.permutations(range(count)))
    parents = [-1] * count
    for position in range(1, count):
        above = draw(st.integers(-1, position - 1))
        parents[order[position]] = -1 if above < 0 else order[above]
    return InputGraph.from_parents(parents)


@st.composite
def dags(
    draw: st.DrawFn,
    min_vertices: int = 0,
    max_vertices: int = 12,
    max_arity: int = 4,
    holes: bool = False,
) -> InputGraph:
    """Acyclic graphs: several parents, mixed arity, child lists in any order, parallel edges; with
    `holes` in the lists, also at their ends, or nothing else."""
    count = draw(st.integers(min_vertices, max_vertices))
    order = draw(st.permutations(range(count)))
    children: list[list[int]] = [[] for _ in range(count)]
    for position in range(1, count):
        below = st.integers(0, position - 1).map(order.__getitem__)
        if holes:
            below = st.just(-1) | below
        children[order[position]] = draw(st.lists(below, max_size=max_arity))
    return InputGraph(children)


@st.composite
def run_graphs(
    draw: st.DrawFn, max_vertices: int = 12, types: list[str] | None = None
) -> InputGraph:
    """Graphs whose child lists are runs, of any kind: chains with windows and memories, windows
    anywhere before their vertices, layers that read the one below, and the reverse of all these
    where it has runs; with types drawn among `types`."""
    count = draw(st.integers(1, max_vertices))
    of = (
        None
        if types is None
        else draw(st.lists(st.sampled_from(types), min_size=count, max_size=count))
    )
    kind = draw(st.sampled_from(["chain", "windows", "layers"]))
    if kind == "chain":
        memory = draw(st.integers(0, count))
        window = draw(st.none() | st.integers(0, count))
        graph = InputGraph.chain(count - memory, window=window, memory=memory, types=of)
    elif kind == "windows":
        ends = [draw(st.integers(0, i)) for i in range(count)]
        first = [draw(st.integers(0, end)) for end in ends]
        lengths = [end - begin for begin, end in zip(first, ends, strict=True)]
        graph = InputGraph.windows(first, lengths, of)
    else:
        width = draw(st.integers(1, count))
        begin = [max(i // width - 1, 0) * width for i in range(count)]
        lengths = [0 if i < width else i % width + 1 for i in range(count)]
        graph = InputGraph.windows(begin, lengths, of)
    turned = graph.reverse()
    return turned if turned.has_runs and draw(st.booleans()) else graph


def as_lists(graph: InputGraph) -> InputGraph:
    """The same graph, its lists written out."""
    return InputGraph(graph.children, types=graph.types)


def input_graphs(
    min_vertices: int = 0, max_vertices: int = 12, max_arity: int = 4
) -> st.SearchStrategy[InputGraph]:
    """Forests and DAGs, with holes or without, graphs without vertices and single vertices among
    them."""
    bounds = (min_vertices, max_vertices)
    return forests(*bounds) | dags(*bounds, max_arity) | dags(*bounds, max_arity, holes=True)


def batches(
    graphs: st.SearchStrategy[InputGraph] | None = None, min_size: int = 0, max_size: int = 5
) -> st.SearchStrategy[GraphBatch]:
    """Batches of `graphs` (any, by default), the empty batch among them; default keys."""
    graphs = input_graphs() if graphs is None else graphs
    return st.lists(graphs, min_size=min_size, max_size=max_size).map(batch)
