"""The workloads: a model, the graphs that it runs over, and the sizes at which it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cavs
from cavs import models
from cavs.bench import corpora
from cavs.bench.corpora import Array, Corpus
from cavs.bench.recipes import PLAIN, SST
from cavs.core.trace import Trace
from cavs.errors import InputError

Rewrite = Callable[[Trace], Trace]


class Subject:
    """A workload's vertex functions, compiled with the same passes, and the way to their loss.

    Attributes:
        models: in the order in which they run.
        cotangents: for each model, the pushes that its backward starts from, and the float inputs
            whose cotangents it gives.
    """

    cotangents: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
        (frozenset({"loss"}), frozenset()),
    )

    def __init__(
        self, function: Any, passes: Iterable[str] | None, rewrite: Rewrite | None = None
    ) -> None:
        """`rewrite` changes the trace of each vertex function before it is compiled."""
        options: dict[str, Any] = {} if rewrite is None else {"rewrite": rewrite}
        self.models = tuple(
            cavs.Model(part, passes=passes, **options) for part in self._functions(function)
        )

    def _functions(self, function: Any) -> Sequence[Any]:
        return (function,)

    def train(self) -> None:
        """Dropout acts from now on."""
        for model in self.models:
            model.train()

    def eval(self) -> None:
        """Dropout does nothing from now on."""
        for model in self.models:
            model.eval()

    def schedule(self, graphs: cavs.GraphBatch) -> list[cavs.GraphBatch]:
        """The batch that each model runs over, with its schedule built."""
        graphs.schedule()
        return [graphs]

    def loss(self, batches: Sequence[cavs.GraphBatch], inputs: Mapping[str, Array]) -> cavs.Tensor:
        """The sum of the losses of all vertices."""
        loss: cavs.Tensor = self.models[0](batches[0], **inputs)["loss"].sum()
        return loss

    def step(
        self,
        batches: Sequence[cavs.GraphBatch],
        inputs: Mapping[str, Array],
        optimizer: cavs.optim.Optimizer,
        scale: float,
    ) -> cavs.Tensor:
        """A training step by the loss times `scale`; returns the loss."""
        given: dict[str, Any] = dict(inputs)
        return self.models[0].step(batches[0], optimizer, scale=scale, **given)


class TaggerSubject(Subject):
    """The two directions of a bidirectional LSTM, joined by the states that one pushes."""

    cotangents = (
        (frozenset({"h"}), frozenset()),
        (frozenset({"loss"}), frozenset({"before"})),
    )

    def _functions(self, function: Any) -> Sequence[Any]:
        return (function.before, function.after)

    def schedule(self, graphs: cavs.GraphBatch) -> list[cavs.GraphBatch]:
        batches = [graphs, graphs.reverse()]
        for batch in batches:
            batch.schedule()
        return batches

    def loss(self, batches: Sequence[cavs.GraphBatch], inputs: Mapping[str, Array]) -> cavs.Tensor:
        (before, after), (forth, back) = self.models, batches
        h = before(forth, word=inputs["word"])["h"]
        loss: cavs.Tensor = after(back, before=h, **inputs)["loss"].sum()
        return loss

    def step(
        self,
        batches: Sequence[cavs.GraphBatch],
        inputs: Mapping[str, Array],
        optimizer: cavs.optim.Optimizer,
        scale: float,
    ) -> cavs.Tensor:
        loss: cavs.Tensor = self.loss(batches, inputs) * scale
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss


@dataclass(frozen=True)
class Workload:
    """A workload of the suite.

    Attributes:
        name: as the command line and peers call it.
        unit: the unit of work: ``trees``, which are graphs, or what each vertex is.
        unit_type: the type of the vertices that are the unit; None: all vertices.
        folder: the folder of its data in the directory given as data; "" for generated data.
        corpus: a function that makes the data from (directory, samples, leaves); `leaves` is for
            complete trees only.
        function: a function that takes (corpus, hidden size) and makes the module that owns the
            parameters.
        hidden_sizes, batch_sizes, leaves: the sizes that are measured by default.
        recipes: the recipes that it is trained by; the first is the default.
    """

    name: str
    unit: str
    folder: str
    corpus: Callable[[Path | None, int, int | None], Corpus]
    function: Callable[[Corpus, int], Any]
    hidden_sizes: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    leaves: tuple[int | None, ...] = (None,)
    subject: type[Subject] = Subject
    recipes: tuple[str, ...] = (PLAIN,)
    unit_type: str | None = None

    @property
    def per_vertex(self) -> bool:
        """Whether each vertex is a unit of work, or each graph."""
        return self.unit != "trees"

    def facts(self, **others: Any) -> dict[str, Any]:
        """What a row of results says of the workload, and `others`."""
        return {"workload": self.name, "unit": self.unit, "per_vertex": self.per_vertex, **others}

    def data(self, directory: Path | None, samples: int, leaves: int | None = None) -> Corpus:
        """The data: from the workload's folder in `directory`, or `samples` generated ones."""
        return self.corpus(self.place(directory), samples, leaves)

    def place(self, directory: Path | None) -> Path | None:
        """The workload's folder in `directory`, or, if there is none, `directory` itself, as ``cavs
        train`` takes it; None for generated data."""
        if directory is None or not self.folder:
            return None
        folder = directory / self.folder
        return folder if folder.is_dir() else directory


def _of(kind: Any, embedding_size: int | None = None) -> Callable[[Corpus, int], Any]:
    """The model over the corpus; without `embedding_size` words are as wide as states."""

    def make(corpus: Corpus, hidden_size: int) -> Any:
        return kind(
            embedding_size=embedding_size or hidden_size, hidden_size=hidden_size, **corpus.sizes
        )

    return make


def _unembedded(kind: Any) -> Callable[[Corpus, int], Any]:
    """The model over the corpus, for a class that takes no embedding size."""
    return lambda corpus, hidden_size: kind(hidden_size=hidden_size, **corpus.sizes)


def _plain(load: Callable[[Path | None, int], Corpus]) -> Callable[..., Corpus]:
    return lambda directory, samples, leaves: load(directory, samples)


def _complete(directory: Path | None, samples: int, leaves: int | None) -> Corpus:
    return corpora.complete_trees(leaves or 256, max(1, min(samples, 2**17 // (leaves or 256))))


_ALL = (
    # Child-sum Tree-LSTM, 5 classes on every vertex, embedding 300 (Tai et al. 2015).
    Workload(
        name="tree-lstm",
        unit="trees",
        folder="sst",
        corpus=_plain(corpora.treebank),
        function=_of(models.ChildSumTreeLSTM, 300),
        hidden_sizes=(150,),
        batch_sizes=(1, 8, 32, 256),
        recipes=(PLAIN, SST),
    ),
    # Child-sum Tree-GRU, 5 classes on every vertex, embedding 300.
    Workload(
        name="tree-gru",
        unit="trees",
        folder="sst",
        corpus=_plain(corpora.treebank),
        function=_of(models.ChildSumTreeGRU, 300),
        hidden_sizes=(150,),
        batch_sizes=(1, 32, 256),
    ),
    # Tree-FC on complete binary trees (Looks et al. 2017; Xu et al. 2018).
    Workload(
        name="tree-fc",
        unit="trees",
        folder="",
        corpus=_complete,
        function=_of(models.TreeFC),
        hidden_sizes=(256,),
        batch_sizes=(16,),
        leaves=(32, 64, 128, 256, 512, 1024),
    ),
    # LSTM language model, 64 words a sample, 10,000 words (Xu et al. 2018).
    Workload(
        name="fixed-lstm",
        unit="words",
        folder="ptb",
        corpus=_plain(corpora.text),
        function=_of(models.LSTM),
        hidden_sizes=(256,),
        batch_sizes=(1, 16),
    ),
    # LSTM language model, a sentence a sample, 10,000 words (Xu et al. 2018).
    Workload(
        name="var-lstm",
        unit="words",
        folder="ptb",
        corpus=_plain(corpora.sentences),
        function=_of(models.LSTM),
        hidden_sizes=(256,),
        batch_sizes=(1, 32),
    ),
    # Lattice LSTM tagger, embedding 50, words as vertices (Zhang & Yang 2018).
    Workload(
        name="lattice-lstm",
        unit="characters",
        folder="lattice",
        corpus=_plain(corpora.lattices),
        function=_of(models.LatticeLSTM, 50),
        hidden_sizes=(200,),
        batch_sizes=(1, 32),
        unit_type="char",
    ),
    # Bidirectional LSTM tagger, embedding 128.
    Workload(
        name="bilstm-tagger",
        unit="words",
        folder="tags",
        corpus=_plain(corpora.tagged),
        function=_of(models.BiLSTMTagger, 128),
        hidden_sizes=(256,),
        batch_sizes=(1, 32),
        subject=TaggerSubject,
    ),
    # MV-RNN, a matrix on every vertex, 5 classes (Socher et al. 2012).
    Workload(
        name="mv-rnn",
        unit="trees",
        folder="sst",
        corpus=_plain(corpora.treebank),
        function=_unembedded(models.MVRNN),
        hidden_sizes=(50,),
        batch_sizes=(1, 32),
    ),
    # DAG-RNN that cleans images, a vertex a pixel (Shuai et al. 2016).
    Workload(
        name="dag-rnn",
        unit="pixels",
        folder="mnist",
        corpus=_plain(corpora.images),
        function=_unembedded(models.DAGRNN),
        hidden_sizes=(64,),
        batch_sizes=(1, 32),
    ),
)
WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in _ALL}


def find(name: str) -> Workload:
    """The workload of this name."""
    if name not in WORKLOADS:
        raise InputError(
            f"[bench] expected a workload among {list(WORKLOADS)}, got {name!r}; choose one of "
            "these"
        )
    return WORKLOADS[name]
