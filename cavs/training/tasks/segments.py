"""Language models of segments of running text, with a memory of the segments before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import Dataset, segments_dataset
from cavs.errors import CheckpointError
from cavs.models import TransformerXL
from cavs.training.arrays import Arrays, check_state
from cavs.training.config import TRAINING_OPTIONS
from cavs.training.contract import Attributes, Contract, FunctionContract, Pull
from cavs.training.options import Flag, Number, Option, with_defaults
from cavs.training.segment_sampling import sample_segments
from cavs.training.tasks._options import (
    FALLING_ADAM,
    WORD_SAMPLING_OPTIONS,
    size_option,
    source_option,
    text_option,
)
from cavs.training.tasks._source import Ranges
from cavs.training.tasks._task import BuiltInModel
from cavs.training.tasks.text import NextWord, RunningText, TextSource

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_LAYERS = 4
_MOST_WORDS = 1 << 12  # the edges of a segment are words times words of the segment and the memory


@dataclass(frozen=True)
class SegmentSource(TextSource):
    """The source of segments.

    Attributes:
        length: number of words in a segment, through which gradients flow back.
        memory: number of words before a segment whose outputs are remembered.
    """

    length: int = 64
    memory: int = 64

    ranges: ClassVar[Ranges] = {"length": (1, _MOST_WORDS), "memory": (0, _MOST_WORDS)}


class NextWordOfSegments(NextWord):
    """As `NextWord`, with a memory in place of a state: rows of outputs that a model's
    ``next_memory`` makes. It is empty where a text begins.

    Attributes:
        memory: the most words to remember.
    """

    def __init__(self, memory: int) -> None:
        super().__init__(0)
        self.memory = memory

    def prepare(self, size: int, num_layers: int) -> None:
        """Tells the size of a remembered row, and the layers that have some."""
        self.state_size, self.num_layers = size, num_layers

    def _read(
        self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Mapping[str, Any], state: Any
    ) -> tuple[dict[str, cavs.Tensor], Any]:
        """The outputs, and what is remembered of them."""
        given = dict(inputs)
        goes_on = given.pop("goes_on")
        if state is None or not goes_on.any():
            state = np.zeros((0, self.state_size), np.float32)
        out = model(batch, memory=state, **given)
        function: Any = model.function
        return out, function.next_memory(state, out["memory"], batch.num_graphs, self.memory)

    def arrays(self) -> Arrays:
        return {} if self._state is None else {"memory": self._state}

    def restore(self, arrays: Arrays) -> None:
        check_state(arrays, {"memory": (None, self.state_size)}, np.float32, may_lack=True)
        memory = arrays.get("memory")
        lists = (self.streams or 1) * self.num_layers
        if memory is not None and (len(memory) % lists or len(memory) > lists * self.memory):
            raise CheckpointError(
                f"[train] expected a memory of up to {self.memory} rows for each of {lists} lists, "
                f"got {len(memory)} rows; take a checkpoint of this model"
            )
        self._state = memory


_ATTRIBUTES: Attributes = {
    "next_memory": ("a method that makes the next memory (see TransformerXL)", callable)
}


def _contract(num_layers: int) -> Contract:
    last = f"layer{num_layers}"
    memories = tuple(f"memory{n}" for n in range(num_layers))
    layers = ("word", *(f"layer{n}" for n in range(1, num_layers)))
    return Contract(
        {
            "": FunctionContract(
                {
                    "word": Pull(types=("word",)),
                    "label": Pull(types=(last,)),
                    "memory": Pull("vertex", "float", (None,), memories),
                },
                {"loss": (), "memory": None},
                may_push=("logits",),
                types=(*layers, last, *memories),
                pushed_by={"loss": (last,), "memory": layers},
            )
        },
        _ATTRIBUTES,
    )


class SegmentTask(RunningText):
    """Learns to predict the next word, in segments that remember those before."""

    source: SegmentSource

    task_name, unit, source_type = "segments", "segments", SegmentSource
    models = (
        BuiltInModel(
            "transformer-xl",
            "Transformer-XL, a language model of running text",
            TransformerXL,
            _contract(_LAYERS),
        ),
    )
    own_options = (
        text_option(),
        source_option(SegmentSource, "length", "words of a segment"),
        source_option(SegmentSource, "memory", "words before a segment that are remembered"),
        size_option("size", 240),
        size_option("num_layers", _LAYERS),
        size_option("num_heads", 6),
        size_option("inner_size", 512),
        Option(
            "dropout",
            Number(0, 1),
            0.2,
            "of embeddings, and of what layers add",
            "P",
            "model",
        ),
        Option(
            "attention_dropout",
            Number(0, 1),
            0.0,
            "of the weights of attention",
            "P",
            "model",
        ),
        Option(
            "untied",
            Flag(),
            False,
            "a matrix of its own for the logits, in place of the embedding",
            group="model",
        ),
    )
    training_options = with_defaults(
        TRAINING_OPTIONS,
        {
            **FALLING_ADAM,
            "epochs": 14,
            "batch_size": 20,
            "lr": 0.001,
            "clip_norm": 16.0,
        },
    )
    sampling_options = WORD_SAMPLING_OPTIONS
    kind, needs_end = "text", True
    sizes_read = ("num_layers",)
    objective: NextWordOfSegments
    outputs = ("loss", "memory")

    @classmethod
    def contract_of(cls, name: str, arguments: Mapping[str, Any]) -> Contract:
        """See `Task`; the types are those of the layers."""
        del name
        return _contract(arguments.get("num_layers", _LAYERS))

    @classmethod
    def create(
        cls, name: str, source: SegmentSource, *, untied: bool = False, **sizes: Any
    ) -> SegmentTask:
        """A new task; `sizes` are ``size``, ``num_layers``, ``num_heads``, ``inner_size``,
        ``dropout`` and ``attention_dropout``.

        Raises:
            DataError: names the missing or malformed file.
        """
        corpus = source.load()
        vocabulary = corpus.vocabulary()
        arguments = {
            "vocab_size": len(vocabulary),
            "num_layers": _LAYERS,
            **sizes,
            "context": source.length + source.memory,
            "tied": not untied,
        }
        return cls(name, arguments, vocabulary, source, corpus)

    def make_objective(self) -> NextWordOfSegments:
        return NextWordOfSegments(self.source.memory)

    def prepare(self, model: Any) -> None:
        super().prepare(model)
        (size,) = model.inputs["memory"].shape
        self.objective.prepare(size, self.arguments["num_layers"])

    def cut(self, split: str, streams: int) -> Dataset:
        source = self.source
        layers = self.arguments["num_layers"]
        return segments_dataset(
            self.split(split), self.words, streams, source.length, source.memory, layers
        )

    @classmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> list[list[str]]:
        """Sentences, each drawn from its beginning."""
        function, memory = trained.model().function, trained.source().memory
        return sample_segments(function, trained.words, count, memory=memory, seed=seed, **options)
