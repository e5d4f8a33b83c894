"""What the extension is given wrongly it refuses in one line; nothing crashes the interpreter."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from doubling_program import (
    Change,
    attribute,
    doubled,
    field,
    make,
    put,
    values,
)
from native_programs import SPACES, instruction, output, segment, unique, value
from native_programs import dtype as native_dtype

import cavs
from cavs._native import core


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
        monkeypatch.setattr(
            "cavs.step.core", type("Core", (), {"StepPlan": Spy, "StepOutcome": core.StepOutcome})
        )
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
            (4, [99]),
            (4, [-1]),
            (4, [0]),  # the loss, which has rows
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
