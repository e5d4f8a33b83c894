"""What the extension is given wrongly it refuses in one line; nothing crashes the interpreter."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_programs import SPACES, group, instruction, output, segment, unique, value
from native_programs import dtype as native_dtype

import cavs
from cavs._native import core

Change = Callable[[dict[str, Any]], None]


DOUBLED = ("add", [0, 0])  # input 0 and itself


def doubled(width: int = 16, **other: Any) -> dict[str, Any]:
    return group(width, ["row"], [DOUBLED]) | other


def described() -> dict[str, Any]:
    """A program: y = tanh-free 2 x + 2 x over the vertices, by way of a value of its own."""
    return {
        "dtype": core.DType.FLOAT32,
        "values": [
            value("x", "vertex", 16, role="input", index=0),
            value("h", "vertex", 16),
            value("y", "vertex", 16, role="output", index=0),
        ],
        "segments": [
            segment(
                "rows",
                "vertex",
                [
                    instruction("fused", [0], [1], **doubled()),
                    instruction("fused", [1], [2], **doubled()),
                ],
            )
        ],
        "uniques": [],
        "saved": [],
        "outputs": [output("vertex", [16])],
        "states": [1],
    }


def make(change: Change | None = None) -> Any:
    fields = described()
    if change is not None:
        change(fields)
    return core.Program(**fields)


def attribute(name: str, content: Any) -> Change:
    """Another attribute of the first group."""
    return lambda fields: fields["segments"][0][2][0][4].__setitem__(name, content)


def put(*new: tuple[Any, ...]) -> Change:
    """Other instructions in place of the first."""

    def change(fields: dict[str, Any]) -> None:
        fields["segments"][0][2][:1] = new

    return change


def field(name: str, content: Any) -> Change:
    return lambda fields: fields.__setitem__(name, content)


def values(*new: tuple[Any, ...]) -> Change:
    return lambda fields: fields["values"].__setitem__(slice(1, 2), list(new))


def test_the_program_runs() -> None:
    x = np.arange(32, dtype=np.float32).reshape(2, 16)
    graphs = cavs.batch([cavs.InputGraph([[], [0]])])
    run = core.Run(make(), graphs.schedule("batching"), graphs.keys, 0, 0, True, False)
    (y,) = run.forward([], [x])
    np.testing.assert_array_equal(y, 4 * x)


WRONG: dict[str, Change] = {
    # Numbers in groups; those of operands that an operation does not have crashed.
    **{
        f"operand {place} of {n}": attribute("calls", [("add", [*[0] * place, n, 0][:2])])
        for place in (0, 1)
        for n in (2**62, 2, -1, -(2**62))
    },
    "too many operands": attribute("calls", [("add", [0, 0, 0])]),
    "too few operands": attribute("calls", [("add", [0])]),
    "its own result": attribute("calls", [("add", [0, 1])]),
    "result of none": attribute("outputs", [2]),
    "result of an input": attribute("outputs", [0]),
    "large result": attribute("outputs", [2**62]),
    "operation": attribute("calls", [("no such", [0])]),
    "operation of a number": attribute("calls", [(7, [0])]),
    "calls": attribute("calls", None),
    "call": attribute("calls", [("add",)]),
    "width": attribute("width", 2**62),
    "negative width": attribute("width", -16),
    "other width": attribute("width", 17),
    "no outputs": attribute("outputs", []),
    "no inputs": attribute("inputs", []),
    "another read": attribute("inputs", [(core.Read.SHARED, False)]),
    "read in words": attribute("inputs", [("row", False)]),
    "narrow": attribute("inputs", [(core.Read.ROW, True)]),
    "constants": attribute("constants", "x"),
    "unknown attribute": attribute("registers", 1),
    "group without attributes": put(instruction("fused", [0], [1])),
    "group without outputs": put(instruction("fused", [0], [], **doubled(calls=[], outputs=[]))),
    "attributes in a list": put(("fused", [0], [1], [], [16], SPACES["vertex"])),
    "attribute of another type": put(instruction("softmax", [0], [1], outer="one", length=16)),
    "attribute left out": put(instruction("softmax", [0], [1], outer=1)),
    # Tables without operands.
    **{
        f"{kernel} from {table or 'nothing'} alone": put(
            instruction(kernel, [], [1], [table] if table else [])
        )
        for kernel in ("segment_sum", "segment_max", "take", "slots_to_edges", "matmul")
        for table in ("", "children", "parent_rows", ("parent_rows", 3), "child", "graph")
    },
    "sums without outputs": put(instruction("reduce_rows", [0, 0], [])),
    "store through a table": put(instruction("store", [0], [1], ["vertex_order"])),
    "store by graph": put(instruction("store", [0], [1], ["graph"])),
    "dims": put(instruction("broadcast", [0], [1], source=[1, 16], target=[2**62, 2**62])),
    "many dims": put(instruction("broadcast", [0], [1], source=[1] * 9, target=[1] * 9)),
    "dims of two ranks": put(instruction("broadcast", [0], [1], source=[16], target=[16, 1])),
    "key": put(instruction("dropout", [0], [1], key=2**32, rate=0.5)),
    "rate": put(instruction("dropout", [0], [1], key=0, rate=float("nan"))),
    "rate above 1": put(instruction("dropout", [0], [1], key=0, rate=1e300)),
    # Values.
    **{f"size {n}": values(value("h", "vertex", n)) for n in (0, -1, 2**62, 2**63)},
    "own base": values(value("h", "vertex", 16, role="view", base=1)),
    "column": values(value("h", "vertex", 16, role="view", base=0, column=2**62)),
    "array": values(value("h", "vertex", 16, role="input", index=2**31 - 1)),
    "space": values(value("h", 7, 16)),
    "space in words": values(("h", "vertex", *value("h", "vertex", 16)[2:])),
    "role in words": values(value("h", "vertex", 16, role="gamma")),
    "dtype in words": values(
        (*value("h", "vertex", 16)[:3], "float32", *value("h", "vertex", 16)[4:])
    ),
    "table in words": put(("copy", [0], [1], [""], {}, SPACES["vertex"])),
    "fields": values(("h", "vertex", 16)),
    "no value": values(None),  # type: ignore[arg-type]
    "name": values(value(None, "vertex", 16)),
    "float size": values(value("h", "vertex", 1.5)),
    # What a program consists of.
    "states": field("states", [3]),
    "state without rows of vertices": field("states", [-1]),
    "integer state": lambda fields: (
        fields["values"].append(value("i", "vertex", 1, dtype="int32")),
        fields["states"].append(3),
    )[0],
    "many states": field("states", [1] * (1 << 16)),
    "saved": field("saved", [2**31]),
    "saved text": field("saved", "x"),
    "unique of many rows": field("uniques", [unique("u", [0], "vertex", 2**62, -1)]),
    "unique of an array": field("uniques", [unique("u", [2**31 - 1], "vertex", 0, -1)]),
    "unique of itself": field("uniques", [("u", [], 0, 0, 0)]),
    "negative shape": field("outputs", [output("vertex", [-16])]),
    "large shape": field("outputs", [output("vertex", [2**62, 2**62])]),
    "other shape": field("outputs", [output("vertex", [17])]),
    "no forward program": field("forward", 3),
    "dtype": field("dtype", None),
    "segments": field("segments", 5),
    "sweep": field("segments", [segment("rows", "none", None)]),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_wrong_programs_are_refused(change: Change) -> None:
    with pytest.raises(cavs.CavsError) as refused:
        make(change)
    assert "\n" not in str(refused.value)


def written(*segments: tuple[Any, ...], over: Any = "vertex", **other: Any) -> Change:
    """These segments; the last value is the output over some rows, and others follow the three."""

    def change(fields: dict[str, Any]) -> None:
        fields["values"][2] = value("y", over, 16, role="output", index=0)
        fields["values"] += other.get("values", [])
        fields["segments"] = list(segments)
        fields["outputs"] = [output(over, [16])]
        fields["states"] = []

    return change


def twice(source: int, target: int, over: str = "vertex", width: int = 16) -> tuple[Any, ...]:
    return instruction("fused", [source], [target], [], over, **doubled(width))


HALVES = [value(f"h{k}", "vertex", 8, role="view", base=1, column=8 * k) for k in (0, 1)]
PARTS = [value(f"h {part}", part, 16, role="view", base=1) for part in ("leaf", "inner")]
X_HALF = value("x0", "vertex", 8, role="view", base=0)

NOT_WRITTEN: dict[str, Change] = {
    "a sum that goes on from an output": written(
        segment("rows", "vertex", [twice(0, 1)]),
        segment("global", "none", [instruction("reduce_rows", [1, 2], [2])]),
        over="none",
    ),
    "a sum that goes on from a value": written(
        segment("rows", "vertex", [twice(0, 1)]),
        segment("global", "none", [instruction("reduce_rows", [1, 3], [3])]),
        segment("rows", "none", [instruction("copy", [3], [2], [], "none")]),
        values=[value("sum", "none", 16)],
        over="none",
    ),
    "a sum that goes on within its segment": written(
        segment("rows", "vertex", [twice(0, 1)]),
        segment(
            "global",
            "none",
            [instruction("reduce_rows", [1], [2]), instruction("reduce_rows", [1, 2], [2])],
        ),
        over="none",
    ),
    "sums by level that go on from an output": written(
        segment("levels", "vertex", [twice(0, 1)]),
        segment("sums", "vertex", [instruction("reduce_rows", [1, 2], [2])]),
        over="none",
    ),
    "an output that is read": written(segment("rows", "vertex", [twice(2, 1), twice(1, 2)])),
    "an output that is read by a later segment": written(
        segment("rows", "vertex", [twice(2, 1)]), segment("rows", "vertex", [twice(1, 2)])
    ),
    "an output that nothing writes": written(segment("rows", "vertex", [twice(0, 1)])),
    "no instructions": written(),
    "an output of which half is written": written(
        segment("rows", "vertex", [instruction("copy", [3], [4])]),
        values=[X_HALF, value("y0", "vertex", 8, role="view", base=2)],
    ),
    "an output of leaves alone": written(
        segment("rows", "leaf", [instruction("copy", [0], [3], [], "leaf")]),
        values=[value("y leaf", "leaf", 16, role="view", base=2)],
    ),
    "the other half": written(
        segment("rows", "vertex", [instruction("copy", [5], [3]), twice(4, 6, width=8)]),
        values=[*HALVES, X_HALF, value("y1", "vertex", 8, role="view", base=2, column=8)],
    ),
    "the whole of which half is written": written(
        segment("rows", "vertex", [instruction("copy", [5], [3]), twice(1, 2)]),
        values=[*HALVES, X_HALF],
    ),
    "columns between": written(
        segment("rows", "vertex", [instruction("copy", [3], [n]) for n in (4, 5)]),
        segment("rows", "vertex", [twice(1, 2)]),
        values=[
            value("x0", "vertex", 7, role="view", base=0),
            *(value(f"h{c}", "vertex", 7, role="view", base=1, column=c) for c in (0, 9)),
        ],
    ),
    "inner vertices of which the leaves are written": written(
        segment("rows", "leaf", [instruction("copy", [0], [3], [], "leaf")]),
        segment("rows", "vertex", [twice(1, 2)]),
        values=PARTS,
    ),
    "children of which the leaves are written": written(
        segment("rows", "leaf", [instruction("copy", [0], [3], [], "leaf")]),
        segment("rows", "vertex", [instruction("take", [1], [5], ["child"], "edge"), twice(0, 2)]),
        values=[*PARTS, value("e", "edge", 16)],
    ),
    "all vertices before the levels are done": written(
        segment("rows", "leaf", [instruction("copy", [0], [3], [], "leaf")]),
        segment(
            "levels",
            "inner",
            [
                instruction("copy", [0], [4], [], "inner"),
                instruction("load", [1], [5], ["vertex_order"], "inner"),
            ],
        ),
        segment("rows", "vertex", [twice(0, 2)]),
        values=[*PARTS, value("later", "inner", 16)],
    ),
    "rows that a store has put elsewhere": written(
        segment("rows", "vertex", [instruction("store", [0], [2], ["vertex_order"]), twice(2, 1)])
    ),
    "distinct ids": written(
        segment("rows", "vertex", [instruction("take", [3], [2], [("unique", 0)])]),
        values=[value("by id", 0, 16)],
    ),
    "a mask": written(
        segment(
            "rows",
            "vertex",
            [
                instruction(
                    "matmul_masked",
                    [0, 3, 4],
                    [2],
                    ta=False,
                    tb=False,
                    m=1,
                    k=16,
                    n=16,
                    by_id=False,
                )
            ],
        ),
        values=[value("w", "none", 256, role="param", index=0), value("mask", "vertex", 1)],
    ),
    "an index of rows": written(
        segment(
            "rows",
            "vertex",
            [instruction("embedding", [3, 4], [2], [], "vertex", count=2, width=16)],
        ),
        values=[
            value("w", "none", 32, role="param", index=0),
            value("ids", "vertex", 1, dtype="int32"),
        ],
    ),
}


@pytest.mark.parametrize("change", NOT_WRITTEN.values(), ids=NOT_WRITTEN.keys())
def test_what_is_read_must_be_written(change: Change) -> None:
    def with_ids(fields: dict[str, Any]) -> None:
        fields["uniques"] = [unique("u", [1], "vertex", 0, -1)]
        change(fields)

    with pytest.raises(cavs.CavsError, match=r"^\[program\] expected .* to be written") as refused:
        make(with_ids)
    assert "\n" not in str(refused.value)


def backward_of(reads: tuple[Any, ...], *segments: tuple[Any, ...]) -> Any:
    """A backward program that reads values of a forward program, which saves `lost`."""

    def saves(fields: dict[str, Any]) -> None:
        fields["values"].append(value("lost", "vertex", 16))
        fields["saved"] = [1, 3]

    fields = described()
    saves(fields)
    more = [value("dx", "vertex", 16, role="output", index=0), value("both", "inner", 32)]
    more.append(value("first", "inner", 16, role="view", base=5))
    return core.Program(
        native_dtype("float"),
        fields["values"] + more,
        [*segments, segment("rows", "vertex", [instruction(*reads)])],
        [],
        [],
        make(saves),
        outputs=[output("vertex", [16])],
    )


SLOTS = ("segment_sum", [6], [4], [("parent_rows", 2)])
FIRST = instruction("copy", [1], [6], [], "inner")


def test_backward_reads_what_is_written() -> None:
    backward_of(("copy", [1], [4]))
    with pytest.raises(cavs.CavsError, match="expected 'lost' to be written before 'copy'"):
        backward_of(("copy", [3], [4]))
    with pytest.raises(cavs.CavsError, match="expected 'lost' to be written before 'take'"):
        backward_of(("take", [3], [4], ["slot"]))
    with pytest.raises(cavs.CavsError, match="expected 'both' to be written before 'segment_sum'"):
        backward_of(SLOTS, segment("rows", "inner", [FIRST]))


def test_each_output_has_a_value() -> None:
    with pytest.raises(cavs.CavsError, match="for each of 2 outputs, got none for output 1"):
        make(field("outputs", [output("vertex", [16])] * 2))


WRITTEN: dict[str, Change] = {
    "halves": written(
        segment("rows", "vertex", [instruction("copy", [k + 5], [k + 3]) for k in (1, 0)]),
        segment("rows", "vertex", [twice(1, 2)]),
        values=[*HALVES, X_HALF, value("x1", "vertex", 8, role="view", base=0, column=8)],
    ),
    "parts": written(
        segment("rows", "leaf", [instruction("copy", [0], [3], [], "leaf")]),
        segment("levels", "inner", [instruction("copy", [0], [4], [], "inner")]),
        segment("rows", "vertex", [twice(1, 2)]),
        values=PARTS,
    ),
    "an output, which is read again": written(
        segment("rows", "vertex", [instruction("copy", [0], [2]), twice(2, 1)]),
        segment("rows", "vertex", [instruction("copy", [1], [2])]),
    ),
}


@pytest.mark.parametrize("change", WRITTEN.values(), ids=WRITTEN.keys())
def test_what_is_written_piece_by_piece_is_read(change: Change) -> None:
    x = np.arange(48, dtype=np.float32).reshape(3, 16)
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])])
    run = core.Run(make(change), graphs.schedule("batching"), graphs.keys, 0, 0, True, False)
    (y,) = run.forward([], [x])
    np.testing.assert_array_equal(y, 2 * x)


def instead(place: int, *new: Any) -> Change:
    """Another segment in the place of one."""
    return lambda fields: fields["segments"].__setitem__(place, segment(*new))


def summed_by_level(change: Change | None = None) -> Any:
    """A program: the sum of 2 x over the vertices, level by level."""
    fields = described() | {
        "segments": [
            segment("rows", "none", [instruction("fill", [], [2], [], "none", value=0.0)]),
            segment("levels", "vertex", [instruction("fused", [0], [1], **doubled())]),
            segment("sums", "vertex", [instruction("reduce_rows", [1, 2], [2])]),
        ],
        "outputs": [output("none", [16])],
    }
    fields["values"][2] = value("sum", "none", 16, role="output", index=0)
    if change is not None:
        change(fields)
    return core.Program(**fields)


def test_sums_by_level_add_up() -> None:
    x = np.arange(5 * 16, dtype=np.float32).reshape(5, 16)
    graphs = cavs.batch([cavs.InputGraph([[], [0], [1]]), cavs.InputGraph([[], [0]])])
    run = core.Run(summed_by_level(), graphs.schedule("batching"), graphs.keys, 0, 0, True, False)
    (y,) = run.forward([], [x])
    np.testing.assert_array_equal(y, 2 * x.sum(axis=0))


SUM = instruction("reduce_rows", [1, 2], [2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["segments"].reverse(), "after a segment by levels"),
        (lambda f: f["segments"].pop(1), "after a segment by levels"),
        (instead(1, "rows", "vertex", []), "after a segment by levels"),
        (instead(2, "sums", "edge", [SUM]), "after a segment by levels"),
        (instead(2, "sums", "vertex", [instruction("reduce_rows", [1], [2])]), "go on from"),
        (instead(2, "sums", "vertex", [instruction("take", [0], [1])]), "go on from its output"),
        (instead(2, "sums", "vertex", [instruction("take", [1], [1])]), "move it"),
    ],
)
def test_sums_by_level_go_with_levels(change: Change, message: str) -> None:
    with pytest.raises(cavs.CavsError, match=message):
        summed_by_level(change)


@pytest.mark.parametrize("kernel", core.kernel_names())
@pytest.mark.parametrize("dtype", ["float", "double"])
def test_every_kernel_counts_its_operands(kernel: str, dtype: str) -> None:
    """Each is refused without operands, and with more than any has, before it looks at them."""
    x = np.zeros((3, 16), np.float32 if dtype == "float" else np.float64)
    for count in (0, 9):
        with pytest.raises(cavs.CavsError) as refused:
            core.call_kernel(kernel, native_dtype(dtype), [], [x] * count, {}, [], (0, 3))
        assert "\n" not in str(refused.value)
        for table in ("", "children", "parent_rows", "child", "siblings", ("unique", 0)):
            with pytest.raises(cavs.CavsError):
                make(put(instruction(kernel, [], [1] * count, [table] if table else [])))


INDEX = np.array([0, 3, 1], np.int32)  # of 3 rows
PTR = np.array([0, 1, 2, 4], np.int32)
KERNEL_CALLS: dict[str, tuple[Any, ...]] = {
    "rows": ("copy", [(3, 4)], [(3, 4)], {}, [], (0, 4)),
    "negative rows": ("copy", [(3, 4)], [(3, 4)], {}, [], (-1, 3)),
    "rows of the output": ("copy", [(3, 4)], [(2, 4)], {}, [], (0, 3)),
    "index": ("take", [(3, 4)], [(3, 4)], {}, [{"index": INDEX}], (0, 3)),
    "short index": ("take", [(3, 4)], [(3, 4)], {}, [{"index": INDEX[:1]}], (0, 3)),
    "offsets": ("segment_sum", [(3, 4)], [(3, 4)], {}, [{"ptr": PTR}], (0, 3)),
    "descending": ("segment_sum", [(3, 4)], [(3, 4)], {}, [{"ptr": PTR[::-1]}], (0, 3)),
    "list": ("segment_sum", [(3, 4)], [(3, 4)], {}, [{"ptr": PTR, "list": INDEX}], (0, 3)),
    "no lists": ("segment_sum", [(3, 4)], [(3, 4)], {}, [{}], (0, 3)),
    "no positions": ("slots_to_edges", [(3, 4)], [(3, 4)], {}, [{"index": INDEX}], (0, 3)),
    "scatter": ("store", [(3, 4)], [(3, 4)], {}, [{"index": INDEX}], (0, 3)),
    "no attributes": ("matmul", [(3, 4), (16,)], [(3, 4)], {}, [], (0, 3)),
    "sizes": (
        "matmul",
        [(3, 4), (16,)],
        [(3, 4)],
        {"ta": 0, "tb": 0, "m": 1, "k": 4, "n": 5},
        [],
        (0, 3),
    ),
    "no graphs": ("uniform", [], [(3, 4)], {"key": 0}, [], (0, 3)),
    "group": ("fused", [(3, 16)], [(3, 16)], doubled(calls=[("add", [0, 2])]), [], (0, 3)),
}


@pytest.mark.parametrize("call", KERNEL_CALLS.values(), ids=KERNEL_CALLS.keys())
def test_direct_calls_stay_within_their_arrays(call: tuple[Any, ...]) -> None:
    name, inputs, outputs, *rest = call
    arrays = [[np.zeros(shape, np.float32) for shape in shapes] for shapes in (inputs, outputs)]
    with pytest.raises(cavs.CavsError) as refused:
        core.call_kernel(name, core.DType.FLOAT32, *arrays, *rest)
    assert "\n" not in str(refused.value)


def test_padding_that_is_not_there_is_refused() -> None:
    x = np.zeros((3, 16), np.float32)
    with pytest.raises(cavs.InputError, match="room after padded rows"):
        core.call_kernel(
            "copy", core.DType.FLOAT32, [x], [x.copy()], {}, [], (0, 3), padded=[True, True]
        )


def graphs_of(count: int = 2) -> Any:
    return cavs.batch([cavs.InputGraph([[], [0]])] * count)


ADAM = (0.1, 0.9, 0.999, 1e-8, 0.0, False)
P = np.zeros((2, 3), np.float32)
CALLS: dict[str, Callable[[], Any]] = {
    "schedule of nothing": lambda: core.Schedule(None),
    "graphs of nothing": lambda: core.GraphStore([None]),
    "nothing among graphs": lambda: core.GraphBatch.concatenate([None]),
    "run of no schedule": lambda: core.Run(make(), None, [0], 0, 0, True, False),
    "assemble nothing": lambda: core.assemble_group({}, True),
    "assemble a short row": lambda: core.assemble_group(doubled(15), True),
    "assemble an operand": lambda: core.assemble_group(doubled(calls=[("add", [0, 2])]), True),
    "assemble a large operand": lambda: core.assemble_group(
        doubled(calls=[("add", [0, 2**62])]), True
    ),
    "no known ids": lambda: core.missing_ids(np.array([-1], np.int32), np.zeros(0, bool)),
    "rows of samples": lambda: core.rows_of_samples(
        np.array([0, 2**62], np.int64), np.zeros(4, np.int64)
    ),
    "descending offsets": lambda: core.rows_of_samples(
        np.array([-(2**63), 2**63 - 1], np.int64), np.zeros(1, np.int64)
    ),
    "no states": lambda: core.bounds_after(core.AdamSettings(*ADAM), 1, 0.1, P, [], None, None),
    "bounds": lambda: core.bounds_after(
        core.SgdSettings(0.1, 0.0, 0.0, False), 1, 0.1, P, [], None, [1.0]
    ),
    "options": lambda: core.set_execution_options(
        **{**core.execution_options(), "chunk_rows": 2**62}
    ),
    "nan options": lambda: core.set_execution_options(
        **{**core.execution_options(), "min_team_ns": float("nan")}
    ),
    "input forms": lambda: core.InputForms([("x",)]),
    "rows of uniques": lambda: core.plan_sweeps(
        make(field("uniques", [unique("u", [0], "vertex", 0, -1)])),
        None,
        graphs_of().schedule("batching"),
        [2**62],
        True,
        1,
    ),
    "inputs of leaves where these are not first": lambda: core.Run(
        make(values(value("h", "leaf", 16), value("g", "vertex", 16))),
        graphs_of().schedule("serial"),
        [0, 1],
        0,
        0,
        True,
        False,
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_wrong_calls_are_refused(call: Callable[[], Any]) -> None:
    with pytest.raises((cavs.CavsError, TypeError, ValueError, MemoryError)):
        call()


@pytest.mark.parametrize("name", [k for k, v in vars(core).items() if type(v) is type(core.Run)])
def test_objects_are_made_by_calls_alone(name: str) -> None:
    """One that was not was memory that nobody had written to."""
    made_by = getattr(core, name)
    with pytest.raises(TypeError, match=f"expected a call of {name}, got"):
        made_by.__new__(made_by)
    with pytest.raises(TypeError):
        object.__new__(made_by)
    with pytest.raises(TypeError):
        copyreg.__newobj__(made_by)  # type: ignore[attr-defined]


def test_bounds_of_a_parameter_without_rows() -> None:
    """The size of a row was all elements divided by no rows."""
    settings = core.SgdSettings(0.1, 0.0, 0.0, False)
    empty = np.zeros((0, 3), np.float32)
    found = core.bounds_after(settings, 1, 0.1, empty, [], np.array([-1], np.int32), None)
    assert found == [pytest.approx(0.01), 0, 0]


def test_arrays_that_a_sequence_makes_anew_live_as_long_as_the_run() -> None:
    """The run read them by one pass over the sequence and kept those of another."""

    class Fresh(list[Any]):
        def __iter__(self) -> Any:
            return (np.full((2, 16), 3.0, np.float32) for _ in range(1))

    graphs = graphs_of(1)
    run = core.Run(make(), graphs.schedule("batching"), graphs.keys, 0, 0, True, False)
    (y,) = run.forward([], Fresh([None]))
    assert (y == 12).all()


class TestSteps:
    """Of a plan that is right but for one thing."""

    @pytest.fixture
    def recorded(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The arguments of a step's plan and of its run."""
        notes: list[Any] = []
        real = core.StepPlan

        class Spy:
            def __init__(self, *args: Any) -> None:
                notes.append(list(args))
                self._plan = real(*args)
                self.params = self._plan.params

            def run(self, *args: Any) -> Any:
                notes.append(list(args))
                return self._plan.run(*args)

        class Function(cavs.VertexFunction):
            def __init__(self) -> None:
                self.linear = cavs.nn.Linear(3, 4)
                self.embedding = cavs.nn.Embedding(5, 3)

            def forward(self, v: cavs.Vertex) -> None:
                h = self.linear(self.embedding(v.pull("i", dtype="int32")))
                v.push(loss=(h * h).sum())

        model = cavs.compile(Function())
        optimizer = cavs.optim.Adam(model.parameters(), lr=0.1)
        monkeypatch.setattr("cavs.step.core", type("Core", (), {"StepPlan": Spy}))
        model.step(graphs_of(), optimizer, loss="loss", i=np.zeros(4, np.int32))
        return notes

    @pytest.mark.parametrize(
        ("place", "change"),
        [
            (2, 5),
            (2, -1),
            (3, [(0, 0)]),
            (3, [(0, 99, -1)]),
            (3, [(0, 0, 99)]),
            (3, [(2**30, 0, -1)]),
            (3, [(-1, 0, -1)]),
            (3, [(0, 2, -1)]),
        ],
    )
    def test_wrong_plans(self, recorded: list[Any], place: int, change: Any) -> None:
        plan, run = recorded
        plan[place] = change
        with pytest.raises((cavs.CavsError, TypeError)):
            core.StepPlan(*plan).run(*run)

    @pytest.mark.parametrize(
        ("place", "change"),
        [
            (0, None),
            (5, []),
            (7, []),
            (8, [None]),
            (8, [np.zeros(1, np.float32)] * 3),
            (9, [None]),
            (9, [(1, 2)]),
            (9, [(core.AdamSettings(*ADAM), [5])]),
            (9, [(core.AdamSettings(*ADAM), [(0, 1)])]),
            (9, [(core.AdamSettings(*ADAM), [(2**31, 1, P, P)])]),
            (12, [2**30]),
            (12, [-1]),
            (13, [None]),
            (13, [[1.0]] * 3),
        ],
    )
    def test_wrong_runs(self, recorded: list[Any], place: int, change: Any) -> None:
        plan, run = recorded
        if place == 12:
            run[11] = 1.0  # the norm to clip by
        run[place] = change
        with pytest.raises((cavs.CavsError, TypeError)):
            core.StepPlan(*plan).run(*run)
