"""Checks the graphs and inputs of a call; names input, graph and vertex where one does not fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import conversion, printed, shown
from cavs._arrays import Array, InputForms, NativeDType, NativeSpace, first_outside, foreign_array
from cavs.child_places import ChildPlaces
from cavs.core.ir import Name, Node, ancestors
from cavs.core.ops._spaces import EdgeList, Rows, Typed, Unique
from cavs.core.ops.structure import PULL
from cavs.core.trace import SlotsRead, Trace, select_outputs
from cavs.core.traced_vertex import InputSpec
from cavs.core.tracing import SourceLine
from cavs.core.type_order import TypeOrder
from cavs.device import Device, device_of, host, is_on_host
from cavs.device.taking import on_gpu
from cavs.errors import CavsError, DTypeError, GraphError, InputError, ShapeError
from cavs.scheduler import GraphBatch, InputGraph, Policy, batch, check_children
from cavs.tensor import Tensor
from cavs.typed_inputs import TypesOfInputs, named_members

_INT32 = np.dtype(np.int32)
_MOST_NAMED = 4  # outputs in an error
_NATIVE_SPACES = {
    "vertex": NativeSpace.VERTEX,
    "edge": NativeSpace.EDGE,
    "graph": NativeSpace.GRAPH,
    "batch": NativeSpace.NONE,
}


class InputChecker:
    """Knows the inputs that a traced function pulls, and the ids that its operations can take.

    Attributes:
        slots_read: the children that a vertex may have; None: any number.
    """

    def __init__(
        self,
        trace: Trace,
        dtype: str,
        policy: str | Policy,
        slots_read: SlotsRead | None,
        device: Device = host,
        types: TypeOrder | None = None,
    ) -> None:
        """See `cavs.options.CompileOptions`; `types`: the order of the types of a function.

        In a function of types `slots_read` matters only as None or not: whether a child may be
        there that F does not read."""
        self.slots_read = slots_read
        self._types = None
        if types is not None:
            self._types = TypesOfInputs(types, trace, policy, extra=slots_read is None)
        self._places = ChildPlaces(trace)
        self._policy = policy
        self._specs = trace.inputs
        self.ids = frozenset(name for name, spec in trace.inputs.items() if spec.dtype == "int32")
        self._number = {name: i for i, name in enumerate(trace.inputs)}
        self._trace = trace
        self._bounds = _id_bounds(trace.function.roots())
        self._least_bounds = {
            name: min(bound.rows for bound in taken.values())
            for name, taken in self._bounds.items()
        }
        self._dtype = np.dtype(dtype)
        self._device = device
        kinds = {"float": NativeDType[dtype.upper()], "int32": NativeDType.INT32}
        self._forms = InputForms(
            [
                (s.name, _NATIVE_SPACES[s.space], kinds[s.dtype], s.shape, self._bound(s))
                for s in self._specs.values()
            ]
        )

    def batch(self, graphs: Any) -> GraphBatch:
        """The graphs as a batch whose vertices have no children that F would leave out.

        Raises:
            GraphError: no graphs, or a vertex with more children than F reads or has places for.
        """
        found = _as_batch(graphs)
        if self._types is not None:
            self._types.check(found)
        else:
            self._check_children(found)
        self._places.check(found)
        return found

    def _check_children(self, graphs: GraphBatch) -> None:
        read = self.slots_read
        if read is not None and graphs.schedule(self._policy).num_slots > sum(read):
            check_children(graphs, *read)

    def learning(self, inputs: Mapping[Name, Any]) -> dict[Name, Tensor]:
        """The inputs that want gradients."""
        return {
            name: x
            for name, x in inputs.items()
            if isinstance(x, Tensor) and x.requires_grad and self._specs[name].dtype == "float"
        }

    def take(self, graphs: GraphBatch, inputs: dict[Name, Any]) -> dict[Name, Array] | None:
        """The result of :meth:`check`, if all inputs are there and are NumPy arrays that need no
        conversion, as from a loader; else None."""
        rows = None if self._types is None else self._types.rows(graphs)
        taken: dict[Name, Array] | None = self._forms.take(graphs.native, inputs, rows)
        return taken

    def check(
        self, graphs: GraphBatch, inputs: dict[Name, Any], partial: bool = False
    ) -> dict[Name, Array]:
        """Arrays by name, C-contiguous and of the compiled dtype; an array that is so already is
        shared. Floats are on the device, copied there from the host; ids are on the host, and
        copied: a later write of another thread to the given ones is not seen.

        `partial`: whether inputs may be missing.

        Raises:
            InputError: an input is missing or unknown, or an id is out of range; ShapeError,
            DTypeError: it has another shape or dtype.
        """
        taken = self.take(graphs, inputs)
        if taken is not None:
            return taken
        self.check_names(inputs)
        arrays = {}
        for name, spec in self._specs.items():
            if name in inputs:
                arrays[name] = self._convert(graphs, spec, inputs[name])
            elif not partial:
                what = self._describe(graphs, spec)
                raise InputError(
                    f"[input] expected {what} for {name!r}, got none, though pulled at "
                    f"{spec.where}; {self._remedy(name)}"
                )
        return arrays

    def check_names(self, inputs: Mapping[Name, Any]) -> None:
        """Raises InputError where one of the inputs is unknown."""
        if not inputs.keys() <= self._specs.keys():
            unknown = min(inputs.keys() - self._specs.keys(), key=str)
            raise InputError(
                f"[input] expected inputs among {sorted(self._specs, key=str)}, got {unknown!r}; "
                "leave it out or rename it"
            )

    def needed(self, inputs: Mapping[Name, Any], by: InputChecker) -> dict[Name, Any]:
        """Those of the inputs that a part of F pulls, which `by` checks; raises InputError where
        one is unknown to all of F."""
        self.check_names(inputs)
        return {name: x for name, x in inputs.items() if name in by._specs}

    def refuse_unnamed(self, given: Sequence[Any]) -> None:
        """Raises InputError where a call has inputs without names."""
        if given:
            named = ", ".join(f"{name}=..." for name in self._specs)
            raise InputError(
                f"[input] expected inputs and options by name, got {shown(given[0])} without one; "
                f"{f'pass inputs as {named}' if named else 'leave it out'}"
            )

    def _remedy(self, missing: Name) -> str:
        """What to do about an input that is missing."""
        pushes = self._trace.function.pushes
        free = [
            name
            for name in pushes
            if isinstance(name, str) and missing not in select_outputs(self._trace, [name]).inputs
        ]
        if not free:
            return "pass it"
        asked = free[:1] if len(free) > _MOST_NAMED else free
        return f"pass it, or ask for outputs that do not need it, as by outputs={asked}"

    def _convert(self, graphs: GraphBatch, spec: InputSpec, given: Any) -> Array:
        array = given._values if isinstance(given, Tensor) else _as_array(spec.name, given)
        if not is_on_host(array):
            array = self._from_gpu(spec, array)
        kinds = "iu" if spec.dtype == "int32" else "f"
        empty = array.size == 0 and array.ndim == 1 + len(spec.shape) and spec.space != "batch"
        if array.dtype.kind not in kinds and not empty:
            remedy = "pass numbers"
            if array.dtype.kind in "biuf":
                wanted = spec.dtype if spec.dtype == "int32" else self._dtype.name
                remedy = conversion(given, wanted)
            raise DTypeError(
                f"[input] expected {self._describe(graphs, spec)} for {spec.name!r}, got dtype "
                f"{array.dtype}; {remedy}"
            )
        expected = self._expected(graphs, spec)
        if array.shape != expected:
            remedy = _fitting(array.shape, expected, spec.space)
            if isinstance(spec.rows, Typed) and array.shape[:1] == (graphs.rows(spec.space),):
                remedy = self._rows_of_types(graphs, spec)
            raise ShapeError(
                f"[input] expected {self._describe(graphs, spec)} for {spec.name!r}, got shape "
                f"{array.shape}; {remedy}"
            )
        if spec.dtype == "int32":
            own = np.array(array, order="C")
            self._check_ids(graphs, spec, own)  # before ids that do not fit 32 bits are cut
            return own.astype(_INT32, copy=False)
        if self._device is host:
            return np.require(array, self._dtype, ("C_CONTIGUOUS", "ALIGNED"))
        return self._device.contiguous(self._device.asarray(array, self._dtype))

    def _from_gpu(self, spec: InputSpec, array: Array) -> Array:
        """An array of a GPU where the call reads it: ids on the host, which counts them."""
        own = device_of(array)
        if spec.dtype == "int32" and array.dtype.kind in "iu":
            return own.to_host(array)
        if own is not self._device:
            raise InputError(
                f"[input] expected an array on {self._device.name} for {spec.name!r}, got one on "
                f"{own.name}; move it by x.to({self._device.name!r}), or the model by "
                f"model.to({own.name!r})"
            )
        return array

    def _check_ids(self, graphs: GraphBatch, spec: InputSpec, ids: Array) -> None:
        if first_outside(ids, -1, self._bound(spec)) < 0:
            return
        everywhere = (spec.rows, _Bound(_NO_BOUND, None))  # some types may select nothing by them
        for rows, bound in (*self._bounds.get(spec.name, {}).items(), everywhere):
            there = self._rows_there(graphs, spec, rows)
            place = first_outside(ids if there is None else ids[there], -1, bound.rows)
            if place < 0:
                continue
            row, place = divmod(place, math.prod(spec.shape))
            row = row if there is None else int(there[row])
            where = f", looked up at {bound.where}," if bound.where else ""
            raise InputError(
                f"[input] expected ids in -1..{bound.rows - 1} for {spec.name!r}{where or ','} got "
                f"{ids[row].reshape(-1)[place]} at {self._locate(graphs, spec, row)}; correct the "
                "ids, -1 stands for none"
            )

    def _rows_there(self, graphs: GraphBatch, spec: InputSpec, rows: Rows) -> Array | None:
        """Which rows of the input stand for vertices, or edges, of some types; None: all."""
        if self._types is None or rows == spec.rows or not isinstance(rows, Typed):
            return None
        assert isinstance(spec.rows, Typed)
        all_rows = self._types.places(graphs, spec.rows)
        there: Array = np.searchsorted(all_rows, self._types.places(graphs, rows))
        return there

    def _rows_of_types(self, graphs: GraphBatch, spec: InputSpec) -> str:
        """What to do about an array with rows for vertices, or edges, of all types."""
        assert self._types is not None
        assert isinstance(spec.rows, Typed)
        (name, *others) = spec.rows.members
        if isinstance(name, EdgeList) and not others:
            ends = (self._types.as_given(graphs, x) for x in name if x is not None)
            return f"pass the rows of these edges, x[graphs.edges({', '.join(map(repr, ends))})]"
        if spec.space == "edge":
            return "leave out the rows of other edges"
        if others:
            return "leave out the rows of vertices of other types"
        given = self._types.as_given(graphs, str(name))
        return f"pass the rows of these vertices, x[graphs.vertices({given!r})]"

    def rows(self, graphs: GraphBatch, spec: InputSpec) -> int:
        """How many rows the input has."""
        if self._types is None:
            return graphs.rows(spec.space)
        return self._types.rows(graphs)[self._number[spec.name]]

    def _expected(self, graphs: GraphBatch, spec: InputSpec) -> tuple[int, ...]:
        """The shape of the array."""
        return spec.shape if spec.space == "batch" else (self.rows(graphs, spec), *spec.shape)

    def _describe(self, graphs: GraphBatch, spec: InputSpec) -> str:
        shape = self._expected(graphs, spec)
        if spec.space == "batch":
            return f"float of shape {shape}, one value for the batch,"
        kind = "int32" if spec.dtype == "int32" else "float"
        of = f" of {named_members(spec.rows)}" if isinstance(spec.rows, Typed) else ""
        return f"{kind} of shape {shape}, a row per {spec.space}{of},"

    def _locate(self, graphs: GraphBatch, spec: InputSpec, row: int) -> str:
        if self._types is not None and isinstance(spec.rows, Typed):
            row = int(self._types.places(graphs, spec.rows)[row])
        return _locate(graphs, spec.space, row)

    def _bound(self, spec: InputSpec) -> int:
        return self._least_bounds.get(spec.name, _NO_BOUND)


def _as_batch(graphs: Any) -> GraphBatch:
    if isinstance(graphs, GraphBatch):
        return graphs
    if not isinstance(graphs, (InputGraph, Iterable)):
        raise GraphError(
            f"[graph] expected a cavs.GraphBatch, or graphs, got {type(graphs).__name__}; make "
            "one by cavs.GraphBatch(graphs)"
        )
    return batch([graphs] if isinstance(graphs, InputGraph) else graphs)


def _as_array(name: Name, given: Any) -> Array:
    if type(given) is np.ndarray:
        return given
    try:
        array = on_gpu(given, "input")
        return foreign_array(given, "input") if array is None else array
    except CavsError as error:
        message = printed(error, str).removeprefix("[input] ")
        raise InputError(f"[input] {name!r}: {message}") from None


_PLURALS = {"vertex": "vertices", "edge": "edges", "graph": "graphs"}


def _fitting(given: tuple[int, ...], expected: tuple[int, ...], space: str) -> str:
    """What to do about an array of a wrong shape."""
    if space == "batch":
        return f"give one array of shape {expected}, without rows"
    count, features = expected[0], expected[1:]
    if given == expected[::-1]:
        return "transpose it"
    if math.prod(given) == math.prod(expected):
        return "reshape it"
    row = f"a row of shape {features}" if features else "one number"
    if given and features in (given, given[1:]):  # one row alone, or another number of them
        row = "one row"
    every = f"for the 1 {space}" if count == 1 else f"for each of the {count} {_PLURALS[space]}"
    return f"give {row} {every}"


def _locate(graphs: GraphBatch, space: str, row: int) -> str:
    if space == "graph":
        return f"graph {row}"
    ptr = graphs.ptr if space == "vertex" else graphs.edge_ptr
    graph = int(np.searchsorted(ptr, row, side="right")) - 1
    return f"graph {graph}, {space} {row - int(ptr[graph])}"


_NO_BOUND = 2**31 - 1


class _Bound(NamedTuple):
    """How many rows or classes an integer input selects from, and the line of F that selects."""

    rows: int
    where: SourceLine | None


def _id_bounds(roots: Iterable[Node]) -> dict[Name, dict[Rows, _Bound]]:
    """The bounds of all integer inputs that select, by name and by the rows that select; of several
    bounds the least."""
    bounds: dict[Name, dict[Rows, _Bound]] = {}
    for node in ancestors(roots):
        if node.op.ids_within is None or node.op.ids is None:
            continue
        ids = node.inputs[node.op.ids]
        while ids.inputs and ids.inputs[0].dtype == "int32":
            ids = ids.inputs[0]
        count = node.op.count_of_ids(node.inputs[0].shape, node.attrs)
        if ids.op is not PULL or count is None:  # places of elements are within their line
            continue
        assert not isinstance(ids.space, Unique)
        own = bounds.setdefault(ids.attrs["name"], {})
        if ids.space not in own or count < own[ids.space].rows:
            own[ids.space] = _Bound(count, node.where)
    return bounds
