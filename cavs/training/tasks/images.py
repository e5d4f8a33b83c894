"""Autoencoders of binary images: VAE and IWAE."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs.data import Dataset, ImageCorpus, Loader, Vocabulary, image_dataset, load_binarized_mnist
from cavs.errors import DataError, InputError
from cavs.models import VAE
from cavs.nn.estimators import importance_weighted_bound
from cavs.training.checkpoint import Arrays
from cavs.training.config import TrainingConfig
from cavs.training.metrics import Batches, check_finite
from cavs.training.tasks._task import Task

VAE_MODELS: dict[str, type[cavs.VertexFunction]] = {"vae": VAE, "iwae": VAE}
_SAMPLES_IN_BATCH = 5_000


@dataclass(frozen=True)
class ImageSource:
    """Where images come from, and how many samples of the latent variable each gets.

    Attributes:
        path: of a file that `load_binarized_mnist` reads.
        samples: in training; more than one make an IWAE.
        dev_samples: when an epoch is judged.
        test_samples: for the log-likelihood of test images.
        test_images: how many of these, from the first on.
    """

    path: str
    samples: int = 1
    dev_samples: int = 50
    test_samples: int = 5_000
    test_images: int = 1_000

    def __post_init__(self) -> None:
        for name in ("samples", "dev_samples", "test_samples", "test_images"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"[train] {name} of at least 1 was expected, came ({getattr(self, name)})"
                )

    def load(self) -> ImageCorpus:
        """The images; `DataError` names what is missing or malformed."""
        return load_binarized_mnist(self.path)

    @property
    def name(self) -> str:
        """A short name."""
        return Path(self.path).stem

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


class Bound:
    """The importance-weighted bound of as many samples as a graph has vertices, which with one is
    the evidence lower bound; judged by the bound in nats, as negative log-likelihood."""

    best, greater = "nll", False

    def loss(
        self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Mapping[str, Any], when: str
    ) -> tuple[cavs.Tensor, float]:
        """See `Objective`."""
        out = model(batch, **inputs)
        check_finite({"log_weight": out["log_weight"]}, when)
        loss = -importance_weighted_bound(_by_graph(out["log_weight"], batch)).sum()
        return loss, float(loss.item())

    def evaluate(
        self, model: cavs.Model, batches: Batches, should_stop: Callable[[], bool]
    ) -> dict[str, float] | None:
        """See `Objective`; ``elbo`` is the mean over samples. A graph in several batches, under one
        key, is one whose samples they share."""
        weights: dict[int, list[Any]] = {}
        model.eval()
        for number, (batch, inputs) in enumerate(batches):
            if should_stop():
                return None
            with cavs.no_grad():
                log_weight = model(batch, **inputs)["log_weight"]
            check_finite({"log_weight": log_weight}, f"batch {number} of an evaluation")
            for key, row in zip(
                batch.keys.tolist(), _by_graph(log_weight, batch).data, strict=True
            ):
                weights.setdefault(key, []).append(row)
        bounds = [_log_mean(np.concatenate(rows)) for rows in weights.values()]
        means = [
            float(np.mean(np.concatenate(rows), dtype=np.float64)) for rows in weights.values()
        ]
        return {"nll": -float(np.mean(bounds)), "elbo": float(np.mean(means))}

    def describe(self, scores: Mapping[str, float]) -> str:
        """See `Objective`."""
        return f"-log p {scores['nll']:7.3f}  ELBO {scores['elbo']:8.3f}"

    def arrays(self) -> Arrays:
        """See `Objective`."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """See `Objective`."""


def _by_graph(log_weight: cavs.Tensor, batch: cavs.GraphBatch) -> Any:
    return log_weight.reshape(batch.num_graphs, -1)


def _log_mean(log_weights: Any) -> float:
    values = log_weights.astype(np.float64)
    top = values.max()
    return float(top + math.log(np.exp(values - top).mean()))


class Repeated:
    """Batches whose graphs come again and again, so that each gets `times` times its vertices as
    samples; the random state goes on between."""

    def __init__(self, loader: Loader, times: int) -> None:
        self._loader, self._times = loader, times

    def __iter__(self) -> Any:
        for batch in self._loader:
            for _ in range(self._times):
                yield batch


class ImageTask(Task):
    """Learns a density of binary images."""

    unit = "images"
    outputs = ("log_weight",)

    def __init__(
        self, name: str, arguments: Mapping[str, Any], source: ImageSource, corpus: ImageCorpus
    ) -> None:
        self.name, self.arguments, self.vocabulary = name, dict(arguments), None
        self.source: ImageSource = source
        self.objective = Bound()
        self._corpus = corpus

    @classmethod
    def create(cls, name: str, source: ImageSource, **sizes: Any) -> ImageTask:
        """A new task; `sizes` are ``hidden_size`` and ``latent_size``. Raises `DataError`."""
        corpus = source.load()
        return cls(name, {"image_size": corpus.height * corpus.width, **sizes}, source, corpus)

    @classmethod
    def restore(
        cls,
        name: str,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        source: Mapping[str, Any],
    ) -> ImageTask:
        """See `Task`."""
        images = ImageSource(**source)
        return cls(name, arguments, images, images.load())

    @property
    def sizes(self) -> dict[str, int]:
        """See `Task`."""
        return {split: len(getattr(self._corpus, split)) for split in ("train", "dev", "test")}

    def make_function(self) -> cavs.VertexFunction:
        """See `Task`."""
        function = VAE(**self.arguments)
        function.set_pixel_means(self._corpus.train.mean(axis=0))
        return function

    def check(self, function: cavs.VertexFunction) -> None:
        """See `Task`."""
        pixels, size = self._corpus.train.shape[1], self.arguments["image_size"]
        if pixels != size:
            raise DataError(
                f"[data] {self.source.path}: images of {size} pixels, as the model has, were "
                f"expected, came {pixels}"
            )

    def train_set(self, config: TrainingConfig) -> Dataset:
        """See `Task`."""
        return image_dataset(self._corpus.train, self.source.samples)

    def batches(self, split: str) -> Batches:
        """See `Task`."""
        if split == "dev":
            dataset = image_dataset(self._corpus.dev, self.source.dev_samples)
            return Loader(dataset, max(1, _SAMPLES_IN_BATCH // self.source.dev_samples))
        at_once = math.gcd(self.source.test_samples, 50)
        dataset = image_dataset(self._corpus.test[: self.source.test_images], at_once)
        loader = Loader(dataset, max(1, _SAMPLES_IN_BATCH // at_once))
        return Repeated(loader, self.source.test_samples // at_once)
