"""Writes instructions: gives nodes their values, and operands their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from cavs.core.attributes import ColumnsAttributes
from cavs.core.ir import Name, Node
from cavs.core.lowering.calls import (
    distinct_tables,
    expand_table,
    gather_table,
    is_line,
    kernel_call,
    order_table,
    reads_through_index,
    segment_rows,
)
from cavs.core.lowering.fuse import Unit
from cavs.core.lowering.group import GroupWriter
from cavs.core.lowering.merge_matmuls import OVER_ROWS
from cavs.core.lowering.phases import Phase
from cavs.core.ops._def import Space, SpaceKind, Unique
from cavs.core.program import (
    NO_TABLE,
    Instruction,
    Output,
    OutputKind,
    Program,
    Role,
    Segment,
    Table,
    TableKind,
    UniqueIds,
    Value,
)

if TYPE_CHECKING:
    from cavs.core.lowering.lower import Lowered, Sinks

# Arrays whose rows are as the program's own.
_WRITTEN_TO = (OutputKind.PARAM, OutputKind.SPARSE, OutputKind.IDS)

SUMS = ("segment_sum", "state_cotangent", "unique_sum", "graph_sum")
"""Sums over lists of rows, which an elementwise group can take while it reads."""


class Analysis(Protocol):
    """What the emitter asks of the lowering."""

    sinks: Sinks
    external: set[Node]
    wanted: set[Node]
    order: list[Node]
    placed: dict[Node, Node]
    sums: dict[Node, list[Node]]
    summed: dict[Node, Node]
    masks: dict[Node, Node]

    def is_unit(self, node: Node) -> bool:
        """Whether the node stores a result of its own."""

    def goes_on(self, node: Node) -> bool:
        """Whether the unit adds to the value that it writes."""

    def rows(self, node: Node) -> Space:
        """Which rows a thread takes."""


class Emitter:
    """Numbers values and writes the instructions of one program."""

    def __init__(
        self,
        forward: Lowered | None,
        external: set[Node],
        params: Mapping[str, Any],
        counted: Sequence[tuple[Unique, Space]],
    ) -> None:
        self.forward = forward
        self.params, self.param_names = list(params.values()), list(params)
        self.param_number = {id(p): i for i, p in enumerate(self.params)}
        self.values: list[Value] = list(forward.program.values) if forward else []
        known = forward.value_of.items() if forward else ()
        self.value_of: dict[Node, int] = {n: v for n, v in known if n in external}
        self.param_values: dict[int, int] = {
            v.index: i for i, v in enumerate(self.values) if v.role is Role.PARAM
        }
        self.states: dict[Name, int] = {}
        self.inputs: list[Name] = []
        self.outputs: list[Output] = []
        self.uniques: list[UniqueIds] = []
        self.beside: dict[Node, tuple[Node, int]] = {}  # written straight into a concatenation
        self.users: dict[Node, list[Node]] = {}
        self.counted = counted

    def prepare(self, analysis: Analysis, units: dict[Node, Unit]) -> None:
        """Looks at the whole program before the first instruction is written."""
        self.analysis = analysis
        for node in analysis.order:
            for x in node.inputs:
                self.users.setdefault(x, []).append(node)
        self._find_uniques(analysis.order)
        for node in units:
            if node.op.name == "concat" and is_line(node) and node.space != SpaceKind.NONE:
                self._place_beside(node, units)

    def _find_uniques(self, order: Sequence[Node]) -> None:
        """Pulls whose distinct ids the program counts; a backward program uses the forward's."""
        if self.forward:
            self.uniques = list(self.forward.program.uniques)
            return
        used = dict.fromkeys(self.counted)
        counts: dict[Unique, int] = {}
        for node in order:
            used.update(dict.fromkeys(distinct_tables(node)))
            if node.op.name == "remembered":
                assert isinstance(node.space, Unique)
                counts[node.space] = node.attrs["count"]
        among = {space: None for pair in used for space in pair if isinstance(space, Unique)}
        for space in among:
            inputs = tuple(self.input(pull) for pull in space.pulls)
            self.uniques.append(UniqueIds(space, space.base, inputs, counts.get(space, 0)))
        for space, base in used:
            if isinstance(base, Unique):
                self.uniques.append(UniqueIds(space, base, (), counts.get(space, 0)))

    def _place_beside(self, concat: Node, units: dict[Node, Unit]) -> None:
        column = 0
        elsewhere = {*self.analysis.wanted, *self.analysis.placed.values(), *self.beside}
        for x in concat.inputs:
            free = x in units and x not in elsewhere
            if free and x.space == concat.space and x.op.name != "concat":
                self.beside[x] = (concat, column)
            column += x.size

    def input(self, name: Name) -> int:
        """Number of the array `name` that is given."""
        if name not in self.inputs:
            self.inputs.append(name)
        return self.inputs.index(name)

    def new(self, node: Node, **fields: Any) -> int:
        """A new value of the node's rows and size."""
        name = str(node.attrs.get("name") or node.op.name)
        self.values.append(Value(name, node.space, node.size, node.dtype, **fields))
        return len(self.values) - 1

    # Values of nodes

    def value(self, node: Node) -> int:
        """Value that holds the node's rows (for a unit: that will hold them)."""
        if node in self.value_of:
            return self.value_of[node]
        if node.op.name == "param":
            number = self._param(node)
        elif node.op.name == "remembered":
            number = self.new(node, role=Role.INPUT, index=self.input(node.attrs["key"]))
        elif node.op.name == "join":
            number = self._join(node)
        elif node in self.analysis.placed:
            number = self.value(self.analysis.placed[node])
        elif node in self.analysis.summed:
            number = self.value(self.analysis.summed[node])
        elif not self.analysis.is_unit(node) and node.op.name in ("slice", "reshape"):
            base = self.value(node.inputs[0])
            column = node.attrs["start"] if node.op.name == "slice" else 0
            number = self.new(node, role=Role.VIEW, base=base, column=column)
        elif node in self.beside:
            concat, column = self.beside[node]
            number = self.new(node, role=Role.VIEW, base=self.value(concat), column=column)
        else:
            number = self.new(node)
        self.value_of[node] = number
        return number

    def _join(self, node: Node) -> int:
        """One value for leaves and inner vertices, which each write their rows."""
        number = self.new(node)
        for x in node.inputs:
            part = self.analysis.placed.get(x, x)
            assert self.analysis.is_unit(part), part
            assert part not in self.value_of, part
            self.value_of[part] = self.new(part, role=Role.VIEW, base=number)
        return number

    def _param(self, node: Node) -> int:
        index = self.param_number[id(node.attrs["parameter"])]
        if index not in self.param_values:
            name = self.param_names[index]
            self.values.append(Value(name, SpaceKind.NONE, node.size, role=Role.PARAM, index=index))
            self.param_values[index] = len(self.values) - 1
        return self.param_values[index]

    def state(self, name: Name, forward: bool) -> int:
        """Value of what vertices scatter (``forward``), or of its cotangents on edges."""
        if forward and self.forward:
            return self.forward.states[name]
        return self.states[name]

    def cotangents(self, node: Node) -> tuple[int, Table]:
        """(value, table of row lists) whose sum the cotangent `node` of a state is."""
        value = self.state(node.attrs["name"], forward=False)
        slots = self.analysis.sinks.slots.get(node.attrs["name"])
        if slots is None:
            return value, Table(TableKind.PARENTS)
        table = Table(TableKind.PARENT_ROWS, slots or None)
        return self._view(value, 0, node.size), table

    def operand(self, node: Node) -> tuple[int, Table]:
        """(value, table) through which an elementwise group reads the node."""
        if self.analysis.is_unit(node) or node in self.analysis.external:
            return self.value(node), NO_TABLE
        name = node.op.name
        if name == "gather":
            return self.state(node.attrs["name"], forward=True), gather_table(node)
        if name == "spread":
            return self.value(node.inputs[0]), Table(TableKind.PARENT)
        if name == "graph_spread":
            return self.value(node.inputs[0]), Table(TableKind.GRAPH)
        if name == "expand":
            return self.value(node.inputs[0]), expand_table(node)
        if name == "broadcast":
            return self.operand(node.inputs[0])
        if name in SUMS:
            return segment_rows(self, node)
        if name in ("slice", "reshape"):
            whole, table = self.operand(node.inputs[0])
            if self.values[whole].size == 1:
                return whole, table
            if table != NO_TABLE:
                return self._view(whole, node.attrs.get("start", 0), node.size), table
        return self.value(node), NO_TABLE

    # Instructions

    def emit(self, group: Sequence[Unit]) -> list[Instruction]:
        """Instructions of a group: one fused kernel, or what a single unit needs."""
        if group[0].output is not None:
            return [self._store(group[0])]
        if group[0].fusable:
            return [self._fused([u.node for u in group])]
        return self._single(group[0].node)

    def _single(self, node: Node) -> list[Instruction]:
        name = node.op.name
        where = str(node.where or "")
        if name == "concat":
            return self._copies_beside(node)
        if name == "slice":
            return self._copy_slices(node)
        call = kernel_call(self, node)
        value = self.value(node)
        inputs = list(call.inputs)
        if self.analysis.goes_on(node):
            inputs.append(value)
        return [
            Instruction(
                call.kernel,
                tuple(inputs),
                (value,),
                (*call.tables, *[NO_TABLE] * (len(inputs) - len(call.tables))),
                call.attributes,
                self._driving(node),
                node.flops,
                where=where,
            )
        ]

    def _driving(self, node: Node) -> Space:
        """Rows that the instruction runs over: those it sums, where it sums over all."""
        if node.op.name in OVER_ROWS:
            return next(x.space for x in node.inputs if x.space != SpaceKind.NONE)
        return node.space

    def _copies_beside(self, node: Node) -> list[Instruction]:
        """A concatenation: its parts write into it; those that cannot are copied."""
        copies: list[Instruction] = []
        column = 0
        for x in node.inputs:
            if self.beside.get(x) != (node, column):
                width = x.shape[-1]
                copies.append(self._copy_part(x, 0, node, column, width))
            column += x.shape[-1]
        return copies

    def _copy_slices(self, node: Node) -> list[Instruction]:
        """A slice of matrices, whose columns do not stand together."""
        (x,) = node.inputs
        return [self._copy_part(x, node.attrs["start"], node, 0, node.shape[-1])]

    def _copy_part(self, x: Node, start: int, y: Node, column: int, size: int) -> Instruction:
        """Copies columns start..start+size of `x` to those of `y` from `column`."""
        if is_line(y):
            source = self._columns(x, start, size)
            target = self._columns(y, column, size)
            return Instruction("copy", (source,), (target,), (NO_TABLE,), space=y.space)
        source, table = self.operand(x) if reads_through_index(y) else (self.value(x), NO_TABLE)
        lines = y.size // y.shape[-1]
        columns = ColumnsAttributes(lines, size, start, x.shape[-1], column, y.shape[-1])
        target = self.value(y)
        return Instruction("copy_columns", (source,), (target,), (table,), columns, y.space)

    def load(self, node: Node) -> int:
        """Value of the caller's array that the node is read from."""
        name = node.attrs["name"]
        number = self.input(name)
        self.values.append(
            Value(str(name), node.space, node.size, node.dtype, role=Role.INPUT, index=number)
        )
        return len(self.values) - 1

    def _columns(self, x: Node, column: int, size: int) -> int:
        return self._view(self.value(x), column, size)

    def _view(self, whole: int, column: int, size: int) -> int:
        value = self.values[whole]
        if size == value.size:
            return whole
        self.values.append(
            Value("part", value.space, size, role=Role.VIEW, base=whole, column=column)
        )
        return len(self.values) - 1

    def _fused(self, nodes: Sequence[Node]) -> Instruction:
        group = GroupWriter(self)
        for node in nodes:
            group.add(node)
        return group.instruction(set(nodes))

    # The caller's arrays

    def stores(
        self,
        sinks: Sinks,
        units: dict[Node, Unit],
        stored: Callable[[Node], tuple[Node | None, bool]],
    ) -> list[Unit]:
        """Numbers the outputs; gives units that copy to them where the result is elsewhere."""
        stores = []
        for name, node in sinks.states.items():
            self.states[name] = self.value(node)
        for output, node in sinks.outputs:
            number = len(self.outputs)
            self.outputs.append(output)
            written = node in units or node in self.analysis.sums
            own = written and output.kind in _WRITTEN_TO
            if own and node not in self.value_of and node.op.name != "concat":
                self.value_of[node] = self.new(node, role=Role.OUTPUT, index=number)
                continue
            for part in node.inputs if node.op.name == "join" else (node,):
                store = Unit(part, Phase.DEFER, self.analysis.rows(part), False, output)
                source, crossed = stored(part)
                if source is not None:
                    store.add_dependency(units[source], crossed, False)
                stores.append(store)
        return stores

    def _store(self, unit: Unit) -> Instruction:
        node = unit.node
        number = next(i for i, o in enumerate(self.outputs) if o is unit.output)
        target = self.new(node, role=Role.OUTPUT, index=number)
        kernel = "copy" if node.space == SpaceKind.NONE else "store"
        source, table = self.value(node), order_table(node.space)
        return Instruction(kernel, (source,), (target,), (table,), space=node.space)

    def program(self, segments: list[Segment], sinks: Sinks, forward: Program | None) -> Program:
        """The finished program."""
        saved = sorted({self._root(self.value(n)) for n in sinks.saved})
        return Program(
            tuple(self.values),
            tuple(segments),
            tuple(self.inputs),
            tuple(self.outputs),
            tuple(self.uniques),
            tuple(saved),
            tuple(self.params),
            forward,
            {} if forward else dict(self.states),
        )

    def _root(self, number: int) -> int:
        while self.values[number].role is Role.VIEW:
            number = self.values[number].base
        return number
