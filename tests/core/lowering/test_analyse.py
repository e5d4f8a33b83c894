"""The steps from F to a program, as a reader of them sees them."""

from __future__ import annotations

import dataclasses

import pytest
import vertex_functions

from cavs.core.compiler import Compiler
from cavs.core.lowering import Sinks, analyse, number, write
from cavs.core.passes import PASSES


def sinks_of(compiler: Compiler) -> Sinks:
    return compiler._sinks(frozenset())


def test_each_step_is_one_text_and_changes_no_other() -> None:
    compiler = Compiler(vertex_functions.make_function("ChildSumTreeLSTM"), PASSES)
    params = compiler._named()
    lowering = analyse(sinks_of(compiler), None, PASSES, {})
    before = str(lowering)
    assert "levels:" in before
    assert "rows over unique:word@leaf:" in before
    assert "[child_rows]" in before
    assert "read through an index" in str(lowering.storage)
    values = number(lowering, params)
    numbered = str(values)
    assert "u_iou.weight" in numbered
    assert len(numbered.splitlines()) == len(values.values)
    program = write(lowering, values, params, None)
    assert str(program) == str(write(lowering, values, params, None))
    assert [str(lowering), str(values)] == [before, numbered]
    # One instruction for each step, of the same kernel.
    steps = [step for stretch in lowering.stretches for step in stretch.steps]
    assert [step.call.kernel for step in steps] == [i.kernel for i in program.instructions()]
    for frozen in (lowering, lowering.storage, values, program):
        field = dataclasses.fields(frozen)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, field, None)


@pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))
def test_every_place_that_instructions_name_has_one_value(name: str) -> None:
    compiler = Compiler(vertex_functions.make_function(name), PASSES)
    lowering = analyse(sinks_of(compiler), None, PASSES, {})
    values = number(lowering, compiler._named())
    for stretch in lowering.stretches:
        for step in stretch.steps:
            for operand in (*step.call.inputs, *step.outputs):
                value = values.values[values.number_of[operand.place]]
                assert value.size == operand.size or operand.size in (1, value.size)
    # Columns of a value are one value, however many instructions read them.
    views = [(v.base, v.column, v.size) for v in values.values if v.name == "part" and v.base >= 0]
    assert len(views) == len(set(views))
