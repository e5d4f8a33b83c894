"""Generative models of binary images: VAE, IWAE, and sigmoid belief networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import cavs
from cavs.data import Dataset, Loader, image_dataset
from cavs.errors import InputError
from cavs.models import VAE, SBNDream, SigmoidBeliefNetwork, VAESampler
from cavs.training.bounds import Bound, Nvil, ReweightedWakeSleep, Vimco, WakeSleep
from cavs.training.config import TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Contract, FunctionContract, Pull, check_attributes, is_size
from cavs.training.objective import Batches
from cavs.training.options import Choice, Integer, Number, Option, with_defaults
from cavs.training.sampling import draw_images
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._images import IMAGE_OPTIONS, ImageSplits, ReadsImages
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    size_option,
    source_option,
)
from cavs.training.tasks._source import MOST_SAMPLES
from cavs.training.tasks._task import BuiltInModel
from cavs.training.user_model import said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_REWEIGHTED, _UPDATES = "reweighted-wake-sleep", ("both", "wake", "sleep")
ESTIMATORS: dict[str, Callable[[ImageSource], Bound]] = {
    "nvil": lambda _: Nvil(),
    "vimco": lambda _: Vimco(),
    "wake-sleep": lambda _: WakeSleep(),
    _REWEIGHTED: lambda source: ReweightedWakeSleep(source.q_update),
}
_SAMPLES_IN_BATCH, _MOST_LAYERS = 5_000, 10


@dataclass(frozen=True)
class ImageSource(ImageSplits):
    """As `ImageSplits`, and the number of samples of the latent variable for each.

    Attributes:
        samples: number of samples in training; more than one make an IWAE.
        dev_samples: number of samples when an epoch is judged.
        test_samples: number of samples for the log-likelihood of test images.
        test_images: number of test images, evenly spaced: the set may be sorted by content.
        estimator: the estimator of the gradient for discrete samples, one of `ESTIMATORS`; None if
            the gradient flows through the samples.
        q_update: what the recognition network learns from in reweighted wake-sleep: ``wake``,
            ``sleep`` or ``both``.
    """

    samples: int = 1
    dev_samples: int = 50
    test_samples: int = 5_000
    test_images: int = 1_000
    estimator: str | None = None
    q_update: str = "both"

    ranges = dict.fromkeys(
        ("samples", "dev_samples", "test_samples", "test_images"), (1, MOST_SAMPLES)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimator is not None and self.estimator not in ESTIMATORS:
            raise InputError(
                f"[train] expected one of the estimators {', '.join(ESTIMATORS)}, got "
                f"{self.estimator!r}; choose one of these"
            )
        if self.q_update not in _UPDATES:
            raise InputError(
                f"[train] expected {', '.join(_UPDATES)} as q_update, got {self.q_update!r}; pass "
                "one"
            )
        if self.estimator == "vimco" and self.samples < 2:
            raise InputError(
                "[train] expected 2 samples or more for vimco, got 1; raise --samples, or choose "
                "another --estimator"
            )


class Repeated:
    """Batches of which each comes `times` times, so that each graph gets `times` samples for each
    vertex; the random state goes on in between."""

    def __init__(self, loader: Loader, times: int) -> None:
        self._loader, self._times = loader, times

    def __iter__(self) -> Any:
        for batch in self._loader:
            for _ in range(self._times):
                yield batch


_IMAGE = {"image": Pull("graph", "float", ("image_size",))}
_VAE = Contract(
    {"": FunctionContract(_IMAGE, {"log_weight": ()}, ("logits",))},
    to_sample={
        "latent_size": ("the size of z", is_size),
        "decode": ("a method that makes logits of the pixels of z", callable),
    },
)
_SBN = Contract(
    {
        "": FunctionContract(
            _IMAGE, dict.fromkeys(("log_joint", "log_q", "log_weight", "baseline"), ())
        )
    },
    to_sample={
        "hidden_size": ("the number of hidden bits", is_size),
        "prior": (
            "a Parameter, the logits of the hidden bits,",
            lambda value: isinstance(value, cavs.nn.Parameter),
        ),
        "pixels": ("a layer that makes logits of the pixels of hidden bits", callable),
        "recognition": ("a layer that makes logits of the hidden bits of pixels", callable),
    },
)
_SAMPLERS: dict[Any, Any] = {VAE: VAESampler, SigmoidBeliefNetwork: SBNDream}
_COUNTS = (
    source_option(ImageSource, "dev_samples", "samples when an epoch is judged"),
    source_option(ImageSource, "test_samples", "samples for the log-likelihood of a test image"),
    source_option(ImageSource, "test_images", "test images, evenly spaced"),
)


class ImageTask(ReadsImages, Samples):
    """Learns a density of binary images."""

    task_name, source_type = "images", ImageSource
    models = (
        BuiltInModel(
            "vae",
            "variational autoencoder of binary images",
            VAE,
            _VAE,
            lacks=("estimator", "q_update", "samples", "layers"),
        ),
        BuiltInModel(
            "iwae",
            "importance-weighted autoencoder of binary images",
            VAE,
            _VAE,
            {"samples": 50},
            lacks=("estimator", "q_update", "layers"),
        ),
        BuiltInModel(
            "sbn",
            "sigmoid belief network of binary images",
            SigmoidBeliefNetwork,
            _SBN,
            {"samples": 5, "estimator": "vimco"},
            lacks=("latent_size", "dropout", "flows", "stochastic_layers"),
        ),
    )
    own_options = (
        *IMAGE_OPTIONS,
        Option("estimator", Choice(tuple(ESTIMATORS)), None, "of the gradient", group="data"),
        Option(
            "q_update",
            Choice(_UPDATES),
            "both",
            "of the recognition network: by weighted samples of itself, by dreams, or by both",
            group="data",
            needs=("estimator", _REWEIGHTED),
        ),
        source_option(ImageSource, "samples", "of the latent variable, in training"),
        *_COUNTS,
        size_option("hidden_size", 200),
        size_option("latent_size", 50),
        Option("dropout", Number(0, 1), 0.0, "of the pixels that the encoder sees", "P", "model"),
        Option(
            "flows", Integer(0), meaning="planar flows of the posterior", group="model", said="0"
        ),
        Option(
            "stochastic_layers",
            Integer(1, _MOST_LAYERS),
            meaning="of latent variables; sizes halve from each to the one above, of latent_size",
            group="model",
            said="1",
        ),
        Option(
            "layers",
            Integer(1, _MOST_LAYERS),
            meaning="of hidden bits, hidden_size each",
            group="model",
            said="1",
        ),
    )
    training_options = with_defaults(
        TRAINING_OPTIONS,
        {**FALLING_ADAM, "epochs": 100, "batch_size": 100, "lr": 0.001},
    )
    evaluation_options = (
        BATCH_SIZE_OPTION,
        *(
            replace(option, meaning=meaning, only="images", said="as in training")
            for option, meaning in zip(
                _COUNTS[1:],
                (
                    "samples of each test image, of a model of images",
                    "test images, of a model of images",
                ),
                strict=True,
            )
        ),
    )
    kind = "images"

    @classmethod
    def create(cls, name: str, source: ImageSource, **sizes: Any) -> ImageTask:
        """A new task; `sizes` are ``hidden_size`` and, of autoencoders, ``latent_size``,
        ``dropout``, ``flows`` and ``stochastic_layers``, of belief networks ``layers``. Raises
        `DataError`."""
        return cls.of_images(name, source, sizes)

    def make_objective(self) -> Bound:
        estimator = self.source.estimator
        if estimator is None:
            self.outputs = ("log_weight",)
        return ESTIMATORS[estimator](self.source) if estimator else Bound()

    def check(self, function: cavs.VertexFunction) -> None:
        super().check(function)
        if self.user is not None and isinstance(self.objective, WakeSleep):
            check_attributes(function, self.user, self.built_in.contract.to_sample)

    def reasons_without_gradient(self, names: Sequence[str]) -> dict[str, str]:
        """See `Task`: the baseline of a sigmoid belief network."""
        own = self.user is None and self.built_in.make is SigmoidBeliefNetwork
        if not own or self.source.estimator == "nvil":
            return {}
        reason = f"it is for --estimator nvil, and {self.source.estimator} needs no baseline"
        return {name: reason for name in names if name.startswith("baseline")}

    def train_set(self, config: TrainingConfig) -> Dataset:
        return image_dataset(self.split("train"), self.source.samples)

    def batches(self, split: str, batch_size: int | None = None) -> Batches:

        def loader(dataset: Dataset, samples: int) -> Loader:
            size = max(1, _SAMPLES_IN_BATCH // samples) if batch_size is None else batch_size
            return Loader(dataset, size)

        if split == "dev":
            samples = self.source.dev_samples
            return loader(image_dataset(self.split("dev"), samples), samples)
        at_once = math.gcd(self.source.test_samples, 50)
        test = self.split("test")
        count = min(self.source.test_images, len(test))
        dataset = image_dataset(test[np.arange(count) * len(test) // max(count, 1)], at_once)
        return Repeated(loader(dataset, at_once), self.source.test_samples // at_once)

    @classmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> Any:
        """Probabilities of pixels, (count, image_size)."""
        function, user = trained.model().function, trained.user
        model = cls.model_of(trained.checkpoint.model if user is None else user.task)
        if user is not None:
            check_attributes(function, user, model.contract.to_sample)
        with said_of(user, "what samples are made of"):
            return draw_images(_SAMPLERS[model.make](function), count, seed)
