"""Rows, such as those of Hugging Face's ``datasets``, as samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any

from cavs._arguments import instance, mapping, shown
from cavs.data._progress import shown_while
from cavs.data.dataset import Dataset
from cavs.data.graph_rows import Of
from cavs.errors import InputError
from cavs.scheduler import InputGraph

Sample = tuple[InputGraph, Mapping[str, Any]]


def from_rows(
    rows: Iterable[Mapping[str, Any]],
    function: Callable[[Mapping[str, Any]], Sample | None],
    *,
    edge: Sequence[str] = (),
    graph: Sequence[str] = (),
    of: Of | None = None,
    progress: bool = False,
) -> Dataset:
    """A data set of rows by a function from a row to a sample.

    Args:
      rows: dictionaries, one for each sample: a split of Hugging Face's ``datasets``, streamed or
        not, a ``csv.DictReader``, a list.
      function: gives the graph and the inputs of a row, as `Dataset.from_samples` takes them, or
        None to leave the row out.
      edge, graph: the inputs with a row for each edge or one for each graph; the others are of
        vertices.
      of: the types whose rows an input has, as `Dataset` takes them.
      progress: show a bar on standard error.

    Raises:
      InputError: a row is no dictionary, or the function gives no sample; names the row, from 0.
        The function's own errors pass, with a note of the row. And the errors of
        `Dataset.from_samples`.
    """
    given: Any = rows
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InputError(
            f"[data] expected dictionaries in a list or another iterable as rows, got "
            f"{shown(given)}; pass one split"
        )
    if not callable(function):
        raise InputError(
            f"[data] expected a function as function, got {shown(function)}; pass one that makes a "
            "graph and its inputs of a row"
        )
    total = len(given) if isinstance(given, Sized) else 0
    samples = []
    for number, row in enumerate(shown_while(given, progress, "rows", total)):
        given_row = mapping("data", f"row {number}", row)
        try:
            sample = function(given_row)
        except Exception as error:
            if hasattr(error, "add_note"):  # from Python 3.11 on
                error.add_note(f"It came from row {number} of cavs.data.from_rows.")
            raise
        if sample is not None:
            samples.append(_checked(sample, number))
    return Dataset.from_samples(samples, edge=edge, graph=graph, of=of)


def _checked(sample: Any, number: int) -> Sample:
    if not isinstance(sample, (tuple, list)) or len(sample) != 2:
        raise InputError(
            f"[data] row {number}: expected (graph, inputs) or None of the function, got "
            f"{shown(sample)}; return both"
        )
    graph, inputs = sample
    instance("data", f"the graph of row {number}", graph, InputGraph, "an input graph")
    return graph, mapping("data", f"the inputs of row {number}", inputs)
