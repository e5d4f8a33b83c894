"""Taggers of sentences, whose rare words are read by characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cavs
from cavs.data import (
    Dataset,
    Loader,
    TaggedCorpus,
    Vocabulary,
    character_vocabulary,
    load_tagged,
    read_tagged,
    tag_vocabulary,
)
from cavs.errors import InputError
from cavs.models import CharacterTagger
from cavs.training.config import TrainingConfig
from cavs.training.contract import Contract, FunctionContract, Pull
from cavs.training.metrics import judging
from cavs.training.options import Choice, Integer, Option, with_defaults
from cavs.training.tagging import (
    READERS,
    Tagging,
    judged_batches,
    model_dataset,
    tag_sentences,
    words_of,
)
from cavs.training.tasks._abilities import Predicts
from cavs.training.tasks._embedding import VECTORS_OPTION, EmbedsWords, with_vectors
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    WITH_EMBEDDING,
    data_option,
    dropout_options,
    size_option,
)
from cavs.training.tasks._source import Source
from cavs.training.tasks._task import NO_EMBEDDING_DROPOUT, BuiltInModel, Evaluation

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_WORD = re.compile(r"\S+", re.ASCII)


def _contract(*characters: str) -> Contract:
    pulls = {
        "word": Pull(types=("word",)),
        "character": Pull(types=characters),
        "label": Pull(types=("tag",)),
    }
    if not characters:
        del pulls["character"]
    types = ("word", *characters, "before", "after", "tag")
    pushes = {"logits": ("num_classes",), "loss": ()}
    return Contract({"": FunctionContract(pulls, pushes, types=types, pushed_by=("tag",))})


_WITHOUT_CHARACTERS = _contract()


@dataclass(frozen=True)
class TaggedSource(Source):
    """A file of tagged sentences, which is split, or a folder of three."""

    path: str

    def load(self) -> TaggedCorpus:
        return load_tagged(self.path)

    @property
    def name(self) -> str:
        """A short name, that of the folder or of the file."""
        path = Path(self.path).resolve()
        return (path.stem if path.is_file() else path.name) or "data"


class TaggingTask(EmbedsWords, Predicts):
    """Tags the words of sentences."""

    task_name, unit, source_type = "tagging", "sentences", TaggedSource
    models = (
        BuiltInModel(
            "tagger",
            "bidirectional LSTM that tags words, and reads rare ones by characters",
            CharacterTagger,
            _contract(*READERS),
        ),
    )
    own_options = (
        data_option(
            "sentences of word|TAG separated by blanks, one on a line: a folder with train.txt, "
            "dev.txt and test.txt, or a file, whose sentences are shuffled, the same each time, "
            "and split into eight tenths, a tenth and a tenth",
            "PATH",
        ),
        Option("min_count", Integer(1), 3, "words that occur fewer times are rare", group="data"),
        Option(
            "characters",
            Choice(("rare", "none")),
            "rare",
            "which words are read by characters; without, rare ones read as <unk>",
            group="model",
        ),
        size_option("embedding_size", 100),
        replace(size_option("character_size", 25), needs=("characters", "rare")),
        replace(size_option("character_hidden_size", 50), needs=("characters", "rare")),
        size_option("hidden_size", 100),
        *(
            replace(option, meaning="of the embeddings of words and of characters")
            if option.name == "embedding_dropout"
            else option
            for option in dropout_options("of what the classifier sees", 0.5, None)
        ),
        VECTORS_OPTION,
    )
    training_options = with_defaults(
        WITH_EMBEDDING,
        {**FALLING_ADAM, "epochs": 20, "batch_size": 16, "lr": 0.005, "clip_norm": 5.0},
    )
    items = "sentences, one on a line, words apart by blanks"
    evaluation_options = (BATCH_SIZE_OPTION,)
    evaluation_batch_size = 64
    zero_unknown = True
    sizes_read = ("num_classes",)
    sizes_of_vocabularies = {  # noqa: RUF012
        "tags": "num_classes",
        "characters": "alphabet_size",
        "training words": None,
    }

    @classmethod
    def contract_of(cls, name: str, arguments: Mapping[str, Any]) -> Contract:
        """See `Task`; without characters two types are missing."""
        if arguments.get("alphabet_size") == 0:
            return _WITHOUT_CHARACTERS
        return super().contract_of(name, arguments)

    @classmethod
    def create(
        cls,
        name: str,
        source: TaggedSource,
        *,
        min_count: int = 1,
        characters: str = "rare",
        vectors: str | None = None,
        progress: bool = False,
        **sizes: Any,
    ) -> TaggingTask:
        """A new task; `sizes` are ``embedding_size``, ``character_size``,
        ``character_hidden_size``, ``hidden_size``, ``dropout``, ``embedding_dropout`` and
        ``embedding_dropout_by``; words that occur fewer than `min_count` times are rare, and read
        by their `characters` (``rare``) or as unknown (``none``). `vectors` and `progress` as
        `TreeTask.create`; words that have a vector are not rare.

        Raises:
            DataError: names the missing or malformed file; InputError: no word of the training set
                is rare, so that characters would not be learnt.
        """
        corpus = source.load()
        words = words_of(corpus.train)
        known = Vocabulary.from_tokens(words, min_count=min_count)
        everywhere = [*corpus.train, *corpus.dev, *corpus.test]
        vocabulary, found = with_vectors(vectors, known, words_of(everywhere), progress=progress)
        others = {
            "tags": tag_vocabulary(everywhere),
            "training words": Vocabulary.from_tokens(words, specials=(), unknown=None),
        }
        if characters == "rare":
            others["characters"] = character_vocabulary(words)
            if all(word in vocabulary for word in words):
                raise InputError(
                    f"[train] expected words of {source.name} that occur fewer than --min-count "
                    f"{min_count} times, since characters are learnt of them, got none; raise it, "
                    "or give --characters none"
                )
        arguments = {
            "vocab_size": len(vocabulary),
            "alphabet_size": len(others.get("characters", ())),
            "num_classes": len(others["tags"]),
            **NO_EMBEDDING_DROPOUT,
            **sizes,
        }
        task = cls(name, arguments, vocabulary, source, corpus, others)
        task.made_with = {"min_count": min_count, "characters": characters}
        task.begin_with_vectors(vectors, found)
        return task

    def make_objective(self) -> Tagging:
        return Tagging(self.vocabularies["tags"])

    def initialize(self, function: Any) -> None:
        """See `Task`; of tables of characters, attributes `characters`, the unknown one begins as
        zeros too, since nothing is learnt about it."""
        super().initialize(function)
        characters = self.vocabularies.get("characters", ())
        for own in function.functions().values():
            table = getattr(own, "characters", None)
            if isinstance(table, cavs.nn.Embedding) and table.weight.shape[0] == len(characters):
                with table.weight.writing() as values:
                    values[self.vocabularies["characters"].unknown_id] = 0

    def train_set(self, config: TrainingConfig) -> Dataset:
        del config
        return model_dataset(self.split("train"), self.words, self.vocabularies)

    def batches(self, split: str, batch_size: int | None = None) -> Loader:
        size = self.evaluation_batch_size if batch_size is None else batch_size
        return judged_batches(
            self.split(split), self.words, self.vocabularies, f"the {split} set", size
        )

    def examples(self, model: Any) -> list[str]:
        """See `Task`: test sentences with the tags that are found."""
        some = [sentence.words for sentence in self.split("test")[:2]]
        with judging(model):
            tagged = tag_sentences(model, some, self.words, self.vocabularies)
        return [_written(words, tags) for words, (tags, _) in zip(some, tagged, strict=True)]

    @classmethod
    def evaluate(
        cls,
        trained: Trained,
        split: str,
        data: str | None = None,
        batch_size: int | None = None,
    ) -> Evaluation:
        """See `Task`; `data` may be one file of tagged sentences, all of which are then the test
        set."""
        if data is None or Path(data).is_dir():
            found = super().evaluate(trained, split, data, batch_size)
            return Evaluation(found.scores, _with_counts(found.text, found.scores))
        if split != "test":
            raise InputError(
                f"[evaluate] expected --split {split} with a folder of tagged sentences, got the "
                f"file {data}; leave --split out"
            )
        vocabularies = trained.checkpoint.vocabularies
        size = cls.evaluation_batch_size if batch_size is None else batch_size
        batches = judged_batches(read_tagged(data), trained.words, vocabularies, data, size)
        objective = Tagging(vocabularies["tags"])
        scores = objective.evaluate(trained.model(), batches, lambda: False)
        assert scores is not None
        return Evaluation(scores, _with_counts(f"{data}: {objective.describe(scores)}", scores))

    @classmethod
    def read_item(cls, line: str, source: str, number: int) -> list[str] | None:
        """A sentence, with its words separated by blanks."""
        del source, number
        return _WORD.findall(line) or None  # a no-break space is part of a word

    @classmethod
    def predictor(
        cls, trained: Trained, source: str, *, json: bool = False, **options: Any
    ) -> Callable[[list[list[str]]], list[str]]:
        """Each sentence as ``word|TAG``; as JSON ``words``, ``tags`` and ``probabilities``, of each
        word those of all tags."""
        del source, options
        model, words = trained.model().eval(), trained.words
        vocabularies = trained.checkpoint.vocabularies

        def predict(sentences: list[list[str]]) -> list[str]:
            found = zip(
                sentences, tag_sentences(model, sentences, words, vocabularies), strict=True
            )
            if not json:
                return [_written(own, tags) for own, (tags, _) in found]
            return [
                dumps({"words": own, "tags": tags, "probabilities": shares})
                for own, (tags, shares) in found
            ]

        return predict


def _written(words: Sequence[str], tags: Sequence[str]) -> str:
    """A sentence as files hold it."""
    return " ".join(f"{word}|{tag}" for word, tag in zip(words, tags, strict=True))


def _with_counts(text: str, scores: Mapping[str, float]) -> str:
    return (
        f"{text}\n{scores['sentences']} sentences, {scores['words']} words, "
        f"{scores['unseen_words']} of them not seen in training; loss {scores['loss']:.4f} per "
        "sentence"
    )
