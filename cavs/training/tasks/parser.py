"""Learns to parse: the shift-reduce parser of the binary trees of a treebank."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Any

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    LabelledTree,
    TreeCorpus,
    Vocabulary,
    bracket_f1,
    format_tree,
    left_branching,
    load_sst,
    parsed_trees,
    right_branching,
    transition_dataset,
    tree_vocabulary,
)
from cavs.errors import DataError
from cavs.models import ShiftReduceParser
from cavs.training.contract import ID, Contract, FunctionContract, Pull
from cavs.training.metrics import judging, placed, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop
from cavs.training.options import with_defaults
from cavs.training.parsing import Buffers, parse, parse_with_scores
from cavs.training.tasks._abilities import PredictsLines
from cavs.training.tasks._embedding import VECTORS_OPTION, EmbedsWords, with_vectors
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    WITH_EMBEDDING,
    data_option,
    dropout_options,
    min_count_option,
    size_option,
)
from cavs.training.tasks._source import Source
from cavs.training.tasks._task import NO_EMBEDDING_DROPOUT, BuiltInModel, SameInputs
from cavs.training.tasks.labelled_trees import tokens_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_WORD = re.compile(r"\S+", re.ASCII)  # a treebank has words with a no-break space inside
_EXAMPLES = 2


@dataclass(frozen=True)
class TreebankSource(Source):
    """The directory of a treebank of binary trees; its labels are ignored."""

    path: str

    def load(self) -> TreeCorpus:
        return load_sst(self.path)


class Parsing(Objective):
    """The loss is -log p of the right actions where two are possible. Epochs are judged by the F1
    of the brackets that the parser finds by itself, and by the share of sentences whose brackets
    are all right."""

    best, greater = "f1", True

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def loss(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        word, read = inputs["word"], inputs["read"]
        buffers = Buffers(model, word[word >= 0], read[batch.roots], batch.keys)
        graph = np.repeat(np.arange(batch.num_graphs), np.diff(batch.ptr))
        out = model["stack"](
            batch, word=word, action=inputs["action"], front=buffers.fronts(graph, read)
        )
        return out["loss"].sum(), total(out["loss"])

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        found: list[LabelledTree] = []
        gold: list[LabelledTree] = []
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                sentences = [
                    [str(token) for token in self._vocabulary.decode(word[word >= 0])]
                    for word in cavs.unbatch(batch, inputs["word"])
                ]
                gold += parsed_trees(batch, sentences)
                with placed(f"[evaluate] in batch {number}"):
                    found += parse(model, self._vocabulary, sentences)
        exact = sum(a.graph == b.graph for a, b in zip(found, gold, strict=True))
        return {"f1": bracket_f1(found, gold), "exact": exact / max(len(gold), 1)}

    def describe(self, scores: Mapping[str, float]) -> str:
        return f"F1 {100 * scores['f1']:5.2f} %  exact {100 * scores['exact']:5.2f} %"


class ParserTask(EmbedsWords, SameInputs, PredictsLines):
    """Learns the binary trees of a treebank."""

    task_name, unit, source_type = "parser", "trees", TreebankSource
    models = (
        BuiltInModel(
            "parser",
            "shift-reduce parser of the trees of a treebank",
            ShiftReduceParser,
            Contract(
                {
                    "buffer": FunctionContract({"word": ID}, {"h": (None,)}),
                    "stack": FunctionContract(
                        {"word": ID, "front": Pull("vertex", "float", (None,)), "action": ID},
                        {"loss": (), "logits": (2,)},
                    ),
                }
            ),
        ),
    )
    own_options = (
        data_option(
            "treebank of binary trees: train.txt, dev.txt, test.txt, one tree in brackets on a "
            "line; labels are not looked at"
        ),
        min_count_option(2),
        size_option("embedding_size", 100),
        size_option("hidden_size", 150),
        *dropout_options("of what decides", 0.3, None),
        VECTORS_OPTION,
    )
    training_options = with_defaults(
        WITH_EMBEDDING,
        {**FALLING_ADAM, "epochs": 10, "batch_size": 25, "lr": 0.002, "clip_norm": 5.0},
    )
    items = "sentences, one on a line, words apart by blanks"
    evaluation_options = (BATCH_SIZE_OPTION,)
    evaluation_batch_size = 250

    @classmethod
    def create(
        cls,
        name: str,
        source: TreebankSource,
        *,
        min_count: int = 1,
        vectors: str | None = None,
        progress: bool = False,
        **sizes: Any,
    ) -> ParserTask:
        """A new task; `sizes` are ``embedding_size``, ``hidden_size``, ``dropout``,
        ``embedding_dropout`` and ``embedding_dropout_by``; words that occur fewer than `min_count`
        times read as unknown. `vectors` and `progress` as `TreeTask.create`.

        Raises:
            DataError: names the missing or malformed file.
        """
        corpus = source.load()
        known = tree_vocabulary(corpus.train, min_count=min_count)
        tokens = tokens_of(corpus)
        vocabulary, found = with_vectors(vectors, known, tokens, progress=progress)
        arguments = {"vocab_size": len(vocabulary), **NO_EMBEDDING_DROPOUT, **sizes}
        task = cls(name, arguments, vocabulary, source, corpus)
        task.made_with = {"min_count": min_count}
        task.begin_with_vectors(vectors, found)
        return task

    def make_objective(self) -> Parsing:
        return Parsing(self.words)

    def dataset(self, split: str) -> Dataset:
        return transition_dataset(self.split(split), self.words)

    def summary(self, best: Mapping[str, Any], test: Mapping[str, float]) -> str:
        gold = self.split("test")
        sides = [
            100 * bracket_f1([branch(tree.words()) for tree in gold], gold)
            for branch in (right_branching, left_branching)
        ]
        return (
            f"{super().summary(best, test)}\n"
            f"test F1 of right-branching trees {sides[0]:.2f} %, of left-branching {sides[1]:.2f} %"
        )

    def examples(self, model: Any) -> list[str]:
        """See `Task`: test sentences with their parses."""
        sentences = [tree.words() for tree in self.split("test")[:_EXAMPLES]]
        with judging(model):
            return [format_tree(tree) for tree in parse(model, self.words, sentences)]

    @classmethod
    def read_item(cls, line: str, source: str, number: int) -> list[str] | None:
        """A sentence, with its words separated by blanks."""
        words = _WORD.findall(line)
        for word in words:
            if "(" in word or ")" in word:
                raise DataError(
                    f"[data] {source}, line {number}: expected words without brackets, got "
                    f"{word!r}; write -LRB- and -RRB-"
                )
        return words or None

    @classmethod
    def predictor(
        cls, trained: Trained, source: str, *, json: bool = False, **options: Any
    ) -> Callable[[list[list[str]]], list[str]]:
        """The tree of each sentence; as JSON ``tree`` and ``log_probability``."""
        del source, options
        program, words = trained.model().eval(), trained.words

        def predict(sentences: list[list[str]]) -> list[str]:
            found = parse_with_scores(program, words, sentences)
            if not json:
                return [format_tree(tree) for tree, _ in found]
            return [dumps({"tree": format_tree(t), "log_probability": p}) for t, p in found]

        return predict
