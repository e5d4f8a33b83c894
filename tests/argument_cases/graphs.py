"""Calls that make graphs and batches, and that read batches out."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import cavs
from argument_cases.base import BATCH, EXTRA, GRAPH, Case
from cavs import data


def _converted_cases() -> Iterator[Case]:
    if importlib.util.find_spec("networkx"):
        given = {"graph": GRAPH.to_networkx(), "slot": "slot"}
        yield Case("InputGraph.from_networkx", cavs.InputGraph.from_networkx, given)
    if importlib.util.find_spec("nltk"):
        import nltk

        options = {"keep_null": False, "functions": True, "binarize": "head", "marker": "@"}
        given = {"tree": nltk.Tree("S", ["a"]), **options}
        yield Case("phrase_tree", data.phrase_tree, given)

        given = {"tree": nltk.Tree("S", ["a"]), "words": "merged"}
        yield Case("InputGraph.from_nltk", cavs.InputGraph.from_nltk, given)


def graph_cases() -> Iterator[Case]:
    graphs = cavs.InputGraph
    yield Case("InputGraph", graphs, {"children": [[], [0]]})
    yield Case("InputGraph", lambda a, b: graphs([[], a, [b]]), {"a": [0], "b": 1})
    yield Case("InputGraph.from_parents", graphs.from_parents, {"parents": [1, -1]})
    parents = {"parents": [1, -1], "order": "leaf"}
    yield Case("InputGraph.from_parents", graphs.from_parents, parents)
    edges = {"num_vertices": 2, "children": [0], "parents": [1]}
    yield Case("InputGraph.from_edges", graphs.from_edges, edges)
    index = {"edge_index": [[0], [1]], "num_vertices": 2}
    yield Case("InputGraph.from_edge_index", graphs.from_edge_index, index)
    yield from _converted_cases()
    csr = {"child_ptr": [0, 0, 1], "child_index": [0], "child_slot": [1]}
    yield Case("InputGraph.from_csr", graphs.from_csr, csr)
    yield Case("InputGraph.windows", graphs.windows, {"first": [0, 0], "count": [0, 1]})
    chain = {"length": 2, "window": 1, "memory": 1}
    yield Case("InputGraph.chain", graphs.chain, chain)
    for make in (cavs.batch, cavs.GraphBatch):
        yield Case(make.__name__, make, {"graphs": [GRAPH], "keys": [3]})
    flat = {"ptr": [0, 2], "child_ptr": [0, 0, 1], "children": [0], "keys": [1], "child_slot": [1]}
    yield Case("GraphBatch.from_csr", cavs.GraphBatch.from_csr, flat)
    yield Case("GraphBatch.schedule", BATCH.schedule, {"policy": "serial"})
    yield Case("GraphBatch.rows", BATCH.rows, {"space": "vertex"})
    yield Case("unbatch", cavs.unbatch, {"batch": BATCH, "values": EXTRA})
    for kind in ("root", "sum", "mean", "max"):
        arguments = {"graphs": BATCH, "x": cavs.tensor(EXTRA), "kind": kind}
        yield Case("readout", cavs.readout, arguments)
