"""Samples as flat arrays, so that assembling a batch runs no Python for each sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import (
    INT32_MAX,
    instance,
    integer,
    items,
    listed,
    mapping,
    shown,
    text,
)
from cavs._arrays import Array, first_outside, foreign_array, rows_of_samples
from cavs.data._repr import Printed, listed_inputs
from cavs.data.graph_rows import GraphRows, Of, Space, rows_by_name
from cavs.errors import InputError, ShapeError
from cavs.scheduler import GraphBatch, GraphStore, InputGraph
from cavs.scheduler.type_rows import types_there

_VERTICES, _EDGES = GraphRows("vertex"), GraphRows("edge")


@dataclass(frozen=True)
class _Field:
    rows: GraphRows
    ptr: npt.NDArray[np.int64]  # the first of the rows of each graph; one array for each GraphRows
    values: Array


class Dataset(Printed):
    """Input graphs with their inputs; the i-th sample is a graph and its rows of every input.

    Args:
      graphs: the input graphs.
      vertex: inputs with one row per vertex. Each name has an array [sum of num_vertices, ...],
        graph 0's vertices first. The convention for ids and labels is int32 with -1 for "none".
      edge: inputs with one row per edge, in the order of the child lists.
      graph: inputs with one row per graph.
      of: inputs of vertices, or edges, that have rows for those of some types only, as functions
        of types pull them: by name a type or a list of types; for edges a pair, or a list of
        pairs, of the parent's type and the child's (None: any), such as
        ``of={"word": "word", "tag": ["char", "word"], "distance": ("char", "word")}``.

    Raises:
      ShapeError: an array whose length is not the number of vertices, edges or graphs.
      InputError: a name given twice, or one in `of` that is no input.
      GraphError: a graph without types, where `of` names some.
    """

    _unit = "samples"

    def __init__(
        self,
        graphs: Sequence[InputGraph],
        *,
        vertex: Mapping[str, npt.ArrayLike] | None = None,
        edge: Mapping[str, npt.ArrayLike] | None = None,
        graph: Mapping[str, npt.ArrayLike] | None = None,
        of: Of | None = None,
    ) -> None:
        self._store = GraphStore(items("data", "graphs", graphs, InputGraph, "input graphs"))
        self._offsets: dict[GraphRows, npt.NDArray[np.int64]] = {}
        self._fields: dict[str, _Field] = {}
        spaces: dict[str, Space] = {}
        columns: list[tuple[str, Array]] = []
        given: list[tuple[Space, Mapping[str, npt.ArrayLike] | None]] = [
            ("vertex", vertex),
            ("edge", edge),
            ("graph", graph),
        ]
        for space, arrays in given:
            given_arrays = {} if arrays is None else mapping("data", space, arrays)
            for name, values in given_arrays.items():
                text("data", f"the name of an input of {space}", name)
                if name in spaces:
                    raise InputError(
                        f"[data] expected one input of each name, got {name!r} twice; rename one"
                    )
                spaces[name] = space
                columns.append((name, np.ascontiguousarray(_as_array(name, values))))
        rows = rows_by_name(of, spaces)
        for name, column in columns:
            self._add(name, rows[name], column)

    def _add(self, name: str, of: GraphRows, values: Array) -> None:
        ptr = self._ptr(of)
        rows = int(ptr[-1])
        if values.ndim == 0 or values.shape[:1] != (rows,):
            there = "" if of.types is None or rows else f", or correct of: {self._types_there()}"
            raise ShapeError(
                f"[data] expected one row per {of} of the {len(self)} graphs ({rows} rows) for "
                f"the {of.space} input {name!r}, got shape {values.shape}; give a row for each"
                f"{there}"
            )
        self._fields[name] = _Field(of, ptr, values)

    def _types_there(self) -> str:
        return types_there([x for graph in self.graphs for x in graph.types or ()])

    def _ptr(self, rows: GraphRows) -> npt.NDArray[np.int64]:
        """int64 [len(self) + 1]: the first of these rows of each graph, and behind the last."""
        found = self._offsets.get(rows)
        if found is None:
            found = np.concatenate([[0], np.cumsum(rows.counts(self.graphs))])
            self._offsets[rows] = found
        return found

    @classmethod
    def from_samples(
        cls,
        samples: Iterable[tuple[InputGraph, Mapping[str, npt.ArrayLike]]],
        *,
        edge: Sequence[str] = (),
        graph: Sequence[str] = (),
        of: Of | None = None,
    ) -> Dataset:
        """A data set from (graph, inputs) pairs; inputs not named in `edge` or `graph` are per
        vertex. `of` names the types whose rows an input has, as in the constructor.

        Every sample must have the same inputs, with feature shapes and dtypes that go together.
        """
        pairs = items("data", "samples", samples, (tuple, list), "(graph, inputs) pairs")
        for pair in pairs:
            if len(pair) != 2:
                raise InputError(
                    f"[data] expected (graph, inputs) pairs, got {shown(pair)}; pass both"
                )
            instance("data", "the graph of a sample", pair[0], InputGraph, "an input graph")
            mapping("data", "the inputs of a sample", pair[1])
        edge = items("data", "edge", edge, str, "names")
        graph = items("data", "graph", graph, str, "names")
        names = [text("data", "an input's name", x) for x in (pairs[0][1] if pairs else ())]
        unknown = next((x for x in (*edge, *graph) if pairs and x not in names), None)
        if unknown is not None:
            raise InputError(
                f"[data] expected names among the inputs {listed(names)} in edge and graph, got "
                f"{unknown!r}; correct it"
            )
        spaces: dict[str, Space] = {
            name: "edge" if name in edge else "graph" if name in graph else "vertex"
            for name in names
        }
        of = of if pairs else None
        of_input = rows_by_name(of, spaces)
        graphs = [item for item, _ in pairs]
        counts = {rows: rows.counts(graphs) for rows in of_input.values()}
        columns: dict[str, list[Array]] = {name: [] for name in spaces}
        for index, (_, inputs) in enumerate(pairs):
            if inputs.keys() != spaces.keys():
                raise InputError(
                    f"[data] expected the inputs {listed(spaces)} of every sample, as "
                    f"sample 0 has, got {listed(inputs)} of sample {index}; give "
                    "every sample the same inputs"
                )
            for name, rows in of_input.items():
                values = _as_array(name, inputs[name])
                if rows.space == "graph":
                    values = values[np.newaxis]
                expected = int(counts[rows][index])
                if values.shape[:1] != (expected,) or (
                    columns[name] and values.shape[1:] != columns[name][0].shape[1:]
                ):
                    each = "" if rows.types is None else f", one per {rows},"
                    raise ShapeError(
                        f"[data] expected {expected} rows{each} of the shape that sample 0 has for "
                        f"the {rows.space} input {name!r} of sample {index}, got shape "
                        f"{values.shape}; "
                        "reshape it, or name it in edge=[...] or graph=[...] where it is theirs"
                    )
                columns[name].append(values)
        flat = {name: np.concatenate(parts) for name, parts in columns.items()}
        return cls(graphs, **_by_space(flat, spaces), of=of)

    def __len__(self) -> int:
        return len(self._store.graphs)

    def _summary(self) -> str:
        inputs = listed_inputs((name, self.flat(name)) for name in self.names)
        sizes = f"{self.num_vertices} vertices, {self.num_edges} edges"
        return f"of {len(self)} {self._unit}, {sizes}; inputs: {inputs or 'none'}"

    def __getitem__(self, index: int) -> tuple[InputGraph, dict[str, Array]]:
        """A sample: its graph, and its rows of every input (views)."""
        index = self._position(index, "sample")
        inputs = {}
        for name, field in self._fields.items():
            rows = field.values[field.ptr[index] : field.ptr[index + 1]]
            inputs[name] = rows[0] if field.rows.space == "graph" else rows
        return self.graphs[index], inputs

    def _position(self, index: int, what: str) -> int:
        """The number of a sample, from 0 on, that may be given from the end."""
        index = integer("data", "index", index, -INT32_MAX)
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"[data] expected a {what} of a data set of {len(self)}, got {index}; number one "
                "from 0 on"
            )
        return index % len(self)

    def __iter__(self) -> Iterator[tuple[InputGraph, dict[str, Array]]]:
        return (self[index] for index in range(len(self)))

    @property
    def graphs(self) -> Sequence[InputGraph]:
        """The input graphs."""
        return self._store.graphs

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(self._fields)

    @property
    def num_vertices(self) -> int:
        return int(self._ptr(_VERTICES)[-1])

    @property
    def num_edges(self) -> int:
        return int(self._ptr(_EDGES)[-1])

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """int64 [len(self)]: the number of vertices of each sample."""
        return np.diff(self._ptr(_VERTICES))

    def flat(self, name: str) -> Array:
        """An input over all samples, as the constructor takes it (not a copy)."""
        return self._field(name).values

    def _field(self, name: Any) -> _Field:
        if not isinstance(name, str) or name not in self._fields:
            raise InputError(
                f"[data] expected one of the inputs {list(self.names)}, got {shown(name)}; name "
                "one of these"
            )
        return self._fields[name]

    def select(self, *names: str) -> Dataset:
        """The same samples with these inputs only."""
        return self._like(self.graphs, {name: self.flat(name) for name in names})

    def subset(self, indices: npt.ArrayLike) -> Dataset:
        """The samples with these numbers, in this order, as a data set of its own."""
        chosen = self._numbers(indices)
        graphs = [self.graphs[index] for index in chosen.tolist()]
        return self._like(graphs, self.inputs(chosen))

    def _like(self, graphs: Sequence[InputGraph], arrays: Mapping[str, Array]) -> Dataset:
        fields = {name: self._fields[name].rows for name in arrays}
        spaces = {name: rows.space for name, rows in fields.items()}
        of = {name: rows.types for name, rows in fields.items() if rows.types is not None}
        return Dataset(graphs, **_by_space(arrays, spaces), of=of)

    def _indices(self, indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        chosen = _as_array("indices", indices)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise InputError(
                "[data] expected a list of integers to choose samples by, got an array of dtype "
                f"{chosen.dtype} and shape {chosen.shape}; pass their numbers"
            )
        return chosen.astype(np.int64)  # a copy, so that nobody changes it after the check

    def _numbers(self, indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        chosen = self._indices(indices)
        wrong = first_outside(chosen, 0, len(self))
        if wrong >= 0:
            raise InputError(
                f"[data] expected sample numbers from 0 to {len(self) - 1}, got {chosen[wrong]}; "
                "check the indices"
            )
        return chosen

    def inputs(self, indices: npt.ArrayLike) -> dict[str, Array]:
        """The inputs of a batch of these samples: new flat arrays, in the order of `indices`."""
        return self._inputs(self._numbers(indices))

    def _inputs(self, chosen: npt.NDArray[np.int64]) -> dict[str, Array]:
        rows: dict[int, npt.NDArray[np.int64]] = {}  # by the array of first rows
        inputs = {}
        for name, field in self._fields.items():
            chosen_rows = rows.get(id(field.ptr))
            if chosen_rows is None:
                chosen_rows = rows[id(field.ptr)] = rows_of_samples(field.ptr, chosen)
            inputs[name] = field.values.take(chosen_rows, axis=0)
        return inputs

    def batch(self, indices: npt.ArrayLike) -> tuple[GraphBatch, dict[str, Array]]:
        """A batch of these samples. The key of a sample is its number, so that random operations
        draw the same numbers for it in every batch.

        Where a sample comes several times, as when drawn with replacement, its first copy has this
        key and the others have keys of their own: they draw other numbers.
        """
        chosen = self._indices(indices)
        return self._store.batch(chosen), self._inputs(chosen)


def _by_space(
    arrays: Mapping[str, Array], spaces: Mapping[str, Space]
) -> dict[str, dict[str, Array]]:
    """The arrays as the constructor takes them."""
    found: dict[str, dict[str, Array]] = {"vertex": {}, "edge": {}, "graph": {}}
    for name, values in arrays.items():
        found[spaces[name]][name] = values
    return found


def _as_array(name: str, given: Any) -> Array:
    array = foreign_array(given, "data")
    if array.dtype.kind not in "biuf":
        words = array.dtype.kind in "USO"
        remedy = "number words by Vocabulary.encode" if words else "convert them"
        raise InputError(f"[data] expected numbers as {name!r}, got dtype {array.dtype}; {remedy}")
    return array
