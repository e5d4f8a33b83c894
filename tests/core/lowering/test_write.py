"""Programs: what needs memory, what is read through an index, and that they are always the same."""

from __future__ import annotations

import pytest
import vertex_functions
from model_runs import compiled
from pass_checks import calls

import cavs
from cavs import models
from cavs.core.compiler import Compiler
from cavs.core.ops._spaces import SpaceKind
from cavs.core.program import (
    Instruction,
    OutputKind,
    Program,
    Role,
    SegmentKind,
    Table,
    TableKind,
)

each_function = pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))


def compiler_of(name: str, **options: object) -> Compiler:
    return compiled(name, **options)._compiler


def all_of(program: Program) -> list[Instruction]:
    return [i for s in program.segments for i in s.instructions]


@each_function
def test_programs_do_not_change_from_compilation_to_compilation(name: str) -> None:
    texts, kept = set(), []
    for count in (3, 50, 7):
        texts.add(cavs.compile(vertex_functions.make_function(name)).program)
        kept.append([object() for _ in range(count)])  # moves what sets are ordered by
    assert len(texts) == 1


@each_function
def test_values_are_written_once_and_before_they_are_read(name: str) -> None:
    for passes in ((), None):
        compiler = compiler_of(name) if passes is None else compiler_of(name, passes=passes)
        floats = [k for k, s in compiler.trace.inputs.items() if s.dtype == "float"]
        forward = compiler.training(floats)
        backward = compiler.backward(compiler.function.pushes, floats)
        written = {n for i in all_of(forward) for n in i.outputs}
        assert set(forward.saved) <= {forward.root(n) for n in written}
        check_order(forward, set())
        known = {forward.root(n) for n in written}
        check_order(backward, {n for n in known if n in forward.saved})


_OF_OTHER_LEVELS = {
    TableKind.CHILD,
    TableKind.CHILD_ROWS,
    TableKind.SLOT,
    TableKind.PARENTS,
    TableKind.PARENT_ROWS,
}


def check_order(program: Program, written: set[int]) -> None:
    """Within a segment over levels an instruction reads also what other levels wrote."""
    single: set[int] = set()
    for segment in program.segments:
        coming = {program.root(n) for i in segment.instructions for n in i.outputs}
        for instruction in segment.instructions:
            for number, table in zip(instruction.inputs, instruction.tables, strict=False):
                value = program.values[program.root(number)]
                if value.role in (Role.PARAM, Role.INPUT):
                    continue
                levels = segment.kind is SegmentKind.LEVELS
                of_other_levels = levels and table.kind in _OF_OTHER_LEVELS
                assert program.root(number) in written or (
                    of_other_levels and program.root(number) in coming
                ), (number, str(program))
            for number in instruction.outputs:
                several = instruction.kernel == "copy_columns"  # each the columns of one part
                assert several or number not in single or number in instruction.inputs
                single.add(number)
                written.add(program.root(number))


def test_splits_are_views_and_products_of_them_are_written_side_by_side() -> None:
    compiler = compiler_of("ChildSumTreeLSTM")
    forward, backward = compiler.training(()), compiler.backward(["loss"], ())
    for program in (forward, backward):
        assert "copy" not in [i.kernel for i in all_of(program)]
        assert "concat" not in [i.kernel for i in all_of(program)]
    assert sum(v.role is Role.VIEW and v.base >= 0 for v in backward.values) >= 3


def test_groups_read_through_indices() -> None:
    tables = {
        str(t)
        for i in all_of(compiler_of("ChildSumTreeLSTM").training(()))
        if calls(i)
        for t in i.tables
    }
    assert {"child", "parent", "unique:word@inner"} <= tables


def test_matrices_are_moved_at_once_and_read_through_indices() -> None:
    compiler = Compiler(models.MVRNN(9, 3, 2))
    programs = [compiler.training(()), compiler.backward(["loss"], ())]
    instructions = [i for program in programs for i in all_of(program)]
    columns = [i for i in instructions if i.kernel == "copy_columns"]
    assert columns
    products = [i for i in instructions if i.kernel in ("matmul", "copy_columns")]
    tables = {str(t) for i in products for t in i.tables}
    assert {"slot:0", "slot:1"} <= tables


def test_groups_take_sums_over_children_and_parents_while_they_read() -> None:
    compiler = compiler_of("ChildSumTreeLSTM")
    forward, backward = compiler.training(()), compiler.backward(["loss"], ())
    levels = [i for p in (forward, backward) for s in p.segments for i in s.instructions]
    summed = {str(t) for i in levels if i.kernel == "fused" for t in i.tables}
    assert {"children", "parents", "unique_parents:word@leaf"} <= summed
    # What a product reads is stored: the sum of the children's states, with no copy of them.
    (stored,) = [i for i in all_of(forward) if i.kernel == "segment_sum"]
    assert stored.tables == (Table(TableKind.CHILD_ROWS),)


def test_what_leaves_of_one_word_get_from_their_parents_is_summed_at_once() -> None:
    backward = compiler_of("ChildSumTreeLSTM").backward(["loss"], ())
    tables = {str(t) for i in all_of(backward) for t in i.tables}
    assert {"unique_parents:word@leaf", "unique_parent_rows:word@leaf"} <= tables
    of_leaves = {str(t) for i in all_of(backward) if i.space == SpaceKind.LEAF for t in i.tables}
    assert not of_leaves & {"parents", "parent_rows"}


def test_the_states_of_leaves_are_no_results_of_their_own() -> None:
    forward = compiler_of("ChildSumTreeLSTM").training(())
    operations = [op for i in all_of(forward) for op in calls(i)]
    assert "identity" not in operations


def test_gradients_of_parameters_are_written_where_the_caller_wants_them() -> None:
    program = compiler_of("ChildSumTreeLSTM").backward(["loss"], ())
    written = {n for i in all_of(program) for n in i.outputs}
    values = [program.values[n] for n in written]
    direct = {value.index for value in values if value.role is Role.OUTPUT}
    assert direct == set(range(len(program.outputs)))
    kinds = [o.kind for o in program.outputs]
    assert [
        kinds.count(kind) for kind in (OutputKind.PARAM, OutputKind.SPARSE, OutputKind.IDS)
    ] == [8, 2, 2]


def test_states_that_nobody_gathers_are_not_kept() -> None:
    program = compiler_of("SeveralStates").training(())
    assert "nobody" not in str(program)
    inference = compiler_of("SeveralStates").inference()
    assert inference.saved == ()


def test_programs_print_with_names_tables_and_sizes() -> None:
    text = compiled("ChildSumTreeLSTM").program
    for part in ("=== inference", "=== training, forward", "=== training, backward", "levels:"):
        assert part in text
    assert "rows over unique:word@leaf:" in text
    assert "[child]" in text
    explained = compiled("ChildSumTreeLSTM").explain()
    assert "FLOPs per vertex" in explained
    assert "launches in" in explained
    assert "vertex_functions/structures.py" in explained
