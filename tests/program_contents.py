"""What the programs of a model are made of: operations and kernels."""

from __future__ import annotations

from collections.abc import Collection

import cavs
from cavs.core.compiler import Compiler
from cavs.core.passes import remember_pulls

__all__ = ["kernels_in", "operations_in"]


def operations_in(model: cavs.Model, learning: Collection[str] | None = None) -> set[str]:
    """Names of the operations of its function before and after passes, and of the gradient of the
    inputs `learning`, by default of all floats."""
    compiler: Compiler = model._compiler
    inputs = _floats(compiler) if learning is None else learning
    gradient = compiler.gradient(compiler.function.pushes, inputs)
    rest, _ = remember_pulls(compiler.function)
    functions = (compiler.trace.function, compiler.function, gradient, rest)
    nodes = [node for function in functions for node in function.roots()]
    nodes += compiler._masks(compiler.function.roots()).values()
    seen, used = set(), set()
    while nodes:
        node = nodes.pop()
        if node not in seen:
            seen.add(node)
            used.add(node.op.name)
            nodes.extend(node.inputs)
    return used


def kernels_in(model: cavs.Model, learning: Collection[str] | None = None) -> set[str]:
    """Names of the kernels of its programs, with gradients of the inputs `learning`, by default of
    all floats, and without any."""
    compiler: Compiler = model._compiler
    floats = _floats(compiler) if learning is None else learning
    outputs = compiler.function.pushes
    programs = [
        compiler.inference(),
        compiler.training(floats),
        compiler.backward(outputs, floats),
        compiler.training(()),
        compiler.backward(outputs, ()),
    ]
    return {i.kernel for p in programs for s in p.segments for i in s.instructions}


def _floats(compiler: Compiler) -> list[str]:
    return [name for name, spec in compiler.trace.inputs.items() if spec.dtype == "float"]
