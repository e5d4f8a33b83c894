"""Classifiers of all vertices of labelled trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    LabelledTree,
    Loader,
    Vocabulary,
    format_tree,
    parse_listops,
    parse_tree,
    read_trees,
    tree_dataset,
)
from cavs.errors import DataError, InputError
from cavs.training.config import EMBEDDING_OPTIONS, TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Contract
from cavs.training.metrics import Classification, evaluate, predictions
from cavs.training.options import Choice, Flag, Option, Text
from cavs.training.tasks._abilities import PredictsLines
from cavs.training.tasks._embedding import FIRST_VALUES_OPTIONS, EmbedsWords, with_vectors
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    dropout_options,
    min_count_option,
    size_option,
    source_option,
)
from cavs.training.tasks._task import NO_EMBEDDING_DROPOUT, Evaluation
from cavs.training.tasks.labelled_trees import (
    TreeSource,
    check_arity,
    has_inner_word,
    most_children,
    tokens_of,
)
from cavs.training.tasks.tree_models import (
    BUILT_IN,
    NO_TYPES,
    SHAPE,
    SHAPED_CONTRACT,
    build,
    reasons_of,
    types_of,
)

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

EVALUATION_BATCH_SIZE = 256
LISTOPS = "ListOps"
# Defaults for the built-in expressions that differ from those for a treebank: expressions have few
# words, many labels without errors, and operators that must be learnt exactly.
_FOR_LISTOPS: dict[str, Any] = {
    "epochs": 3,
    "optimizer": "adam",
    "lr": 0.005,
    "embedding_lr": 0.005,
    "lr_schedule": "linear",
    "weight_decay": 0.0,
}


class TreeTask(EmbedsWords, PredictsLines):
    """Classifies all vertices of labelled trees."""

    task_name, unit, source_type = "trees", "trees", TreeSource
    models = BUILT_IN
    own_options = (
        Option(
            "data",
            Text(),
            meaning="treebank: train.txt, dev.txt, test.txt, one tree in brackets on a line, "
            "labels 0..4",
            metavar="DIR",
            group="data",
            said="ListOps expressions",
            voids=("num_train", "max_depth"),
        ),
        source_option(TreeSource, "num_train", "ListOps expressions to train on"),
        source_option(TreeSource, "max_depth", "of ListOps expressions"),
        min_count_option(1),
        Option(
            "labels",
            Choice(("all", "root")),
            "all",
            "train on the labels of all vertices or of the root only",
            group="data",
        ),
        Option(
            "types",
            Choice((NO_TYPES, SHAPE)),
            NO_TYPES,
            "whether phrases have weights by their shape: those whose first child is the heavier "
            "one, those whose last is, and leaves",
            group="model",
        ),
        # Sizes and dropout of Tai et al. 2015.
        size_option("embedding_size", 300, otherwise=(LISTOPS, 50)),
        size_option("hidden_size", 150, otherwise=(LISTOPS, 150)),
        *dropout_options("of what the classifier sees", 0.5, 0.0, otherwise=(LISTOPS, 0.0)),
        *FIRST_VALUES_OPTIONS,
    )
    training_options = tuple(
        replace(option, otherwise=(LISTOPS, _FOR_LISTOPS[option.name]))
        if option.name in _FOR_LISTOPS
        else option
        for option in (*TRAINING_OPTIONS, *EMBEDDING_OPTIONS)
    )
    items = "trees such as (-1 (-1 so) (-1 good)), one on a line"
    prediction_options = (
        Option(
            "all",
            Flag(),
            meaning="print each tree with the labels of all its vertices",
            only="a classifier of trees",
        ),
    )
    evaluation_options = (BATCH_SIZE_OPTION,)
    sizes_read = ("num_classes",)
    zero_unknown = True

    @classmethod
    def create(
        cls,
        name: str,
        source: TreeSource,
        *,
        min_count: int = 1,
        types: Literal["none", "shape"] = "none",
        embedding_std: float | None = None,
        vectors: str | None = None,
        progress: bool = False,
        **sizes: Any,
    ) -> TreeTask:
        """A new task.

        Args:
            name: the name of the model, one of `TREE_MODELS`.
            source: the source of the trees.
            min_count: words that occur fewer times read as unknown.
            types: whether vertices have types, by the shape of the tree (`tree_dataset`).
            embedding_std: standard deviation of the initial embedding; None: the layer's own.
            vectors: a file of word vectors that the embedding begins with, and which give it its
                size; all words of the trees that have one are known, whatever `min_count`.
            progress: show a bar on standard error while they are read.
            sizes: ``embedding_size``, ``hidden_size``, ``dropout``, ``embedding_dropout`` and
                ``embedding_dropout_by`` of the model.

        Raises:
            DataError: names the missing or malformed file.
        """
        corpus = source.load()
        known = source.vocabulary(corpus, min_count)
        tokens = tokens_of(corpus)
        vocabulary, found = with_vectors(vectors, known, tokens, progress=progress)
        arguments = {
            "vocab_size": len(vocabulary),
            "num_classes": corpus.num_classes,
            **NO_EMBEDDING_DROPOUT,
            **sizes,
        }
        if types != NO_TYPES:  # without, arguments are those of checkpoints before there were any
            arguments["types"] = types
        if cls.model_of(name).name == "nary-tree-lstm":
            arguments["arity"] = max(1, most_children(corpus.train))
        task = cls(name, arguments, vocabulary, source, corpus)
        task._embedding_std = embedding_std
        task.made_with = {"embedding_std": embedding_std}
        if source.path is not None:
            task.made_with["min_count"] = min_count
        task.begin_with_vectors(vectors, found)
        return task

    @classmethod
    def contract_of(cls, name: str, arguments: Mapping[str, Any]) -> Contract:
        if types_of(arguments) == SHAPE:
            return SHAPED_CONTRACT
        return super().contract_of(name, arguments)

    @classmethod
    def build(cls, name: str, arguments: Mapping[str, Any]) -> Any:
        return build(name, arguments)

    def make_objective(self) -> Classification:
        return Classification()

    @classmethod
    def case(cls, given: Mapping[str, Any]) -> str | None:
        """Without data, the case is ListOps."""
        return None if "data" in given else LISTOPS

    @classmethod
    def make_source(cls, settings: Mapping[str, Any], given: Mapping[str, Any]) -> TreeSource:
        for name in ("num_train", "max_depth"):
            if "data" in given and name in given:
                raise InputError(
                    f"[train] expected --{name.replace('_', '-')} without --data, since it is "
                    "about ListOps, got both; leave one out"
                )
        if "data" not in given and "min_count" in given:
            raise InputError(
                "[train] expected --min-count with --data, since all words of ListOps are kept, "
                "got it alone; leave it out"
            )
        source: TreeSource = super().make_source(settings, given)
        return source

    def check(self, function: cavs.VertexFunction) -> None:
        for split in self.sizes:
            check_arity(function, self.split(split), f"the {split} set")

    def reasons_without_gradient(self, names: Sequence[str]) -> dict[str, str]:
        """See `Task`: the weights of a phrase's own word, in trees of constituents."""
        if self.user is not None:
            return {}
        reasons = reasons_of(self.built_in.name)
        found = {name: reasons[name] for name in names if name in reasons}
        return {} if found and any(map(has_inner_word, self.split("train"))) else found

    def train_set(self, config: TrainingConfig) -> Dataset:
        return tree_dataset(
            self.split("train"), self.words, labels=config.labels, types=types_of(self.arguments)
        )

    def batches(self, split: str, batch_size: int | None = None) -> Loader:
        types = types_of(self.arguments)
        return _loader(self.split(split), self.words, batch_size, types, cache=True)

    @classmethod
    def evaluate(
        cls,
        trained: Trained,
        split: str,
        data: str | None = None,
        batch_size: int | None = None,
    ) -> Evaluation:
        """See `Task`; `data` may be one file of trees, which is then the test set."""
        model, words = trained.model(), trained.words
        trees, what = _trees_of(trained, split, data)
        check_arity(model.function, trees, what)
        types = types_of(trained.checkpoint.config)
        scores = evaluate(model, _loader(trees, words, batch_size, types))
        assert scores is not None
        return Evaluation(
            scores.to_dict(),
            f"{what}: {scores.graphs} trees, {scores.vertices} labelled vertices\n"
            f"root accuracy {100 * scores.root_accuracy:6.2f} %\n"
            f"all vertices  {100 * scores.vertex_accuracy:6.2f} %\n"
            f"loss          {scores.loss:8.4f} per tree",
        )

    @classmethod
    def read_item(cls, line: str, source: str, number: int) -> LabelledTree | None:
        """A tree in brackets, or a ListOps expression."""
        if not line.strip():
            return None
        if line.lstrip().startswith("["):
            return parse_listops(line, source=source, line=number)
        return parse_tree(line, allow_unlabelled=True, source=source, line=number)

    @classmethod
    def predictor(
        cls, trained: Trained, source: str, *, json: bool = False, all: bool = False, **options: Any
    ) -> Callable[[list[LabelledTree]], list[str]]:
        """The label of each tree's root; with `all` the tree with the labels of all vertices.

        As JSON ``label`` and ``probabilities`` of the root; with `all` also ``tree`` and
        ``vertices``, each with the same two, children before their parent.
        """
        del options
        model, words = trained.model().eval(), trained.words
        types = types_of(trained.checkpoint.config)

        def predict(trees: list[LabelledTree]) -> list[str]:
            if not trees:
                return []
            check_arity(model.function, trees, source)
            batch, inputs = tree_dataset(trees, words, types=types).batch(np.arange(len(trees)))
            with cavs.no_grad():
                out = model(batch, outputs=["logits"], **inputs)
            labels = cavs.unbatch(batch, predictions(out["logits"]).astype(np.int32))
            if json:
                shares = cavs.unbatch(batch, cavs.ops.softmax(out["logits"]).numpy())
                found = map(_as_json, trees, labels, shares, repeat(all))
                return list(map(dumps, found))
            return [
                format_tree(replace(tree, labels=own)) if all else str(own[tree.root])
                for tree, own in zip(trees, labels, strict=True)
            ]

        return predict


def _as_json(tree: LabelledTree, labels: Any, shares: Any, all: bool) -> dict[str, Any]:
    """What is predicted for a tree, as values for JSON."""
    vertices = [
        {"label": int(label), "probabilities": share.tolist()}
        for label, share in zip(labels, shares, strict=True)
    ]
    root = vertices[tree.root]
    if not all:
        return root
    return {**root, "tree": format_tree(replace(tree, labels=labels)), "vertices": vertices}


def _loader(
    trees: Sequence[LabelledTree],
    words: Vocabulary,
    batch_size: int | None,
    types: Literal["none", "shape"],
    *,
    cache: bool = False,
) -> Loader:
    """Batches of trees to judge a model by."""
    size = EVALUATION_BATCH_SIZE if batch_size is None else batch_size
    return Loader(tree_dataset(trees, words, types=types), size, cache=cache)


def _trees_of(trained: Trained, split: str, data: str | None) -> tuple[list[LabelledTree], str]:
    """Trees to judge a model by, and their name."""
    classes = int(trained.checkpoint.config["num_classes"])
    if data is not None and not Path(data).is_dir():
        if split != "test":
            raise InputError(
                f"[evaluate] expected --split {split} with a directory of trees, got the file "
                f"{data}; leave --split out"
            )
        return read_trees(data, num_classes=classes), data
    source = trained.source() if data is None else TreeSource(data)
    corpus = source.load()
    if corpus.num_classes != classes:
        raise DataError(
            f"[data] {source.name}: expected {classes} classes, as the checkpoint has, got "
            f"{corpus.num_classes}; name the data that it was trained on by --data"
        )
    trees: list[LabelledTree] = getattr(corpus, split)
    return trees, f"{split} set of {source.name}"
