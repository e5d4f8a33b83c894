"""A generative model of expressions: the recursive variational autoencoder over ListOps trees."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    LabelledTree,
    TreeCorpus,
    Vocabulary,
    listops_corpus,
    production_dataset,
    production_vocabulary,
)
from cavs.errors import InputError
from cavs.models import TreeVAE
from cavs.training._fields import shown
from cavs.training.bounds import LatentBound
from cavs.training.contract import Contract, FunctionContract, Pull
from cavs.training.metrics import finite_total, judging, placed
from cavs.training.objective import Batches, Judged, ShouldStop
from cavs.training.options import with_defaults
from cavs.training.sampling import decode_trees, sample_trees
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    LATENT_ATTRIBUTES,
    WITH_EMBEDDING,
    divergence_options,
    size_option,
    source_option,
)
from cavs.training.tasks._source import (
    DIVERGENCE_RANGES,
    EXPRESSION_RANGES,
    Ranges,
    Source,
)
from cavs.training.tasks._task import BuiltInModel, SameInputs
from cavs.training.tasks._vocabularies import Vocabularies

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_ARGUMENTS = 5
_TYPES = ("leaf", "phrase")
_SCORES = ("nats", "kl", "shapes", "trees", "graphs")
_SEED = 1  # of the trees drawn from the prior


@dataclass(frozen=True)
class ExpressionSource(Source):
    """Generated ListOps expressions, and the weight of the divergence in the bound.

    Attributes:
        num_train: the number of expressions to train on.
        max_depth: the greatest depth of the expressions, the root being at depth 1.
        kl_weight: the final weight of the divergence from the prior.
        kl_steps: the number of steps in which the weight rises linearly from 0.
    """

    num_train: int = 40_000
    max_depth: int = 6
    kl_weight: float = 1.0
    kl_steps: int = 2_000

    ranges: ClassVar[Ranges] = {**EXPRESSION_RANGES, **DIVERGENCE_RANGES}

    def load(self) -> TreeCorpus:
        # One seed for every run, so that all are judged by the same test set.
        return listops_corpus(self.num_train, max_depth=self.max_depth, seed=0)


class TreeBound(LatentBound):
    """The evidence lower bound of a tree, with one sample; epochs are judged by it, in nats a tree.

    Two further scores are the shares of trees whose shape, and whose symbols too, come back when
    the mean of q is decoded with the likeliest productions. As many trees are drawn from the prior:
    the scores are the share that is complete at the depth of the data, and the mean depth and mean
    number of children of these.
    """

    downwards, root = True, "phrase"

    def __init__(self, source: ExpressionSource, vocabulary: Vocabulary) -> None:
        super().__init__(source.kl_weight, source.kl_steps)
        self._max_depth, self._vocabulary = source.max_depth, vocabulary

    def encoded(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"production": inputs["production"]}

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        sums = dict.fromkeys(_SCORES, 0.0)
        made: list[LabelledTree] = []
        generator = cavs.Generator(_SEED)
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    nats, divergence, posterior = self.parts(model, batch, inputs)
                    kl = finite_total(divergence, "kl")
                    bound = finite_total(nats, "loss") + kl
                    found = decode_trees(
                        model,
                        self._vocabulary,
                        posterior.mean.numpy(),
                        max_depth=2 * self._max_depth,
                    )
                right = _compare(batch, inputs, self._vocabulary, found)
                for name, value in zip(_SCORES, (bound, kl, *right, len(batch)), strict=True):
                    sums[name] += value
                made += self._made_up(model, generator, posterior.mean.shape)
        graphs = max(sums.pop("graphs"), 1)
        scores = {name: value / graphs for name, value in sums.items()}
        depth, arity = shape_of(made)
        return {**scores, "complete": len(made) / graphs, "depth": depth, "arity": arity}

    def _made_up(
        self, program: cavs.Program, generator: cavs.Generator, shape: tuple[int, ...]
    ) -> list[LabelledTree]:
        """The complete trees among as many trees from the prior as `shape` has rows."""
        z = generator.normal(shape).data
        trees = decode_trees(
            program, self._vocabulary, z, max_depth=self._max_depth, generator=generator
        )
        return [tree for tree in trees if tree is not None]

    def describe(self, scores: Mapping[str, float]) -> str:
        return (
            f"nats {scores['nats']:6.2f}  KL {scores['kl']:5.2f}  come back: shape "
            f"{100 * scores['shapes']:5.2f} %  tree {100 * scores['trees']:5.2f} %  made up: "
            f"complete {100 * scores['complete']:5.2f} %"
        )


def shape_of(trees: Sequence[LabelledTree]) -> tuple[float, float]:
    """The mean depth of trees, the root being at depth 1, and the mean number of children of the
    vertices that have any; zeros if there are no trees."""
    depths, arities = [], []
    for tree in trees:
        depth = [1] * tree.num_vertices
        for vertex, children in enumerate(tree.graph.children):  # children come first
            if children:
                depth[vertex] = 1 + max(depth[child] for child in children)
                arities.append(len(children))
        depths.append(depth[tree.root])
    return float(np.mean(depths or [0])), float(np.mean(arities or [0]))


def _compare(
    batch: cavs.GraphBatch,
    inputs: Mapping[str, Any],
    vocabulary: Vocabulary,
    found: list[LabelledTree | None],
) -> tuple[int, int]:
    """The number of trees with the right shape, and the number of those with the right symbols
    too."""
    shapes = trees = 0
    symbols = [token.rpartition("/")[0] for token in vocabulary.to_list()]
    parts = zip(cavs.unbatch(batch), cavs.unbatch(batch, inputs["production"]), found, strict=True)
    for graph, productions, tree in parts:
        if tree is None or tree.graph.children != graph.children:
            continue
        shapes += 1
        trees += list(tree.tokens) == [symbols[p] for p in productions.tolist()]
    return shapes, trees


class ExpressionTask(SameInputs, Samples):
    """Learns to encode and to generate expressions."""

    task_name, unit, source_type = "expressions", "trees", ExpressionSource
    models = (
        BuiltInModel(
            "tree-vae",
            "recursive variational autoencoder of ListOps expressions",
            TreeVAE,
            Contract(
                {
                    "encoder": FunctionContract(
                        {"production": Pull(types=_TYPES)},
                        {"h": (None,)},
                        types=_TYPES,
                        pushed_by=("phrase",),
                    ),
                    "decoder": FunctionContract(
                        {
                            **dict.fromkeys(("above", "slot", "production"), Pull(types=_TYPES)),
                            "phrases": Pull("vertex", "float", ("num_slots",), ("phrase",)),
                            "z": Pull("graph", "float", ("latent_size",)),
                        },
                        {
                            "loss": (),
                            "logits": ("num_productions",),
                            "phrase_logits": ("num_slots",),
                        },
                        types=_TYPES,
                        pushed_by={
                            **dict.fromkeys(("loss", "logits"), _TYPES),
                            "phrase_logits": ("phrase",),
                        },
                    ),
                },
                LATENT_ATTRIBUTES,
            ),
        ),
    )
    own_options = (
        source_option(ExpressionSource, "num_train", "ListOps expressions to train on"),
        source_option(ExpressionSource, "max_depth", "of the expressions"),
        *divergence_options(ExpressionSource),
        size_option("embedding_size", 32),
        size_option("hidden_size", 128),
        size_option("latent_size", 64),
    )
    training_options = with_defaults(
        WITH_EMBEDDING,
        {**FALLING_ADAM, "epochs": 20, "batch_size": 50, "lr": 0.002, "clip_norm": 5.0},
    )
    evaluation_options = (BATCH_SIZE_OPTION,)
    evaluation_batch_size = 250
    kind = "trees"
    sizes_read = ("num_productions", "num_slots")

    @classmethod
    def create(cls, name: str, source: ExpressionSource, **sizes: Any) -> ExpressionTask:
        """A new task; `sizes` are ``embedding_size``, ``hidden_size`` and ``latent_size``."""
        corpus = source.load()
        vocabulary = production_vocabulary([*corpus.train, *corpus.dev, *corpus.test])
        arguments = {"num_productions": len(vocabulary), "num_slots": _ARGUMENTS, **sizes}
        return cls(name, arguments, vocabulary, source, corpus)

    @classmethod
    def check_fit(
        cls,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        vocabularies: Vocabularies | None = None,
    ) -> None:
        """See `Task`; checks also that no production has more children than there are slots."""
        words = {**arguments, "vocab_size": arguments.get("num_productions")}
        super().check_fit(words, vocabulary, vocabularies)
        for token in vocabulary or ():
            arity = token.rpartition("/")[2]
            if not re.fullmatch("[0-9]{1,9}", arity) or int(arity) > arguments["num_slots"]:
                raise InputError(
                    "[train] expected words such as MAX/2, a symbol and a number of children in "
                    f"0..{arguments['num_slots']}, got {shown(token)}; take "
                    "the productions that the model was made with"
                )

    def make_objective(self) -> TreeBound:
        return TreeBound(self.source, self.words)

    def dataset(self, split: str) -> Dataset:
        return production_dataset(
            self.split(split), self.words, num_slots=self.arguments["num_slots"]
        )

    def summary(self, best: Mapping[str, Any], test: Mapping[str, float]) -> str:
        depth, arity = shape_of(self.split("test"))
        return (
            f"{super().summary(best, test)}\n"
            f"made up: depth {test['depth']:.2f}, children {test['arity']:.2f}; "
            f"test expressions: depth {depth:.2f}, children {arity:.2f}"
        )

    @classmethod
    def sample(
        cls, trained: Trained, count: int, seed: int, **options: Any
    ) -> list[LabelledTree | None]:
        """Expressions decoded from z of the prior, at most as deep as the data."""
        model, depth = trained.model(), trained.source().max_depth
        return sample_trees(model, trained.words, count, max_depth=depth, seed=seed, **options)
