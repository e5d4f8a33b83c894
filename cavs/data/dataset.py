"""Samples as flat arrays, so that assembling a batch runs no Python for each sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
from cavs.errors import InputError, ShapeError
from cavs.scheduler import GraphBatch, GraphStore, InputGraph

Space = Literal["vertex", "edge", "graph"]


@dataclass(frozen=True)
class _Field:
    space: Space
    values: Array


class Dataset(Printed):
    """Input graphs with their inputs; the i-th sample is a graph and its rows of every input.

    Args:
      graphs: the input graphs.
      vertex: inputs with one row per vertex. Each name has an array [sum of num_vertices, ...],
        graph 0's vertices first. The convention for ids and labels is int32 with -1 for "none".
      edge: inputs with one row per edge, in the order of the child lists.
      graph: inputs with one row per graph.

    Raises:
      ShapeError: an array whose length is not the number of vertices, edges or graphs.
      InputError: a name given twice.
    """

    _unit = "samples"

    def __init__(
        self,
        graphs: Sequence[InputGraph],
        *,
        vertex: Mapping[str, npt.ArrayLike] | None = None,
        edge: Mapping[str, npt.ArrayLike] | None = None,
        graph: Mapping[str, npt.ArrayLike] | None = None,
    ) -> None:
        self._store = GraphStore(items("data", "graphs", graphs, InputGraph, "input graphs"))
        count = len(self)
        self._ptr: dict[Space, npt.NDArray[np.int64]] = {
            "vertex": _offsets(item.num_vertices for item in self.graphs),
            "edge": _offsets(item.num_edges for item in self.graphs),
            "graph": np.arange(count + 1, dtype=np.int64),
        }
        self._fields: dict[str, _Field] = {}
        given: list[tuple[Space, Mapping[str, npt.ArrayLike] | None]] = [
            ("vertex", vertex),
            ("edge", edge),
            ("graph", graph),
        ]
        for space, arrays in given:
            given_arrays = {} if arrays is None else mapping("data", space, arrays)
            for name, values in given_arrays.items():
                text("data", f"the name of an input of {space}", name)
                self._add(name, space, np.ascontiguousarray(_as_array(name, values)))

    def _add(self, name: str, space: Space, values: Array) -> None:
        rows = int(self._ptr[space][-1])
        if name in self._fields:
            raise InputError(
                f"[data] expected one input of each name, got {name!r} twice; rename one"
            )
        if values.ndim == 0 or values.shape[:1] != (rows,):
            raise ShapeError(
                f"[data] expected one row per {space} of the {len(self)} graphs ({rows} rows) for "
                f"the {space} input {name!r}, got shape {values.shape}; give a row for each"
            )
        self._fields[name] = _Field(space, values)

    @classmethod
    def from_samples(
        cls,
        samples: Iterable[tuple[InputGraph, Mapping[str, npt.ArrayLike]]],
        *,
        edge: Sequence[str] = (),
        graph: Sequence[str] = (),
    ) -> Dataset:
        """A data set from (graph, inputs) pairs; inputs not named in `edge` or `graph` are per
        vertex.

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
        columns: dict[str, list[Array]] = {name: [] for name in spaces}
        for index, (item, inputs) in enumerate(pairs):
            if inputs.keys() != spaces.keys():
                raise InputError(
                    f"[data] expected the inputs {listed(spaces)} of every sample, as "
                    f"sample 0 has, got {listed(inputs)} of sample {index}; give "
                    "every sample the same inputs"
                )
            rows = {"vertex": item.num_vertices, "edge": item.num_edges, "graph": 1}
            for name, space in spaces.items():
                values = _as_array(name, inputs[name])
                if space == "graph":
                    values = values[np.newaxis]
                if values.shape[:1] != (rows[space],) or (
                    columns[name] and values.shape[1:] != columns[name][0].shape[1:]
                ):
                    raise ShapeError(
                        f"[data] expected {rows[space]} rows of the shape that sample 0 has for "
                        f"the {space} input {name!r} of sample {index}, got shape {values.shape}; "
                        "reshape it, or name it in edge=[...] or graph=[...] where it is theirs"
                    )
                columns[name].append(values)
        flat = {name: np.concatenate(parts) for name, parts in columns.items()}
        return cls([item for item, _ in pairs], **_by_space(flat, spaces))

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
            ptr = self._ptr[field.space]
            rows = field.values[ptr[index] : ptr[index + 1]]
            inputs[name] = rows[0] if field.space == "graph" else rows
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
        return int(self._ptr["vertex"][-1])

    @property
    def num_edges(self) -> int:
        return int(self._ptr["edge"][-1])

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """int64 [len(self)]: the number of vertices of each sample."""
        return np.diff(self._ptr["vertex"])

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
        spaces = {name: field.space for name, field in self._fields.items()}
        return Dataset(graphs, **_by_space(arrays, spaces))

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
        rows: dict[Space, npt.NDArray[np.int64]] = {}
        inputs = {}
        for name, field in self._fields.items():
            chosen_rows = rows.get(field.space)
            if chosen_rows is None:
                chosen_rows = rows_of_samples(self._ptr[field.space], chosen)
                rows[field.space] = chosen_rows
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


def _offsets(sizes: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.cumsum(np.array([0, *sizes], dtype=np.int64))
