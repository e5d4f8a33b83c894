"""Programs as data and as text."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from pass_checks import Function, programs

from cavs import models
from cavs.core.attributes import Group, MatmulAttributes, Read, ShapeAttributes
from cavs.core.compiler import Compiler
from cavs.core.ops._spaces import SpaceKind, Unique
from cavs.core.passes import PASSES
from cavs.core.program import (
    NO_TABLE,
    Instruction,
    OutputKind,
    Program,
    Role,
    SegmentKind,
    Table,
    TableKind,
)


def test_words_are_text_alone() -> None:
    assert [str(kind) for kind in Role] == ["arena", "param", "input", "output", "view"]
    assert [str(kind) for kind in SegmentKind] == ["rows", "levels", "global", "sums"]
    words = Unique(("word",), SpaceKind.LEAF)
    pairs = Unique(("tag", "word"), SpaceKind.LEAF)
    texts = {
        NO_TABLE: "",
        Table(TableKind.CHILD): "child",
        Table(TableKind.SLOT, 0): "slot:0",
        Table(TableKind.PARENT_ROWS): "parent_rows",
        Table(TableKind.PARENT_ROWS, 2): "parent_rows:2",
        Table(TableKind.UNIQUE_ROWS, rows=words): "unique_rows:word@leaf",
        Table(TableKind.UNIQUE, rows=words, base=pairs): "unique:word@leaf of tag+word@leaf",
    }
    for table, text in texts.items():
        assert str(table) == text
    assert len(texts) == 7  # equal by what they are, and no two the same
    assert Role.ARENA != "arena"


def test_attributes_print_by_name() -> None:
    assert str(MatmulAttributes(False, True, 1, 150, 600)) == "ta=0, tb=1, m=1, k=150, n=600"
    assert str(ShapeAttributes((1, 3), (4, 3))) == "source=[1, 3], target=[4, 3]"


@pytest.mark.parametrize("passes", [PASSES, ()])
def test_programs_print_names_attributes_and_views(passes: tuple[str, ...]) -> None:
    forward, backward = programs("ChildSumTreeLSTM", passes)
    product = r"%\d+:\S+\[\d+\] = matmul\(%\d+, %\d+:u_iou\.weight, ta=0, tb=1, m=1, k=\d+, n=\d+\)"
    assert re.search(product, str(forward))
    assert re.search(r"\(output loss\) = ", str(forward))
    names = dict(Compiler(models.ChildSumTreeLSTM(5, 3, 3, 2)).param_names.items()).values()
    for name in names:
        if "embedding" not in name:
            assert f"(gradient of {name})" in str(backward), name
    assert "(rows of the gradient of embedding.weight)" in str(backward)
    for program in (forward, backward):
        check_views(program)


def check_views(program: Program) -> None:
    """Each view that instructions name stands in the text once, before the first of them."""
    seen: dict[int, int] = {}
    for number, line in enumerate(str(program).splitlines()):
        view = re.fullmatch(r"  %(\d+):(\S+)\[(\d+)\] = %(\d+)\[(\d+):(\d+)\]", line)
        if view:
            of, _, size, base, begin, end = view.groups()
            assert int(of) not in seen
            seen[int(of)] = number
            value = program.values[int(of)]
            assert (value.role, value.base, value.column) == (Role.VIEW, int(base), int(begin))
            assert int(end) - int(begin) == int(size) == value.size
            continue
        for name in map(int, re.findall(r"%(\d+)", line)):
            if program.values[name].role is Role.VIEW:
                assert seen[name] < number
    used = {n for i in program.instructions() for n in (*i.inputs, *i.outputs)}
    assert {n for n in used if program.values[n].role is Role.VIEW} <= seen.keys()
    assert seen or not any(program.values[n].role is Role.VIEW for n in used)


def test_programs_are_frozen() -> None:
    _, backward = programs("ChildSumTreeLSTM", PASSES)
    instruction = next(backward.instructions())
    frozen: list[Any] = [backward, backward.values[0], backward.segments[0], instruction]
    frozen += [backward.outputs[0], Table(TableKind.CHILD)]
    for thing in frozen:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, dataclasses.fields(thing)[0].name, None)
    assert {backward: 1}[backward] == 1  # by identity
    assert dataclasses.replace(backward) != backward


def test_results_say_which_output_is_what() -> None:
    compiler = Compiler(models.ChildSumTreeLSTM(5, 3, 3, 2))
    forward, backward = compiler.training(["missing"][:0]), compiler.backward(["loss"], ())
    assert [name for name, _ in forward.results.pushes] == list(compiler.function.pushes)
    results = backward.results
    numbers = [output for _, output in results.whole]
    numbers += [output for _, ids, rows in results.by_rows for output in (ids, rows)]
    assert sorted(set(numbers)) == list(range(len(backward.outputs)))
    for parameter, output in results.whole:
        assert backward.outputs[output].kind is OutputKind.PARAM
        assert backward.outputs[output].parameter == parameter
    for parameter, ids, rows in results.by_rows:
        kinds = [backward.outputs[n].kind for n in (ids, rows)]
        assert kinds == [OutputKind.IDS, OutputKind.SPARSE]
        assert backward.outputs[rows].parameter == parameter
        assert backward.outputs[ids].space == backward.outputs[rows].space
    with_inputs = Compiler(Function(lambda s, v: v.push(y=s.w(v.pull("x", 3)))))
    program = with_inputs.backward(["y"], ["x"])
    ((name, output),) = program.results.inputs
    assert (name, program.outputs[output].name) == ("x", "x")


def test_groups_say_how_each_operand_is_read() -> None:
    forward, backward = programs("ChildSumTreeLSTM", PASSES)
    for program in (forward, backward):
        for i in program.instructions():
            if isinstance(i.attributes, Group):
                check_group(program, i, i.attributes)


def check_group(program: Program, i: Instruction, group: Group) -> None:
    assert len(group.inputs) == len(i.inputs) == len(i.tables)
    assert len(group.outputs) == len(i.outputs)
    for number, table, given in zip(i.inputs, i.tables, group.inputs, strict=True):
        value = program.values[number]
        assert given.narrow == (value.size == 1 < group.width)
        assert (given.read in (Read.ROW, Read.SHARED)) == (table == NO_TABLE)
        lists = str(table).partition(":")[0].endswith(("children", "parents", "_rows"))
        assert (given.read is Read.LIST_SUM) == lists
    # Each result is named once, and read after it is named.
    for place, call in enumerate(group.calls):
        assert all(0 <= x < group.first_call + place for x in call.operands)
    assert all(group.first_call <= x for x in group.outputs)
    assert {program.values[n].size for n in i.outputs} == {group.width}
