"""A generative model of sentences: the recurrent variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    Loader,
    TextCorpus,
    Vocabulary,
    language_model_dataset,
    load_ptb,
)
from cavs.errors import InputError
from cavs.models import SentenceVAE
from cavs.nn.distributions import Normal
from cavs.training.arrays import Arrays, check_state
from cavs.training.bounds import (
    divergence_from_prior,
    posterior_at_roots,
    risen,
    sample_of,
)
from cavs.training.config import EMBEDDING_AS_THE_REST, TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import ID, Contract, FunctionContract, Pull
from cavs.training.metrics import Batches, finite_total, judging, placed, total
from cavs.training.options import Number, Option, with_defaults
from cavs.training.sampling import decode_sentences, sample_sentences
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._embedding import EmbedsWords, vectors_option, with_vectors
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    LATENT_ATTRIBUTES,
    WORD_SAMPLING_OPTIONS,
    divergence_options,
    size_option,
    text_option,
)
from cavs.training.tasks._source import check_source
from cavs.training.tasks._task import BuiltInModel, check_end

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

EVALUATION_BATCH_SIZE = 100
_STEPS = 5  # on the way from one sentence to another


@dataclass(frozen=True)
class SentenceSource:
    """The source of sentences, and the settings that keep the decoder from ignoring z (Bowman et
    al. 2016, section 3.1).

    Attributes:
        path: the path of a folder with train.txt, valid.txt and test.txt, one sentence on a line.
        word_dropout: share of the words that the decoder does not see in training.
        kl_weight: the final weight of the divergence from the prior.
        kl_steps: the number of steps in which the weight rises linearly from 0.
    """

    path: str
    word_dropout: float = 0.25
    kl_weight: float = 1.0
    kl_steps: int = 5_000

    def __post_init__(self) -> None:
        check_source(self)
        if not 0 <= self.word_dropout <= 1:
            raise InputError(
                f"[train] expected word_dropout in [0, 1], got {self.word_dropout}; pass such a "
                "number"
            )
        if self.kl_weight < 0 or self.kl_steps < 0:
            raise InputError(
                f"[train] expected kl_weight and kl_steps of at least 0, got {self.kl_weight} and "
                f"{self.kl_steps}; raise them"
            )

    def load(self) -> TextCorpus:
        """The sentences; `DataError` names the missing or malformed file."""
        return load_ptb(self.path)

    @property
    def name(self) -> str:
        """A short name."""
        return Path(self.path).resolve().name or "text"

    def to_dict(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return asdict(self)


class SentenceBound:
    """The evidence lower bound of a sentence, with one sample; epochs are judged by it, in nats a
    sentence."""

    best, greater = "nats", False
    pushed: str | None = None

    def __init__(self, source: SentenceSource) -> None:
        self._source = source

    def posterior(
        self, program: cavs.Program, batch: cavs.GraphBatch, inputs: Mapping[str, Any]
    ) -> Normal:
        """q(z | sentence) of each sentence. The encoder reads the labels, the next words, so the
        last one is ``<eos>``."""
        h = program["encoder"](batch, word=inputs["label"])["h"]
        return posterior_at_roots(program, batch, h)

    def _parts(
        self,
        program: cavs.Program,
        batch: cavs.GraphBatch,
        inputs: Mapping[str, Any],
        word_dropout: float,
    ) -> tuple[cavs.Tensor, cavs.Tensor]:
        """-log p of the words given a sample of q, and the divergence by graph."""
        state = program.random_state()
        posterior = self.posterior(program, batch, inputs)
        generator = cavs.Generator(state["seed"])
        generator.step = 2 * state["encoder.step"]
        z = sample_of(posterior, generator, batch)
        given = dict(inputs)
        if word_dropout:
            given["word"] = np.where(
                _kept(generator, batch, word_dropout), inputs["word"], np.int32(-1)
            )
        out = program["decoder"](batch, z=z, **given)
        divergence = divergence_from_prior(posterior)
        return out["loss"], divergence

    def loss(
        self, model: Any, batch: cavs.GraphBatch, inputs: Mapping[str, Any]
    ) -> tuple[cavs.Tensor, float]:
        """See `Objective`."""
        step = model.random_state()["encoder.step"]
        nats, divergence = self._parts(model, batch, inputs, self._source.word_dropout)
        weight = risen(step, self._source.kl_steps, self._source.kl_weight)
        value = nats.sum() + divergence.sum() * weight
        return value, total(nats) + total(divergence)

    def evaluate(
        self, model: Any, batches: Batches, should_stop: Callable[[], bool]
    ) -> dict[str, float] | None:
        """See `Objective`; the perplexity is a bound, e to the power of the nats per word."""
        nats = divergence = 0.0
        words = graphs = 0
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    loss, kl = self._parts(model, batch, inputs, 0.0)
                    nats += finite_total(loss, "loss")
                    divergence += finite_total(kl, "kl")
                words += batch.num_vertices
                graphs += batch.num_graphs
        bound = nats + divergence
        return {
            "nats": bound / max(graphs, 1),
            "kl": divergence / max(graphs, 1),
            "perplexity": math.exp(min(bound / max(words, 1), 700.0)),
        }

    def describe(self, scores: Mapping[str, float]) -> str:
        """See `Objective`."""
        return (
            f"nats {scores['nats']:7.2f}  KL {scores['kl']:6.2f}  "
            f"perplexity below {scores['perplexity']:7.2f}"
        )

    def arrays(self) -> Arrays:
        """See `Objective`."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """See `Objective`."""
        check_state(arrays, {})


def _kept(generator: cavs.Generator, batch: cavs.GraphBatch, word_dropout: float) -> Any:
    """Whether the word of each vertex is seen, drawn by the graph's key and the place in the
    graph."""
    sizes = np.diff(batch.ptr)
    place = np.arange(batch.num_vertices) - np.repeat(batch.ptr[:-1], sizes)
    keys = np.repeat(batch.keys, sizes)
    return generator.uniform(batch.num_vertices, "float64", keys, place).data >= word_dropout


class SentenceTask(EmbedsWords, Samples):
    """Learns to encode and to generate sentences."""

    task_name, unit, source_type = "sentences", "sentences", SentenceSource
    models = (
        BuiltInModel(
            "sentence-vae",
            "recurrent variational autoencoder of sentences",
            SentenceVAE,
            Contract(
                {
                    "encoder": FunctionContract({"word": ID}, {"h": (None,)}),
                    "decoder": FunctionContract(
                        {"word": ID, "label": ID, "z": Pull("graph", "float", ("latent_size",))},
                        {"loss": (), "logits": ("vocab_size",)},
                    ),
                },
                LATENT_ATTRIBUTES,
            ),
        ),
    )
    own_options = (
        text_option(),
        Option(
            "word_dropout",
            Number(0),
            SentenceSource.word_dropout,
            "share of the words that the decoder does not see",
            group="data",
        ),
        *divergence_options(SentenceSource),
        size_option("embedding_size", 200),
        size_option("hidden_size", 200),
        size_option("latent_size", 16),
        vectors_option(),
    )
    training_options = with_defaults(
        (*TRAINING_OPTIONS, *EMBEDDING_AS_THE_REST),
        {
            "epochs": 10,
            "batch_size": 32,
            "optimizer": "adam",
            "lr": 0.001,
            "lr_schedule": "linear",
            "weight_decay": 0.0,
            "clip_norm": 5.0,
            "patience": 0,
        },
    )
    evaluation_options = (BATCH_SIZE_OPTION,)
    sampling_options = WORD_SAMPLING_OPTIONS
    kind = "text"

    @classmethod
    def create(
        cls,
        name: str,
        source: SentenceSource,
        *,
        vectors: str | None = None,
        progress: bool = False,
        **sizes: Any,
    ) -> SentenceTask:
        """A new task; `sizes` are ``embedding_size``, ``hidden_size`` and ``latent_size``;
        `vectors` is a file of word vectors that the embedding begins with, and which give it its
        size, and `progress` shows a bar while they are read.

        Raises:
            DataError: names the missing or malformed file.
        """
        corpus = source.load()
        vocabulary = corpus.vocabulary()
        task = cls(name, {"vocab_size": len(vocabulary), **sizes}, vocabulary, source, corpus)
        if vectors is not None:
            _, found = with_vectors(vectors, vocabulary, progress=progress)
            task.begin_with_vectors(vectors, found)
        return task

    @classmethod
    def check_fit(cls, arguments: Mapping[str, Any], vocabulary: Vocabulary | None) -> None:
        """See `Task`; checks also that the vocabulary has an end of sentences."""
        super().check_fit(arguments, vocabulary)
        check_end(vocabulary)

    def make_objective(self) -> SentenceBound:
        """See `Task`."""
        return SentenceBound(self.source)

    def train_set(self, config: TrainingConfig) -> Dataset:
        """See `Task`."""
        return language_model_dataset(self.split("train"), self.words)

    def batches(self, split: str, batch_size: int | None = None) -> Loader:
        """See `Task`."""
        dataset = language_model_dataset(self.split(split), self.words)
        return Loader(dataset, EVALUATION_BATCH_SIZE if batch_size is None else batch_size)

    def examples(self, model: Any) -> list[str]:
        """See `Task`: sentences on the way from one test sentence to the next."""
        return self.interpolations(model) if len(self.split("test")) > 1 else []

    def interpolations(self, program: cavs.Program, first: int = 0, second: int = 1) -> list[str]:
        """Two test sentences, and the sentences that the decoder makes of points between the means
        of their q, in even steps."""
        sentences = [self.split("test")[first], self.split("test")[second]]
        batch, inputs = language_model_dataset(sentences, self.words).batch([0, 1])
        with judging(program):
            mean = SentenceBound(self.source).posterior(program, batch, inputs).mean.numpy()
            way = np.linspace(0, 1, _STEPS)[:, None]
            made = decode_sentences(program, self.words, (1 - way) * mean[0] + way * mean[1])
        return [" ".join(words) for words in (sentences[0], *made, sentences[1])]

    @classmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> list[list[str]]:
        """Sentences decoded from z of the prior, with their words drawn too."""
        drawn = {"temperature": 1.0, **options}
        return sample_sentences(trained.model(), trained.words, count, seed=seed, **drawn)
