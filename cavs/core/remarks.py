"""What the passes say of their own work: what each saved, what it did not do for which line of F,
and why. It is said where it is decided, into a collector that is there only while somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cavs.core.ir import Internal, Name, Node, ancestors
from cavs.core.ops._spaces import Space, SpaceKind, Typed, Unique
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.structure import GATHER, PULL, UNIQUE_IDS
from cavs.core.tracing import SourceLine


@dataclass(frozen=True)
class Missing:
    """Rows in which ids are -1, or masks 0.

    Attributes:
        space: the rows, of which they are some.
        clauses: names of inputs: those of any one of the clauses are all -1 or 0.
    """

    space: Space
    clauses: frozenset[frozenset[Name]]

    @property
    def kind(self) -> SpaceKind | None:
        """The kind of the rows."""
        return self.space.kind

    @property
    def type(self) -> str:
        """The type of the rows."""
        return self.space.type


class Stake(NamedTuple):
    """FLOPs of a row, and the rows that they are of. What was saved is the difference of stakes
    without and with the pass: then FLOPs may be less than zero."""

    space: Space | Missing
    flops: int


CountRows = Callable[[Space | Missing], int]
"""How many rows of a space a batch has."""


class Note(NamedTuple):
    """What a pass said: its name, in words what it did or why it did not, the operation (if any)
    that it says it of, and the work that this is about."""

    name: str
    words: str
    node: Node | None
    stakes: tuple[Stake, ...]


class Notes:
    """A collector of what passes say.

    Attributes:
        refused: what they did not do.
        saved: what they did.
    """

    def __init__(self) -> None:
        self.refused: list[Note] = []
        self.saved: list[Note] = []

    def copy(self) -> Notes:
        """A collector that goes on from this one."""
        made = Notes()
        made.refused, made.saved = [*self.refused], [*self.saved]
        return made

    def refuse(
        self, name: str, node: Node | None, reason: str, work: Iterable[Node | Stake] = ()
    ) -> None:
        """Notes that the pass `name` stopped at `node`; `work`: what it would have spared, or some
        of."""
        self.refused.append(Note(name, reason, node, _stakes(work)))

    def did(self, name: str, words: str, work: Iterable[Node | Stake] = ()) -> None:
        """Notes what the pass `name` did; `work`: what it spared."""
        self.saved.append(Note(name, words, None, _stakes(work)))


def _stakes(work: Iterable[Node | Stake]) -> tuple[Stake, ...]:
    return tuple(x if isinstance(x, Stake) else Stake(x.space, x.flops) for x in work)


@dataclass(frozen=True)
class Remark:
    """One thing that a pass did not do, or did, summed up over the rows and operations of a line.

    Attributes:
        name: of the pass; "batching" of the scheduler.
        words: why not, or what was done.
        type: of the vertices, in a function of types; else empty.
        file, line, text: the line of F; empty and 0 where it is of no line.
        flops: FLOPs of a row at stake, or saved, forward: of the kind of rows that has most.
        rows: rows of the batch that this is about; 0 without a batch.
        work: FLOPs at stake over these rows, or saved; 0 without a batch.
    """

    name: str
    words: str
    type: str = ""
    file: str = ""
    line: int = 0
    text: str = ""
    flops: int = 0
    rows: int = 0
    work: int = 0

    @property
    def where(self) -> SourceLine | None:
        """The line of F."""
        return SourceLine(self.file, self.line, self.text) if self.file else None


def sum_up(notes: Iterable[Note], count: CountRows | None) -> list[Remark]:
    """Notes with the same pass, words, type and line put together, most work first.

    `count` gives the rows of a batch, if there is one.
    """
    found: dict[tuple[str, str, str, SourceLine | None], list[Stake]] = {}
    for note in dict.fromkeys(notes):  # an analysis that serves several programs says it for each
        where = _line_of(note.node)
        kind = "" if note.node is None else _type_of(note.node.space)
        kind = kind or _only_type(note.stakes)
        found.setdefault((note.name, note.words, kind, where), []).extend(note.stakes)
    made = [_remark(*key, stakes, count) for key, stakes in found.items()]
    if count is not None:  # none of the batch's rows is concerned
        made = [x for x in made if x.work or not x.flops]
    return sorted(made, key=lambda r: (-r.work, -r.flops))


def _line_of(node: Node | None) -> SourceLine | None:
    """The line of F that an operation is of; one of a gradient is of the last line before it."""
    if node is None or node.where is not None:
        return None if node is None else node.where
    return next((x.where for x in reversed(ancestors([node])) if x.where is not None), None)


def _only_type(stakes: Sequence[Stake]) -> str:
    kinds = {_type_of(stake.space) for stake in stakes}
    return kinds.pop() if len(kinds) == 1 else ""


def _type_of(space: Space | Missing) -> str:
    several = isinstance(space, Typed) and len(space.members) > 1
    return "" if several else space.type


def _remark(
    name: str,
    words: str,
    kind: str,
    where: SourceLine | None,
    stakes: Sequence[Stake],
    count: CountRows | None,
) -> Remark:
    by_rows: dict[Space | Missing, int] = {}
    for space, flops in stakes:
        by_rows[space] = by_rows.get(space, 0) + flops
    rows = work = 0
    if count is not None:
        numbers = {space: count(space) for space in by_rows}
        rows = sum(numbers[space] for space, flops in by_rows.items() if flops > 0)
        work = max(0, sum(numbers[space] * flops for space, flops in by_rows.items()))
    return Remark(
        name,
        words,
        kind,
        where.file if where else "",
        where.line if where else 0,
        where.text if where else "",
        max([0, *by_rows.values()]),
        rows,
        work,
    )


# What passes need to say it


def products_after(order: Sequence[Node]) -> dict[Node, frozenset[Node]]:
    """Maps each value to the products that it goes into before it meets a state of children."""
    states: set[Node] = set()
    for node in order:
        if node.op is GATHER or any(x in states for x in node.inputs):
            states.add(node)
    after: dict[Node, set[Node]] = {node: set() for node in order}
    for node in reversed(order):
        if node in states:
            continue
        found = after[node] | {node} if node.op is MATMUL else after[node]
        for x in node.inputs:
            after[x] |= found
    return {node: frozenset(products) for node, products in after.items()}


def sources(node: Node) -> list[Node]:
    """The pulls, gathers and other sources of rows that a value is computed from."""
    return [x for x in ancestors([node]) if not x.inputs and x.space != SpaceKind.NONE]


def called(node: Node) -> str:
    """What a reason calls an operation: an input or a state by its name, others by their line."""
    if node.op in (PULL, UNIQUE_IDS):
        kind = "float input" if node.dtype == "float" else "id"
        return f"the {kind} {str(node.attrs['name'])!r}"
    if node.op is GATHER:
        return f"{called_state(node.attrs['name'])!r} of children"
    name = _CALLED.get(node.op.name, node.op.name)
    return f"{name} of line {node.where.line}" if node.where else name


_CALLED = {
    "expand": "what is computed by id",
    "matmul": "the product",
    "segment_sum": "the sum over children",
    "spread": "the vertex's value",
}


def counted(number: int, what: str) -> str:
    """A number of things: 1 product, 2 products."""
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('ch') else 's'}"


def called_state(name: Name) -> str:
    """The user's name of a state, or of the one that a pass computed a state from."""
    while isinstance(name, Internal):
        name = getattr(name, "state", str(name))
    return str(name)


def listed(names: Collection[str], last: str = "and") -> str:
    """Names in words: 'a', 'b' and 'c'."""
    quoted = [repr(name) for name in names]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def of_rows(space: Space) -> str:
    """What rows are called."""
    if isinstance(space, Unique):
        return f"distinct {' and '.join(map(repr, space.pulls))}"
    words = {
        SpaceKind.GRAPH: "graphs",
        SpaceKind.EDGE: "edges",
        SpaceKind.LEAF: "leaves",
        SpaceKind.INNER: "inner vertices",
        SpaceKind.NONE: "no rows",
    }
    return words.get(space.kind, "vertices")
