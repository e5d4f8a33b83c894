"""A generative model of sentences: the recurrent variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    TextCorpus,
    language_model_dataset,
    load_ptb,
)
from cavs.models import SentenceVAE
from cavs.training.bounds import LatentBound
from cavs.training.contract import ID, Contract, FunctionContract, Pull
from cavs.training.metrics import finite_total, judging, placed
from cavs.training.objective import Batches, Inputs, Judged, ShouldStop
from cavs.training.options import with_defaults
from cavs.training.sampling import decode_sentences, sample_sentences
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._embedding import EmbedsWords, vectors_option, with_vectors
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    LATENT_ATTRIBUTES,
    WITH_EMBEDDING,
    WORD_SAMPLING_OPTIONS,
    divergence_options,
    size_option,
    source_option,
    text_option,
)
from cavs.training.tasks._source import DIVERGENCE_RANGES, Ranges, Source
from cavs.training.tasks._task import BuiltInModel, SameInputs

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_STEPS = 5  # on the way from one sentence to another


@dataclass(frozen=True)
class SentenceSource(Source):
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

    ranges: ClassVar[Ranges] = {"word_dropout": (0, 1), **DIVERGENCE_RANGES}

    def load(self) -> TextCorpus:
        return load_ptb(self.path)


class SentenceBound(LatentBound):
    """The evidence lower bound of a sentence, with one sample; epochs are judged by it, in nats a
    sentence."""

    draws = 2

    def __init__(self, source: SentenceSource) -> None:
        super().__init__(source.kl_weight, source.kl_steps)
        self._word_dropout = source.word_dropout

    def encoded(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"word": inputs["label"]}  # the next words, so that the last one is ``<eos>``

    def hide(self, batch: cavs.GraphBatch, inputs: Inputs, generator: cavs.Generator) -> Inputs:
        if not self._word_dropout:
            return inputs
        # Drawn by the graph's key and the place in the graph.
        sizes = np.diff(batch.ptr)
        place = np.arange(batch.num_vertices) - np.repeat(batch.ptr[:-1], sizes)
        keys = np.repeat(batch.keys, sizes)
        kept = generator.uniform(batch.num_vertices, "float64", keys, place).data
        word = np.where(kept >= self._word_dropout, inputs["word"], np.int32(-1))
        return {**inputs, "word": word}

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        """See `Objective`; the perplexity is a bound, e to the power of the nats per word."""
        nats = divergence = 0.0
        words = graphs = 0
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    loss, kl, _ = self.parts(model, batch, inputs)
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
        return (
            f"nats {scores['nats']:7.2f}  KL {scores['kl']:6.2f}  "
            f"perplexity below {scores['perplexity']:7.2f}"
        )


class SentenceTask(EmbedsWords, SameInputs, Samples):
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
        source_option(
            SentenceSource, "word_dropout", "share of the words that the decoder does not see"
        ),
        *divergence_options(SentenceSource),
        size_option("embedding_size", 200),
        size_option("hidden_size", 200),
        size_option("latent_size", 16),
        vectors_option(),
    )
    training_options = with_defaults(
        WITH_EMBEDDING,
        {**FALLING_ADAM, "epochs": 10, "batch_size": 32, "lr": 0.001, "clip_norm": 5.0},
    )
    evaluation_options = (BATCH_SIZE_OPTION,)
    evaluation_batch_size = 100
    sampling_options = WORD_SAMPLING_OPTIONS
    kind, needs_end = "text", True

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
        vocabulary, found = with_vectors(vectors, corpus.vocabulary(), progress=progress)
        task = cls(name, {"vocab_size": len(vocabulary), **sizes}, vocabulary, source, corpus)
        task.begin_with_vectors(vectors, found)
        return task

    def make_objective(self) -> SentenceBound:
        return SentenceBound(self.source)

    def dataset(self, split: str) -> Dataset:
        return language_model_dataset(self.split(split), self.words)

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
