"""An encoder and a decoder with attention: learns to write sentences backwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from json import dumps
from typing import TYPE_CHECKING, Any, ClassVar

import cavs
from cavs.data import Dataset, TextCorpus, Vocabulary, load_ptb, seq2seq_dataset
from cavs.errors import DataError
from cavs.models import Seq2Seq
from cavs.training.contract import Contract, FunctionContract, Pull
from cavs.training.decoding import Written, write_sentences
from cavs.training.metrics import finite_total, judging, placed, predictions, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop
from cavs.training.options import Integer, Option, with_defaults
from cavs.training.tasks._abilities import PredictsLines
from cavs.training.tasks._embedding import EmbedsWords, vectors_option, with_vectors
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    WITH_EMBEDDING,
    size_option,
    source_option,
    text_option,
)
from cavs.training.tasks._source import MOST, MOST_GRAPHS, Ranges, Source
from cavs.training.tasks._task import BuiltInModel, Evaluation, SameInputs

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_WORD = re.compile(r"\S+", re.ASCII)
_EXAMPLES = 2
BEAM = 4
"""Hypotheses of the beam search that checkpoints are judged by."""


@dataclass(frozen=True)
class ShortSentences:
    """Sentences that are not too long, and the text that they are of, for the vocabulary."""

    train: list[list[str]]
    dev: list[list[str]]
    test: list[list[str]]
    text: TextCorpus


@dataclass(frozen=True)
class ReversalSource(Source):
    """The source of sentences that are to be written backwards.

    Attributes:
        path: the path of a folder with train.txt, valid.txt and test.txt, one sentence on a line.
        max_length: the words of the longest sentences. Longer ones are cut into parts to train on,
            so that all words of the text occur, and are left out where a model is judged.
        num_train: how many sentences, and parts of sentences, to train on: the first ones.
    """

    path: str
    max_length: int = 20
    num_train: int = 40_000

    ranges: ClassVar[Ranges] = {"max_length": (1, MOST), "num_train": (1, MOST_GRAPHS)}

    def load(self) -> ShortSentences:
        text = load_ptb(self.path)
        most = self.max_length
        parts = (words[i : i + most] for words in text.train for i in range(0, len(words), most))
        train = list(islice(parts, self.num_train))
        dev, test = ([x for x in part if len(x) <= most] for part in (text.dev, text.test))
        for name, part in (("valid", dev), ("test", test)):
            if not part:
                raise DataError(
                    f"[data] {self.path}: expected sentences of up to {most} words in {name}.txt, "
                    "got none; raise --max-length"
                )
        return ShortSentences(train, dev, test, text)


class Writing(Objective):
    """The loss is -log p of the words to write. Epochs are judged by the share of the sentences
    that greedy decoding writes without a fault: those where each word, behind the right ones before
    it, is the likeliest."""

    best, greater = "exact", True
    pushed: str | None = "loss"

    def loss(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, **inputs)
        return out["loss"].sum(), total(out["loss"])

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        loss, words, right_words, exact, sentences = 0.0, 0, 0, 0, 0
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    out = model(batch, **inputs)
                    loss += finite_total(out["loss"], "loss")
                right = predictions(out["logits"]) == inputs["label"]
                words += len(right)
                right_words += int(right.sum())
                exact += sum(part.all() for part in cavs.unbatch(batch, right, of="decoder"))
                sentences += batch.num_graphs
        return {
            "exact": int(exact) / max(sentences, 1),
            "word_accuracy": right_words / max(words, 1),
            "loss": loss / max(words, 1),
        }

    def describe(self, scores: Mapping[str, float]) -> str:
        found = f"exact {100 * scores['exact']:5.2f} %"
        if "beam_exact" in scores:
            found += f"  by beam {100 * scores['beam_exact']:5.2f} %"
        return found + (
            f"  words {100 * scores['word_accuracy']:5.2f} %  nats a word {scores['loss']:.4f}"
        )


class ReversalTask(EmbedsWords, SameInputs, PredictsLines):
    """Learns to write sentences backwards."""

    task_name, unit, source_type = "reversal", "sentences", ReversalSource
    models = (
        BuiltInModel(
            "seq2seq",
            "encoder and decoder with attention that writes sentences backwards",
            Seq2Seq,
            Contract(
                {
                    "": FunctionContract(
                        {
                            "word": Pull(types=("encoder", "decoder")),
                            "label": Pull(types=("decoder",)),
                        },
                        {"loss": (), "logits": ("vocab_size",)},
                        types=("encoder", "decoder"),
                        pushed_by=("decoder",),
                    )
                }
            ),
        ),
    )
    own_options = (
        text_option(),
        source_option(
            ReversalSource,
            "max_length",
            "words of the longest sentences; longer ones are cut into parts to train on, and left "
            "out of what a model is judged by",
        ),
        source_option(ReversalSource, "num_train", "sentences and parts to train on, the first"),
        size_option("embedding_size", 128),
        size_option("hidden_size", 160),
        vectors_option(),
    )
    training_options = with_defaults(
        WITH_EMBEDDING,
        {**FALLING_ADAM, "epochs": 2, "batch_size": 32, "lr": 0.003, "clip_norm": 1.0},
    )
    items = "sentences, one on a line, words apart by blanks"
    evaluation_options = (BATCH_SIZE_OPTION,)
    evaluation_batch_size = 64
    prediction_options = (
        Option(
            "beam",
            Integer(1),
            1,
            "hypotheses that are kept: 1 takes the likeliest word each time",
            only="models that write sentences",
        ),
    )
    needs_end = True

    @classmethod
    def create(
        cls,
        name: str,
        source: ReversalSource,
        *,
        vectors: str | None = None,
        progress: bool = False,
        **sizes: Any,
    ) -> ReversalTask:
        """A new task; `sizes` are ``embedding_size`` and ``hidden_size``; `vectors` and `progress`
        as `SentenceTask.create`. The words are those of the whole training text.

        Raises:
            DataError: names the missing or malformed file, or no sentence is short enough.
        """
        corpus = source.load()
        known = corpus.text.vocabulary()
        vocabulary, found = with_vectors(vectors, known, progress=progress)
        task = cls(name, {"vocab_size": len(vocabulary), **sizes}, vocabulary, source, corpus)
        task.begin_with_vectors(vectors, found)
        return task

    def make_objective(self) -> Writing:
        return Writing()

    def dataset(self, split: str) -> Dataset:
        sentences = self.split(split)
        return seq2seq_dataset(sentences, [x[::-1] for x in sentences], self.words)

    def examples(self, model: Any) -> list[str]:
        """See `Task`: test sentences as they are written."""
        with judging(model):
            found = write_sentences(model, self.words, self.split("test")[:_EXAMPLES])
        return [" ".join(best.words) for best, *_ in found]

    @classmethod
    def evaluate(
        cls,
        trained: Trained,
        split: str,
        data: str | None = None,
        batch_size: int | None = None,
    ) -> Evaluation:
        """See `Task`; sentences are written, as `predictor` does, greedily and by beam search."""
        found = super().evaluate(trained, split, data, batch_size)
        task = (trained if data is None else trained.with_source(path=data)).task()
        model, words = trained.model(("logits",)), trained.words
        sentences = task.split(split)
        size = batch_size or cls.evaluation_batch_size
        scores = {}
        with judging(model):
            for name, beam in (("exact", 1), ("beam_exact", BEAM)):
                right = 0
                for first in range(0, len(sentences), size):
                    some = sentences[first : first + size]
                    written = write_sentences(model, words, some, beam=beam)
                    right += _count_right(words, some, written)
                scores[name] = right / max(len(sentences), 1)
        scores = {**found.scores, **scores}
        text = f"{split} set of {task.source.name}: {task.objective.describe(scores)}"
        return replace(found, scores={**scores, "beam": BEAM}, text=text)

    @classmethod
    def read_item(cls, line: str, source: str, number: int) -> list[str] | None:
        """A sentence, with its words separated by blanks."""
        del source, number
        return _WORD.findall(line) or None

    @classmethod
    def predictor(
        cls, trained: Trained, source: str, *, json: bool = False, **options: Any
    ) -> Callable[[list[list[str]]], list[str]]:
        """What is written by each sentence. As JSON ``output`` and ``log_probability``, and
        ``hypotheses``, a list of the same two, best first, where more than one is kept."""
        del source
        beam = options.get("beam", 1)
        model, words = trained.model(("logits",)).eval(), trained.words

        def predict(sentences: list[list[str]]) -> list[str]:
            with cavs.no_grad():
                found = write_sentences(model, words, sentences, beam=beam)
            if not json:
                return [" ".join(best.words) for best, *_ in found]
            return [dumps(_described(kept, beam), ensure_ascii=False) for kept in found]

        return predict


def _count_right(
    words: Vocabulary, sentences: Sequence[Sequence[str]], written: Sequence[Sequence[Written]]
) -> int:
    """How many sentences were written backwards; unknown words are to be written as unknown."""
    wanted = [words.decode(words.encode(sentence[::-1])) for sentence in sentences]
    return sum(
        best.ended and best.words == target
        for target, (best, *_) in zip(wanted, written, strict=True)
    )


def _described(kept: Sequence[Written], beam: int) -> dict[str, Any]:
    """The hypotheses as values for JSON."""
    found: list[dict[str, Any]] = [
        {"output": " ".join(x.words), "log_probability": x.log_probability} for x in kept
    ]
    return {**found[0], "hypotheses": found} if beam > 1 else found[0]
