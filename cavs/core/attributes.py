"""Attributes of kernels: a record of named numbers for each kernel that has any.

Mirrors csrc/program/attributes.h, which has the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum, auto


class Attributes:
    """The attributes of one kernel or several; as text, ``name=value, ...`` without defaults."""

    def __str__(self) -> str:
        every = ((f, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        named = [(f.name, value) for f, value in every if value != f.default]
        return ", ".join(f"{name}={_shown(value)}" for name, value in named)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(int(value))  # type: ignore[call-overload]


@dataclass(frozen=True)
class MatmulAttributes(Attributes):
    """Attributes of ``matmul``, ``matmul_reduce``: (m, k) by (k, n), transposed if `ta`, `tb`."""

    ta: bool
    tb: bool
    m: int
    k: int
    n: int


@dataclass(frozen=True)
class MaskedMatmulAttributes(MatmulAttributes):
    """Attributes of masked products, which leave rows out. `by_id`: the mask holds ids, and -1
    leaves its row out; else it holds numbers, and 0 leaves its row out."""

    by_id: bool


@dataclass(frozen=True)
class AxisAttributes(Attributes):
    """Attributes of kernels along an axis of a row: `outer` groups of `inner` lines of `length`
    elements, which stand `inner` apart."""

    outer: int
    length: int
    inner: int = 1


@dataclass(frozen=True)
class ScanAttributes(AxisAttributes):
    """Attributes of ``cumsum``. `reverse`: whether sums begin at the end of a line."""

    reverse: bool = False


@dataclass(frozen=True)
class OrderAttributes(AxisAttributes):
    """Attributes of ``argsort``, which gives the places of the first `count` elements of a line."""

    count: int = 1
    descending: bool = False


@dataclass(frozen=True)
class PickAttributes(AxisAttributes):
    """Attributes of ``pick_elements`` and ``put_elements``: `count` elements of a line, by numbers
    that serve all lines of a row, or, where `along`, of each line by its own."""

    count: int = 1
    along: bool = False


@dataclass(frozen=True)
class PoolAttributes(Attributes):
    """Attributes of ``max_pool``, ``avg_pool`` and their derivatives.

    Attributes:
        outer: images of a row, of `height` * `width` elements each.
        windows_y, windows_x: windows of an image, of size_y * size_x elements each, the first one
            `top` and `left` before it, each further one a stride on.
        padded: whether what lies outside of the image counts for a mean.
    """

    outer: int
    height: int
    width: int
    windows_y: int
    windows_x: int
    size_y: int
    size_x: int
    stride_y: int = 1
    stride_x: int = 1
    top: int = 0
    left: int = 0
    padded: bool = False


@dataclass(frozen=True)
class EmbeddingAttributes(Attributes):
    """Attributes of ``embedding``: the number of rows of the weight, and their length."""

    count: int
    width: int


@dataclass(frozen=True)
class ShapeAttributes(Attributes):
    """Attributes of ``broadcast`` and ``sum_to``: operand and result shapes of equal length."""

    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True)
class PermuteAttributes(Attributes):
    """Attributes of ``permute``: the result's sizes, and how far apart its elements stand in the
    operand."""

    sizes: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class ColumnsAttributes(Attributes):
    """Attributes of ``copy_columns``, which copies lines of `width` elements. The first goes from
    `source_column` of a row to `target_column` of another; each next line is one step further in
    both."""

    lines: int
    width: int
    source_column: int
    source_step: int
    target_column: int
    target_step: int


@dataclass(frozen=True)
class ConvolutionAttributes(Attributes):
    """Attributes of ``conv``, ``conv_input``, ``conv_weight`` and its sum over rows.

    Attributes:
        image, places: (C, H, W) and (O, OH, OW).
        kernel: (kh, kw), with its stride and dilation.
        padding: above and left of an image.
        groups: of channels and outputs.
        taps: the numbers of those that are used; none stands for all.
    """

    image: tuple[int, ...]
    places: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    taps: tuple[int, ...]


@dataclass(frozen=True)
class AttentionAttributes(Attributes):
    """Attributes of the kernels of attention over children.

    Attributes:
        heads, size, values: of each head `size` elements of queries and keys, `values` of values.
        positions: columns of position scores of a head, if there are such scores.
        biases: numbers of an edge that scores add.
        query, children, bias: which gradients are wanted.
        zeroed, key: dropout of the weights: of the 2**24 numbers that are drawn those below
            `zeroed` zero a weight, none without dropout; and the operation's number, from which
            they are drawn.
    """

    heads: int
    size: int
    values: int
    positions: int = 0
    biases: int = 0
    query: bool = False
    children: bool = False
    bias: bool = False
    zeroed: int = 0
    key: int = 0


@dataclass(frozen=True)
class UniformAttributes(Attributes):
    """Attributes of ``uniform``: the operation's number, from which its samples are drawn."""

    key: int


@dataclass(frozen=True)
class DropoutAttributes(Attributes):
    """Attributes of ``dropout``, ``dropout_by_id``: the operation's number, the rate of zeros."""

    key: int
    rate: float


@dataclass(frozen=True)
class FillAttributes(Attributes):
    """Attributes of ``fill``: the value of all elements."""

    value: float


class Read(Enum):
    """How an elementwise group reaches a row of an operand."""

    ROW = auto()  # the row at hand
    INDEXED = auto()  # the row that a table names
    LIST_SUM = auto()  # the sum of the rows that a table lists
    SHARED = auto()  # the operand's only row

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class GroupInput:
    """How a group reads an operand; `narrow`: whether its row has one element for all columns."""

    read: Read
    narrow: bool


@dataclass(frozen=True)
class ScalarCall:
    """One elementwise operation of a group.

    Attributes:
        op: its name.
        operands: numbers within the group, which counts its inputs first, then its constants, then
            its calls.
    """

    op: str
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Group(Attributes):
    """Attributes of ``fused``: elementwise operations over rows of one length.

    Attributes:
        width: elements of a row.
        inputs: one for each operand of the instruction.
        constants: numbers that the calls read.
        calls: operands before users; each result has one number.
        outputs: numbers of the results, one for each of the instruction.
    """

    width: int
    inputs: tuple[GroupInput, ...]
    constants: tuple[float, ...]
    calls: tuple[ScalarCall, ...]
    outputs: tuple[int, ...]

    @property
    def first_call(self) -> int:
        """Number of the first call's result."""
        return len(self.inputs) + len(self.constants)

    def text(self, inputs: Sequence[str]) -> str:
        """The group as text; `inputs`: names of its inputs outside."""
        names = [*inputs, *(f"{value:g}" for value in self.constants)]
        names += [f"t{number}" for number in range(len(self.calls))]
        lines = [
            f"t{number} = {call.op}({', '.join(names[x] for x in call.operands)})"
            for number, call in enumerate(self.calls)
        ]
        return f"{{{'; '.join(lines)} -> {', '.join(names[x] for x in self.outputs)}}}"
