"""Boltzmann machines of binary images: RBMs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cavs
from cavs.data import Dataset, ImageCorpus, Loader, image_dataset, load_binarized_mnist
from cavs.errors import DataError
from cavs.models import RBM
from cavs.training.annealing import draw_rbm
from cavs.training.config import TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Attributes, Contract, FunctionContract, Pull, is_size
from cavs.training.energies import ContrastiveDivergence, Judging, PersistentDivergence
from cavs.training.options import Flag, Integer, Option, with_defaults
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    data_option,
    size_option,
    source_option,
)
from cavs.training.tasks._source import MOST_SAMPLES, Ranges, Source
from cavs.training.tasks._task import BuiltInModel, Task
from cavs.training.user_model import said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_IMAGES_IN_BATCH = 1000


@dataclass(frozen=True)
class BoltzmannSource(Source):
    """The source of images, and how an RBM is trained and judged.

    Attributes:
        path: the path of a file that `load_binarized_mnist` reads.
        k: steps of Gibbs sampling in a step of training.
        persistent: whether the chains go on from one step of training to the next.
        chains: number of persistent chains.
        dev_temperatures: inverse temperatures of annealed importance sampling, by which an epoch is
            judged.
        test_temperatures: the same for test images.
        test_chains: chains of annealed importance sampling.
    """

    path: str
    k: int = 1
    persistent: bool = False
    chains: int = 100
    dev_temperatures: int = 1000
    test_temperatures: int = 10_000
    test_chains: int = 100

    ranges: ClassVar[Ranges] = dict.fromkeys(
        ("k", "chains", "dev_temperatures", "test_temperatures", "test_chains"), (1, MOST_SAMPLES)
    )

    def load(self) -> ImageCorpus:
        return load_binarized_mnist(self.path)

    @property
    def name(self) -> str:
        """A short name, that of the file."""
        return Path(self.path).stem


_COUNTS = (
    source_option(
        BoltzmannSource,
        "test_temperatures",
        "of annealed importance sampling, by which log Z of a Boltzmann machine is estimated",
    ),
    source_option(BoltzmannSource, "test_chains", "of annealed importance sampling"),
)
_ATTRIBUTES: Attributes = {
    "image_size": ("the size of an image", is_size),
    "hidden_size": ("the number of hidden bits", is_size),
    "visible_bias": (
        "a Parameter, b,",
        lambda value: isinstance(value, cavs.nn.Parameter),
    ),
    "hidden": ("a method that makes logits of the hidden bits of an image", callable),
    "visible": ("a method that makes logits of the pixels of hidden bits", callable),
    "free_energy": ("a method that makes the free energy of an image", callable),
    "gibbs": ("a method that makes an image by steps of Gibbs sampling", callable),
}


class BoltzmannTask(Task, Samples):
    """Learns a density of binary images that is known up to its sum."""

    task_name, unit, source_type = "boltzmann", "images", BoltzmannSource
    models = (
        BuiltInModel(
            "rbm",
            "restricted Boltzmann machine of binary images",
            RBM,
            Contract(
                {
                    "": FunctionContract(
                        {"image": Pull("vertex", "float", ("image_size",))},
                        {"free_energy": (), "loss": ()},
                    )
                },
                _ATTRIBUTES,
            ),
        ),
    )
    own_options = (
        data_option(
            "binarised MNIST: an .npz file with train, valid and test, pixels packed into bits",
            "FILE",
        ),
        source_option(BoltzmannSource, "k", "steps of Gibbs sampling in a step of training"),
        Option(
            "persistent",
            Flag(),
            False,
            "chains go on from one step of training to the next, in place of from the images",
            group="data",
        ),
        replace(
            source_option(BoltzmannSource, "chains", "that go on"),
            needs=("persistent", True),
        ),
        source_option(
            BoltzmannSource, "dev_temperatures", "the same when an epoch is judged, of 100 chains"
        ),
        *_COUNTS,
        size_option("hidden_size", 500),
    )
    training_options = with_defaults(
        TRAINING_OPTIONS,
        {
            "optimizer": "sgd",
            "momentum": 0.5,
            "lr": 0.05,
            "lr_schedule": "linear",
            "weight_decay": 0.0,
            "patience": 0,
            "epochs": 50,
            "batch_size": 100,
        },
    )
    evaluation_options = (
        BATCH_SIZE_OPTION,
        *(replace(option, only="Boltzmann machines", said="as in training") for option in _COUNTS),
    )
    sampling_options = (
        Option(
            "steps",
            Integer(1, MOST_SAMPLES),
            1000,
            "of Gibbs sampling, by which chains go from independent pixels to the model",
            only="Boltzmann machines",
        ),
    )
    kind, has_words = "images", False
    sizes_read = ("image_size", "steps")
    evaluation_batch_size = _IMAGES_IN_BATCH
    source: BoltzmannSource

    @classmethod
    def create(cls, name: str, source: BoltzmannSource, **sizes: Any) -> BoltzmannTask:
        """A new task; `sizes` are ``hidden_size``. Raises `DataError`."""
        corpus = source.load()
        arguments = {"image_size": corpus.height * corpus.width, "steps": source.k, **sizes}
        return cls(name, arguments, None, source, corpus)

    def make_objective(self) -> ContrastiveDivergence:
        source = self.source
        if not source.persistent:
            return ContrastiveDivergence()
        self.outputs = ("free_energy",)
        return PersistentDivergence(source.chains, source.k, self.arguments["image_size"])

    def initialize(self, function: Any) -> None:
        """See `Task`; a user's model may lack the method for it."""
        if self.user is None or hasattr(function, "set_pixel_means"):
            function.set_pixel_means(self.split("train").mean(axis=0))

    def check(self, function: Any) -> None:
        del function
        pixels, size = self.split("train").shape[1], self.arguments["image_size"]
        if pixels != size:
            raise DataError(
                f"[data] {self.source.path}: expected images of {size} pixels, as the model has, "
                f"got {pixels}; name the data that it was trained on"
            )

    def train_set(self, config: TrainingConfig) -> Dataset:
        del config
        return image_dataset(self.split("train"))

    def batches(self, split: str, batch_size: int | None = None) -> Judging:
        source = self.source
        loader = Loader(
            image_dataset(self.split(split)),
            self.evaluation_batch_size if batch_size is None else batch_size,
        )
        means = self.split("train").mean(axis=0)
        if split == "dev":
            return Judging(loader, 100, source.dev_temperatures, means)
        return Judging(loader, source.test_chains, source.test_temperatures, means)

    @classmethod
    def sample(
        cls, trained: Trained, count: int, seed: int, *, steps: int = 1000, **options: Any
    ) -> Any:
        """Probabilities of pixels, (count, image_size)."""
        with said_of(trained.user, "what samples are made of"):
            return draw_rbm(trained.model().function, count, steps, seed=seed, **options)
