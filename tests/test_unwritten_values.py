"""A native program that reads what it has not written is refused, and one that writes it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from doubling_program import (
    Change,
    described,
    doubled,
    field,
    make,
)
from native_programs import dtype as native_dtype
from native_programs import instruction, output, segment, unique, value

import cavs
from cavs._native import core


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
