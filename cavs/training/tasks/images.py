"""Generative models of binary images: VAE, IWAE, and sigmoid belief networks."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs.data import Dataset, ImageCorpus, Loader, image_dataset, load_binarized_mnist
from cavs.errors import DataError, InputError
from cavs.models import VAE, SigmoidBeliefNetwork
from cavs.training.bounds import Bound, Nvil, Vimco, WakeSleep
from cavs.training.config import TrainingConfig
from cavs.training.metrics import Batches
from cavs.training.tasks._task import MOST_SAMPLES, Task, check_ranges, check_source

IMAGE_MODELS: dict[str, type[VAE] | type[SigmoidBeliefNetwork]] = {
    "vae": VAE,
    "iwae": VAE,
    "sbn": SigmoidBeliefNetwork,
}
ESTIMATORS: dict[str, type[Bound]] = {"nvil": Nvil, "vimco": Vimco, "wake-sleep": WakeSleep}
_SAMPLES_IN_BATCH = 5_000


@dataclass(frozen=True)
class ImageSource:
    """Where images come from, and how many samples of the latent variable each gets.

    Attributes:
        path: of a file that `load_binarized_mnist` reads.
        samples: in training; more than one make an IWAE.
        dev_samples: when an epoch is judged.
        test_samples: for the log-likelihood of test images.
        test_images: how many of these, evenly spaced: the set may be sorted by what is shown.
        estimator: of the gradient where samples are discrete, one of `ESTIMATORS`; None where it
            flows through them.
        with_dev: train on the development images too, by which epochs are then not fairly judged.
    """

    path: str
    samples: int = 1
    dev_samples: int = 50
    test_samples: int = 5_000
    test_images: int = 1_000
    estimator: str | None = None
    with_dev: bool = False

    def __post_init__(self) -> None:
        check_source(self)
        names = ("samples", "dev_samples", "test_samples", "test_images")
        for name in names:
            if getattr(self, name) < 1:
                raise InputError(
                    f"[train] expected {name} of at least 1, got {getattr(self, name)}; raise it"
                )
        check_ranges(self, dict.fromkeys(names, (1, MOST_SAMPLES)))
        if self.estimator is not None and self.estimator not in ESTIMATORS:
            raise InputError(
                f"[train] expected one of the estimators {', '.join(ESTIMATORS)}, got "
                f"{self.estimator!r}; choose one of these"
            )
        if self.estimator == "vimco" and self.samples < 2:
            raise InputError("[train] expected 2 samples or more for vimco, got 1; draw more")

    def load(self) -> ImageCorpus:
        """The images; `DataError` names what is missing or malformed."""
        corpus = load_binarized_mnist(self.path)
        if self.with_dev:
            return replace(corpus, train=np.concatenate([corpus.train, corpus.dev]))
        return corpus

    @property
    def name(self) -> str:
        """A short name."""
        return Path(self.path).stem

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


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

    unit, source_type = "images", ImageSource
    sizes_read = ("image_size",)

    @classmethod
    def create(cls, name: str, source: ImageSource, **sizes: Any) -> ImageTask:
        """A new task; `sizes` are ``hidden_size`` and, of autoencoders, ``latent_size`` and
        ``dropout``. Raises `DataError`."""
        corpus = source.load()
        arguments = {"image_size": corpus.height * corpus.width, **sizes}
        return cls(name, arguments, None, source, corpus)

    def make_objective(self) -> Bound:
        """See `Task`."""
        estimator = self.source.estimator
        if estimator is None:
            self.outputs = ("log_weight",)
        return ESTIMATORS[estimator]() if estimator else Bound()

    def make_function(self) -> cavs.VertexFunction:
        """See `Task`."""
        function = IMAGE_MODELS[self.name](**self.arguments)
        function.set_pixel_means(self.split("train").mean(axis=0))
        return function

    def check(self, function: cavs.VertexFunction) -> None:
        """See `Task`."""
        pixels, size = self.split("train").shape[1], self.arguments["image_size"]
        if pixels != size:
            raise DataError(
                f"[data] {self.source.path}: expected images of {size} pixels, as the model has, "
                f"got {pixels}; name the data that it was trained on"
            )

    def train_set(self, config: TrainingConfig) -> Dataset:
        """See `Task`."""
        return image_dataset(self.split("train"), self.source.samples)

    def batches(self, split: str) -> Batches:
        """See `Task`."""
        if split == "dev":
            dataset = image_dataset(self.split("dev"), self.source.dev_samples)
            return Loader(dataset, max(1, _SAMPLES_IN_BATCH // self.source.dev_samples))
        at_once = math.gcd(self.source.test_samples, 50)
        test = self.split("test")
        count = min(self.source.test_images, len(test))
        dataset = image_dataset(test[np.arange(count) * len(test) // max(count, 1)], at_once)
        loader = Loader(dataset, max(1, _SAMPLES_IN_BATCH // at_once))
        return Repeated(loader, self.source.test_samples // at_once)
