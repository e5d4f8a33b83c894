"""Samples of two graphs each, such as the sentences of which one may follow from the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import instance, mapping, text
from cavs._arrays import Array
from cavs.data.dataset import Dataset, _as_array
from cavs.data.graph_rows import Of
from cavs.errors import InputError, ShapeError
from cavs.scheduler import GraphBatch, InputGraph


class PairDataset(Dataset):
    """Pairs of input graphs; a batch of n pairs is a `GraphBatch` of 2 n graphs, pair by pair: the
    left graph of the first pair, its right graph, the left graph of the second, ...

    A `Loader` takes it as it takes a `Dataset`, and its batch size counts pairs.
    `cavs.readout_pairs` gives the values of the left and of the right graphs.

    Args:
      left, right: the graphs with their inputs, the i-th of both being a pair. They have the same
        inputs.
      pair: inputs with one row for each pair, such as a label or a score: arrays [pairs, ...].

    Raises:
      InputError: another number of samples, or other inputs, on the left than on the right, or a
        name given twice; ShapeError: an input whose rows have another shape on the right, or a
        length that is not the number of pairs.
    """

    _unit = "pairs"

    def __init__(
        self, left: Dataset, right: Dataset, *, pair: Mapping[str, npt.ArrayLike] | None = None
    ) -> None:
        for name, side in (("left", left), ("right", right)):
            instance("data", name, side, Dataset, "a cavs.data.Dataset")
            if isinstance(side, PairDataset):
                raise InputError(
                    f"[data] expected single graphs as {name}, got a PairDataset; pass a Dataset"
                )
        if len(left) != len(right) or set(left.names) != set(right.names):
            raise InputError(
                f"[data] expected as many samples, with the same inputs, on both sides, got "
                f"{len(left)} with {sorted(left.names)} and {len(right)} with "
                f"{sorted(right.names)}; pair them"
            )
        self._pairs: dict[str, Array] = {}
        for name, values in ({} if pair is None else mapping("data", "pair", pair)).items():
            text("data", "the name of an input of pairs", name)
            array = np.ascontiguousarray(_as_array(name, values))
            if name in left.names:
                raise InputError(
                    f"[data] expected one input of each name, got {name!r} twice; rename one"
                )
            if array.ndim == 0 or array.shape[:1] != (len(left),):
                raise ShapeError(
                    f"[data] expected one row for each of {len(left)} pairs as {name!r}, got shape "
                    f"{array.shape}; give a row for each"
                )
            self._pairs[name] = array
        # Graph 2 i is on the left of pair i, graph 2 i + 1 on its right.
        self._graphs = _interleaved(left, right)

    def __len__(self) -> int:
        return len(self._graphs) // 2

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Array]]:
        """A pair: ((left graph, right graph), inputs): those of the vertices, edges and graphs of
        the left graph and then of the right one, and those of the pair."""
        index = self._position(index, "pair")
        inputs = self._graphs.inputs([2 * index, 2 * index + 1])
        inputs.update({name: values[index] for name, values in self._pairs.items()})
        return (self.graphs[2 * index], self.graphs[2 * index + 1]), inputs

    def __iter__(self) -> Iterator[tuple[Any, dict[str, Array]]]:
        return (self[index] for index in range(len(self)))

    @property
    def graphs(self) -> Sequence[InputGraph]:
        """All graphs, pair by pair."""
        return self._graphs.graphs

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs, those of pairs last."""
        return (*self._graphs.names, *self._pairs)

    @property
    def num_vertices(self) -> int:
        return self._graphs.num_vertices

    @property
    def num_edges(self) -> int:
        return self._graphs.num_edges

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """int64 [len(self)]: the number of vertices of each pair."""
        sizes: npt.NDArray[np.int64] = self._graphs.sizes.reshape(-1, 2).sum(axis=1)
        return sizes

    def flat(self, name: str) -> Array:
        """An input over all samples (not a copy): of the graphs, pair by pair, or of the pairs."""
        given: Any = name
        if isinstance(given, str) and name in self._pairs:
            return self._pairs[name]
        return self._graphs.flat(name)

    def select(self, *names: str) -> PairDataset:
        """The same pairs with these inputs only."""
        for name in names:
            self.flat(name)
        of_graphs = [name for name in names if name not in self._pairs]
        kept = {name: self._pairs[name] for name in names if name in self._pairs}
        return self._made(self._graphs.select(*of_graphs), kept)

    def subset(self, indices: npt.ArrayLike) -> PairDataset:
        """The pairs with these numbers, in this order, as a data set of its own."""
        chosen = self._numbers(indices)
        kept = {name: values[chosen] for name, values in self._pairs.items()}
        return self._made(self._graphs.subset(_both(chosen)), kept)

    def _made(self, graphs: Dataset, pairs: dict[str, Array]) -> PairDataset:
        made = PairDataset.__new__(PairDataset)
        made._graphs, made._pairs = graphs, pairs
        return made

    def inputs(self, indices: npt.ArrayLike) -> dict[str, Array]:
        """The inputs of a batch of these pairs: new flat arrays, in the order of `indices`."""
        chosen = self._numbers(indices)
        return self._graphs.inputs(_both(chosen)) | self._of_pairs(chosen)

    def batch(self, indices: npt.ArrayLike) -> tuple[GraphBatch, dict[str, Array]]:
        """A batch of these pairs: 2 n graphs, and the inputs. Keys are those of the graphs, 2 i and
        2 i + 1 for pair i."""
        chosen = self._numbers(indices)
        graphs, inputs = self._graphs.batch(_both(chosen))
        return graphs, inputs | self._of_pairs(chosen)

    def _of_pairs(self, chosen: npt.NDArray[np.int64]) -> dict[str, Array]:
        return {name: values.take(chosen, axis=0) for name, values in self._pairs.items()}

    @classmethod
    def from_samples(
        cls,
        samples: Iterable[Any],
        *,
        edge: Sequence[str] = (),
        graph: Sequence[str] = (),
        of: Of | None = None,
    ) -> Dataset:
        """Not of pairs: make a `Dataset` of each side first."""
        raise InputError(
            "[data] expected two data sets, left and right, got samples; make a Dataset of each "
            "side by Dataset.from_samples"
        )


def _both(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers of the graphs of pairs."""
    return np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)


def _interleaved(left: Dataset, right: Dataset) -> Dataset:
    """One data set of the graphs of both sides, in turn."""
    count = len(left)
    arrays: dict[str, Array] = {}
    order = np.stack([np.arange(count), np.arange(count, 2 * count)], axis=1).reshape(-1)
    for name in left.names:
        fields = left._field(name), right._field(name)
        if fields[0].rows != fields[1].rows:
            raise InputError(
                f"[data] expected a row per {fields[0].rows} as {name!r} on both sides, got one "
                f"per {fields[1].rows} on the right; give both the same"
            )
        first, second = (field.values for field in fields)
        if first.shape[1:] != second.shape[1:]:
            raise ShapeError(
                f"[data] expected rows of shape {first.shape[1:]} as {name!r} on both sides, got "
                f"{second.shape[1:]} on the right; reshape them"
            )
        arrays[name] = np.concatenate([first, second])
    return left._like([*left.graphs, *right.graphs], arrays).subset(order)
