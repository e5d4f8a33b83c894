"""Counting the work of a batch, from the compiled programs and from the IR."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import cavs
from cavs.bench.corpora import Array
from cavs.core.compiler import Compiler
from cavs.core.ir import Node, ancestors, without_reshapes
from cavs.core.ops._spaces import Space, SpaceKind, Unique
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.shape import RESHAPE
from cavs.core.ops.structure import EXPAND, GATHER, JOIN, PULL
from cavs.core.trace import Trace
from cavs.execution.typed_rows import numbers_of, values_at


def rows(space: Space, graphs: cavs.GraphBatch, inputs: Mapping[str, Array], trace: Trace) -> int:
    """The number of rows of a value of `space` over a batch, in programs of a function."""
    if space == SpaceKind.NONE:
        return 1
    if not isinstance(space, Unique):
        return len(numbers_of(graphs, trace.types, space))
    arrays = [
        values_at(graphs, trace.types, inputs[name], trace.inputs[name].rows, space.base)
        for name in space.pulls
    ]
    return len(np.unique(np.stack(arrays), axis=1).T)


def program_flops(
    compiler: Compiler,
    cotangents: tuple[frozenset[str], frozenset[str]] | None,
    graphs: cavs.GraphBatch,
    inputs: Mapping[str, Array],
) -> float:
    """Operations of the compiled programs over a batch, instruction by instruction.

    `cotangents`: the pushes that a backward starts from and the inputs that it ends at; None for
    inference, which remembers values between calls where it can.
    """
    if cotangents is None:
        programs = [compiler.remembering()[0]]
    else:
        programs = [compiler.training(cotangents[1]), compiler.backward(*cotangents)]
    instructions = [i for p in programs for s in p.segments for i in s.instructions]
    trace = compiler.trace
    known = {space: rows(space, graphs, inputs, trace) for space in {i.space for i in instructions}}
    return float(sum(i.flops * known[i.space] for i in instructions))


def minimal_flops(
    compiler: Compiler,
    training: bool,
    graphs: cavs.GraphBatch,
    inputs: Mapping[str, Array],
) -> float:
    """Operations in the products that no method can do without, over a batch.

    They are the products of F after all passes: a product that depends on a word alone counts once
    per distinct word, and a product with zeros does not count. A product of the values that a child
    scattered counts once per child, for any number of parents. Training does each product twice
    more: for the gradients of both operands, or once more where one of them is an input that takes
    no gradient.
    """
    total = 0.0
    for node in ancestors(compiler.function.roots()):
        if node.op is MATMUL:
            count = rows(node.space, graphs, inputs, compiler.trace)
            if node.space == SpaceKind.EDGE and any(
                x.op is GATHER for x in map(without_reshapes, node.inputs)
            ):
                count = min(count, _cells(compiler, graphs, inputs))
            times = sum(not _is_input(x) for x in node.inputs) if training else 0
            total += float(node.flops) * count * (1 + times)
    return total


def _is_input(node: Node) -> bool:
    """Whether a value comes from the caller, and so takes no gradient."""
    return without_reshapes(node).op is PULL


def _cells(compiler: Compiler, graphs: cavs.GraphBatch, inputs: Mapping[str, Array]) -> int:
    """The number of different states that are scattered: all leaves with one word have one
    state."""
    (state, *_) = compiler.function.scatters.values()
    if state.op is not JOIN:
        return graphs.num_vertices
    leaf = state.inputs[0]
    while leaf.op in (IDENTITY, RESHAPE, EXPAND):
        leaf = leaf.inputs[0]
    spaces = (SpaceKind.INNER, leaf.space)
    return sum(rows(space, graphs, inputs, compiler.trace) for space in spaces)
