"""Encoder and decoder in one graph, whose decoder sees all of the encoder: for attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import instance, integer, items
from cavs.errors import GraphError, InputError
from cavs.scheduler import InputGraph, Types


class PairGraph(InputGraph):
    """What `pair_graph` makes: an input graph that also says which vertices are the decoder's.

    Attributes:
      encoder, decoder: the two graphs.
      slots: the first slots of a decoder vertex, which its own children have.
      names: the types of the encoder's vertices and of the decoder's, where these have none.

    Raises:
      GraphError, InputError: see `pair_graph`.
    """

    __slots__ = ("decoder", "encoder", "names", "slots")

    def __init__(
        self,
        encoder: InputGraph,
        decoder: InputGraph,
        slots: int = 1,
        names: Sequence[str] = ("encoder", "decoder"),
    ) -> None:
        self.encoder = instance("data", "encoder", encoder, InputGraph, "an input graph")
        self.decoder = instance("data", "decoder", decoder, InputGraph, "an input graph")
        self.slots = integer("data", "slots", slots, 0)
        most = int(decoder.child_slot.max(initial=-1)) + 1
        if most > self.slots:
            vertex = int(np.searchsorted(decoder.child_ptr, decoder.child_slot.argmax(), "right"))
            raise GraphError(
                f"[data] expected decoder vertices with at most {self.slots} children of their "
                f"own, got {most} of vertex {vertex - 1}; pass slots={most}"
            )
        self.names = tuple(items("data", "names", names, str, "two names of types"))
        if len(self.names) != 2:
            raise InputError(
                f"[data] expected two names of types, the encoder's and the decoder's, got "
                f"{len(self.names)}; pass two"
            )
        both = zip((encoder, decoder), self.names, strict=True)
        types = [own for graph, name in both for own in _types_of(graph, name)]
        runs = None if self.slots else _runs(encoder, decoder.num_vertices)
        if runs is not None:
            self._native = InputGraph.windows(*runs, types=types)._native
        else:
            joined = _joined(encoder, decoder, self.slots)
            self._native = InputGraph.from_csr(*joined, types=types)._native

    @classmethod
    def _from_native(cls, make: Any, *args: Any, types: Types | None = None) -> InputGraph:
        # What is made of a pair's arrays, such as its reverse, is an input graph like any other.
        return InputGraph._from_native(make, *args, types=types)

    @property
    def is_decoder(self) -> npt.NDArray[np.float32]:
        """float32 [num_vertices]: 1 at vertices of the decoder, 0 at those of the encoder."""
        sizes = [self.encoder.num_vertices, self.decoder.num_vertices]
        return np.repeat(np.array([0, 1], np.float32), sizes)

    @property
    def from_encoder(self) -> npt.NDArray[np.float32]:
        """float32 [num_edges]: 1 on edges by which a decoder vertex sees an encoder vertex, 0 on
        edges within the encoder and within the decoder."""
        seen = self.child_index < self.encoder.num_vertices
        seen[: self.encoder.num_edges] = False
        return seen.astype(np.float32)

    def __repr__(self) -> str:
        return (
            f"<PairGraph of {self.encoder.num_vertices} encoder and {self.decoder.num_vertices} "
            f"decoder vertices, {self.num_edges} edges>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return PairGraph, (self.encoder, self.decoder, self.slots, self.names)


def pair_graph(
    encoder: InputGraph,
    decoder: InputGraph,
    *,
    slots: int = 1,
    names: Sequence[str] = ("encoder", "decoder"),
) -> PairGraph:
    """Join two graphs so that every vertex of the decoder sees every vertex of the encoder.

    The encoder's vertices come first, with the children that they have; then the decoder's. The
    first `slots` places of a decoder vertex are for its own children, with holes where it has
    fewer; behind them stand all vertices of the encoder in order.

    Vertices have the types of `names`. In a function of types (:class:`cavs.TypedFunction`) the
    decoder's reads ``v.gather(0, of="decoder", h=n)``, the state before (zeros at the first
    vertex), and ``v.gather(of="encoder", h=n)``, a row for each vertex to attend to.

    A function without types does not look at them. In its F, ``v.gather(0, h=n)`` is the state
    before in encoder and decoder alike, and ``v.gather(h=n)`` has a row for each child, among them
    those to attend to: where ``v.pull_edge("from_encoder")`` is 1 (from a vertex of the encoder to
    one of the decoder; edges within either have 0), or where a child scatters that it is the
    encoder's.

    Attention as in Bahdanau, Cho and Bengio, *Neural Machine Translation by Jointly Learning to
    Align and Translate* (ICLR 2015), or Luong, Pham and Manning (EMNLP 2015).

    Args:
      encoder: what is attended to, such as a chain, a tree or a lattice.
      decoder: what attends, such as a chain.
      slots: as many children as a decoder vertex may have of its own: 1 for a chain, 2 for a
        binary tree. It says where the encoder's begin, so give all samples the same. With 0, and an
        encoder without edges or with runs of vertices before their parents, the pair has runs (see
        `InputGraph.windows`), and no edge is written out.
      names: the types of the encoder's vertices and of the decoder's. A graph that has types keeps
        them instead, such as an encoder that reads both ways.

    Returns:
      An `InputGraph` with ``encoder.num_vertices + decoder.num_vertices`` vertices, whose arrays
      `is_decoder` (float32, a row per vertex) and `from_encoder` (float32, a row per edge) serve
      as inputs.

    Raises:
      GraphError: a decoder vertex has more children than `slots`, or a graph has types by number;
      InputError: not graphs, or not two names.
    """
    return PairGraph(encoder, decoder, slots, names)


def _types_of(graph: InputGraph, name: str) -> list[str]:
    """The types of a graph's vertices, by name."""
    types: Any = graph.types
    if types is None:
        return [name] * graph.num_vertices
    number = next((x for x in types if not isinstance(x, str)), None)
    if number is not None:
        raise GraphError(
            f"[data] expected types by name in the graphs of a pair, got the number {number}; "
            "name them"
        )
    return list(types)


def _runs(
    encoder: InputGraph, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """The runs of a pair whose decoder vertices have no children of their own; None where the
    encoder's children are not runs of vertices before their parents."""
    seen = encoder.num_vertices
    first, lengths = np.zeros((2, seen), np.int64)
    if encoder.runs is not None:
        first, lengths = (x.astype(np.int64) for x in encoder.runs)
    if lengths.sum() != encoder.num_edges or (first + lengths > np.arange(seen)).any():
        return None
    return (
        np.concatenate([first, np.zeros(count, np.int64)]),
        np.concatenate([lengths, np.full(count, seen)]),
    )


def _joined(
    encoder: InputGraph, decoder: InputGraph, slots: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The pair's child_ptr, child_index and child_slot."""
    seen, count = encoder.num_vertices, decoder.num_vertices
    own = np.diff(decoder.child_ptr)
    ptr = np.concatenate([[0], np.cumsum(own + seen)])
    index, slot = np.empty((2, ptr[-1]), np.int64)
    places = np.arange(decoder.num_edges) + seen * np.repeat(np.arange(count), own)
    index[places], slot[places] = decoder.child_index + seen, decoder.child_slot
    places = (ptr[:-1] + own)[:, np.newaxis] + np.arange(seen)
    index[places], slot[places] = np.arange(seen), slots + np.arange(seen)
    return (
        np.concatenate([encoder.child_ptr, encoder.num_edges + ptr[1:]]),
        np.concatenate([encoder.child_index, index]),
        np.concatenate([encoder.child_slot, slot]),
    )
