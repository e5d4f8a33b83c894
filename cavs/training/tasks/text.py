"""Language models of running text."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    Loader,
    TextCorpus,
    load_ptb,
    running_text_dataset,
)
from cavs.errors import InputError
from cavs.models import LSTMLanguageModel
from cavs.training.arrays import Arrays, check_state
from cavs.training.config import TrainingConfig
from cavs.training.contract import ID, Contract, FunctionContract, Pull
from cavs.training.metrics import finite_total, judging, placed, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop
from cavs.training.options import Integer, Option, with_defaults
from cavs.training.sampling import sample_text
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._embedding import EmbedsWords, vectors_option, with_vectors
from cavs.training.tasks._options import (
    WITH_EMBEDDING,
    WORD_SAMPLING_OPTIONS,
    dropout_options,
    size_option,
    source_option,
    text_option,
)
from cavs.training.tasks._source import MOST, Ranges, Source
from cavs.training.tasks._task import NO_EMBEDDING_DROPOUT, BuiltInModel, Task

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_DEV_STREAMS, _TEST_LENGTH = 20, 100


@dataclass(frozen=True)
class TextSource(Source):
    """The source of text.

    Attributes:
        path: the path of a folder with train.txt, valid.txt and test.txt, one sentence on a line.
        length: number of words through which gradients flow back.
    """

    path: str
    length: int = 20

    ranges: ClassVar[Ranges] = {"length": (1, MOST)}

    def load(self) -> TextCorpus:
        return load_ptb(self.path)


class NextWord(Objective):
    """The loss is -log p of each word given the words before it. Epochs are judged by perplexity, e
    to the mean of this loss.

    Graphs are pieces of text that follow each other from batch to batch: the pieces of a batch go
    on from the states that the batch before left.

    Attributes:
        state_size: the size of the state of a piece.
        streams: the number of pieces in a training batch, once it is known.
    """

    best, greater = "perplexity", False

    def __init__(self, state_size: int) -> None:
        self.state_size = state_size
        self.streams: int | None = None
        self._state: Any = None

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out, self._state = self._read(model, batch, inputs, self._state)
        return out["loss"].sum(), total(out["loss"])

    def evaluate(self, model: cavs.Model, batches: Batches, should_stop: ShouldStop) -> Judged:
        state, nats, words = None, 0.0, 0
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    out, state = self._read(model, batch, inputs, state)
                    nats += finite_total(out["loss"], "loss")
                words += out["loss"].shape[0]
        mean = nats / max(words, 1)
        return {"perplexity": math.exp(min(mean, 700.0)), "nats_per_word": mean}

    def _read(
        self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Mapping[str, Any], state: Any
    ) -> tuple[dict[str, cavs.Tensor], Any]:
        """The outputs, and the state after the last words."""
        given = dict(inputs)
        goes_on = given.pop("goes_on")
        if state is None or not goes_on.any():
            state = np.zeros((batch.num_graphs, self.state_size), np.float32)
        out = model(batch, state=state, **given)
        return out, out["state"].numpy()[batch.roots]

    def describe(self, scores: Mapping[str, float]) -> str:
        perplexity = scores["perplexity"]  # of a run that diverged it has hundreds of digits
        return f"perplexity {perplexity:8.{'2f' if perplexity < 1e6 else '2e'}}"

    def arrays(self) -> Arrays:
        return {} if self._state is None else {"state": self._state}

    def restore(self, arrays: Arrays) -> None:
        check_state(arrays, {"state": (self.streams, self.state_size)}, np.float32, may_lack=True)
        self._state = arrays.get("state")


class RunningText(Task, Samples):
    """A task on text that is cut into streams, and these into pieces that follow each other from
    batch to batch."""

    source: TextSource
    objective: NextWord

    @abstractmethod
    def cut(self, split: str, streams: int) -> Dataset:
        """The pieces of a split, in the order in which batches of `streams` have them."""

    @property
    def sizes(self) -> dict[str, int]:
        """About how many pieces there are: where they are cut depends on the batch."""
        words = {s: sum(len(x) + 1 for x in self.split(s)) for s in ("train", "dev", "test")}
        length = self.source.length
        return {split: -(-count // length) for split, count in words.items()}

    def train_set(self, config: TrainingConfig) -> Dataset:
        return self.cut("train", config.batch_size)

    def loader(self, config: TrainingConfig) -> Loader:
        """Batches in the order of the text."""
        self.objective.streams = config.batch_size
        return Loader(self.train_set(config), config.batch_size)

    def batches(self, split: str, batch_size: int | None = None) -> Loader:
        """See `Task`; the test set is one text, read from its beginning to its end. Another batch
        size would cut the text in other places, and judge the model by other words."""
        if batch_size is not None:
            raise InputError(
                "[evaluate] expected no batch size for running text, which is cut into "
                f"{self.unit} that follow each other, got {batch_size}; leave it out"
            )
        streams = 1
        if split == "dev":
            streams = min(_DEV_STREAMS, max(1, sum(map(len, self.split("dev"))) // 2))
        return Loader(self.cut(split, streams), streams)


class TextTask(EmbedsWords, RunningText):
    """Learns to predict the next word."""

    task_name, unit, source_type = "text", "pieces", TextSource
    models = (
        BuiltInModel(
            "lm",
            "LSTM language model of running text",
            LSTMLanguageModel,
            Contract(
                {
                    "": FunctionContract(
                        {
                            "word": ID,
                            "label": ID,
                            "first": Pull(dtype="float"),
                            "state": Pull("graph", "float", (None,)),
                        },
                        {"loss": (), "logits": ("vocab_size",), "state": None},
                    )
                }
            ),
        ),
    )
    own_options = (
        text_option(),
        source_option(TextSource, "length", "words through which gradients flow back"),
        Option("embedding_size", Integer(1), group="model", follows="hidden_size"),
        size_option("hidden_size", 200),
        size_option("num_layers", 2),
        # Zaremba et al. 2014 drop the embedding as they drop the values between layers.
        *dropout_options("between layers", 0.0, None),
        vectors_option(),
    )
    training_options = with_defaults(
        WITH_EMBEDDING,
        {
            "epochs": 13,
            "batch_size": 20,
            "optimizer": "sgd",
            "lr": 1.0,
            "momentum": 0.0,
            "lr_decay": 0.5,
            "lr_decay_after": 3,
            "clip_norm": 5.0,
            "weight_decay": 0.0,
            "patience": 0,
        },
    )
    sampling_options = WORD_SAMPLING_OPTIONS
    kind, needs_end = "text", True
    sizes_read = ("hidden_size", "num_layers")
    objective: NextWord
    outputs = ("loss", "state")

    @classmethod
    def create(
        cls,
        name: str,
        source: TextSource,
        *,
        embedding_size: int | None = None,
        vectors: str | None = None,
        progress: bool = False,
        **sizes: Any,
    ) -> TextTask:
        """A new task; `sizes` are ``hidden_size``, ``num_layers``, ``dropout``,
        ``embedding_dropout`` and ``embedding_dropout_by``. The model has an argument
        ``embedding_size`` only where it is not ``hidden_size``. `vectors` is a file of word vectors
        that the embedding begins with, and which give it its size, and `progress` shows a bar while
        they are read.

        Raises:
            DataError: names the missing or malformed file.
        """
        corpus = source.load()
        vocabulary, found = with_vectors(vectors, corpus.vocabulary(), progress=progress)
        # Zaremba et al. 2014 drop the embedding as they drop the values between layers.
        dropped = {**NO_EMBEDDING_DROPOUT, "embedding_dropout": sizes.get("dropout", 0.0)}
        arguments = {"vocab_size": len(vocabulary), **dropped, **sizes}
        task = cls(name, arguments, vocabulary, source, corpus)
        if found is None and embedding_size is not None:
            task.set_embedding_size(embedding_size)
        task.begin_with_vectors(vectors, found)
        return task

    def set_embedding_size(self, size: int) -> None:
        self.made_with["embedding_size"] = size
        if size != self.arguments["hidden_size"]:
            self.arguments["embedding_size"] = size

    def make_objective(self) -> NextWord:
        return NextWord(2 * self.arguments["num_layers"] * self.arguments["hidden_size"])

    def prepare(self, model: Any) -> None:
        super().prepare(model)
        if self.user is not None:  # whose states have a size of their own
            (self.objective.state_size,) = model.inputs["state"].shape

    def cut(self, split: str, streams: int) -> Dataset:
        length = _TEST_LENGTH if split == "test" else self.source.length
        return running_text_dataset(self.split(split), self.words, streams, length)

    @classmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> list[list[str]]:
        """Sentences, each drawn from its beginning."""
        function = trained.model().function
        return sample_text(function, trained.words, count, seed=seed, **options)
