"""Boltzmann machines of binary images: RBMs, and the top of deep belief networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import Dataset, Loader, image_dataset
from cavs.errors import CheckpointError, DataError
from cavs.models import DBM, DBN, RBM
from cavs.training._fields import shown
from cavs.training.annealing import draw_dbm, draw_dbn, draw_rbm
from cavs.training.arrays import Array, check_arrays
from cavs.training.checkpoint import load_checkpoint
from cavs.training.config import TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Attributes, Contract, FunctionContract, Pull, is_size
from cavs.training.energies import ContrastiveDivergence, Judging, PersistentDivergence
from cavs.training.options import Flag, Integer, Option, Text, with_defaults
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._images import FILE_OPTION, BinaryFile
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    size_option,
    source_option,
)
from cavs.training.tasks._source import MOST_SAMPLES, Ranges
from cavs.training.tasks._task import BuiltInModel, Task
from cavs.training.user_model import said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_IMAGES_IN_BATCH = 1000
_SOME = 10_000  # images by which the top of a network begins


@dataclass(frozen=True)
class BoltzmannSource(BinaryFile):
    """As `BinaryFile`, and how an RBM is trained and judged.

    Attributes:
        k: steps of Gibbs sampling in a step of training.
        persistent: whether the chains go on from one step of training to the next.
        chains: number of persistent chains.
        dev_temperatures: inverse temperatures of annealed importance sampling, by which an epoch is
            judged.
        test_temperatures: the same for test images.
        test_chains: chains of annealed importance sampling.
    """

    k: int = 1
    persistent: bool = False
    chains: int = 100
    dev_temperatures: int = 3000
    test_temperatures: int = 10_000
    test_chains: int = 100

    ranges: ClassVar[Ranges] = dict.fromkeys(
        ("k", "chains", "dev_temperatures", "test_temperatures", "test_chains"), (1, MOST_SAMPLES)
    )


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


# The RBM that a model trains, and what draws images.
_PARTS: dict[Any, str] = {DBN: "top", DBM: "joint"}
_DRAW: dict[Any, Any] = {RBM: draw_rbm, DBN: draw_dbn, DBM: draw_dbm}
_FUNCTION = FunctionContract(
    {"image": Pull("vertex", "float", ("image_size",))}, {"free_energy": (), "loss": ()}
)


class BoltzmannTask(Task, Samples):
    """Learns a density of binary images that is known up to its sum."""

    task_name, unit, source_type = "boltzmann", "images", BoltzmannSource
    models = (
        BuiltInModel(
            "rbm",
            "restricted Boltzmann machine of binary images",
            RBM,
            Contract(
                {"": _FUNCTION},
                _ATTRIBUTES,
            ),
            lacks=("top_size", "rbm"),
        ),
        BuiltInModel(
            "dbn",
            "deep belief network of binary images, whose lower layer is a trained rbm",
            DBN,
            Contract(
                {"": _FUNCTION},
                {
                    "lower": ("an RBM", lambda value: isinstance(value, RBM)),
                    "top": ("an RBM of its hidden bits", lambda value: isinstance(value, RBM)),
                },
            ),
        ),
        BuiltInModel(
            "dbm",
            "deep Boltzmann machine of binary images, two layers of hidden bits",
            DBM,
            Contract(
                {"": _FUNCTION},
                {
                    "joint": (
                        "an RBM of pixels and top bits",
                        lambda value: isinstance(value, RBM),
                    )
                },
            ),
            lacks=("rbm",),
        ),
    )
    own_options = (
        FILE_OPTION,
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
        size_option("top_size", 500),
        Option(
            "rbm",
            Text(),
            None,
            "checkpoint of the rbm that is the lower layer",
            "FILE",
            "model",
        ),
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
            5000,
            "of Gibbs sampling, by which chains go from independent pixels to the model",
            only="Boltzmann machines",
        ),
    )
    kind, has_words = "images", False
    sizes_read = ("image_size", "steps")
    evaluation_batch_size = _IMAGES_IN_BATCH
    source: BoltzmannSource

    @classmethod
    def create(
        cls, name: str, source: BoltzmannSource, *, rbm: str | None = None, **sizes: Any
    ) -> BoltzmannTask:
        """A new task; `sizes` are ``hidden_size`` and, of deep belief networks, ``top_size``. `rbm`
        is the path of the checkpoint of an RBM, the lower layer.

        Raises:
            DataError: names the missing or malformed file.
        """
        corpus = source.load()
        arguments = {"image_size": corpus.height * corpus.width, "steps": source.k, **sizes}
        task = cls(name, arguments, None, source, corpus)
        if rbm is not None:
            task.made_with["rbm"] = rbm
        return task

    @property
    def _is_deep(self) -> bool:
        """Whether it is the top of a deep belief network that learns."""
        return self.built_in.make is DBN

    def make_objective(self) -> ContrastiveDivergence:
        source, part = self.source, _PARTS.get(self.built_in.make)
        if not source.persistent:
            return ContrastiveDivergence(part)
        self.outputs = ("free_energy",)
        sizes = self.arguments
        size = sizes["hidden_size"] if part == "top" else sizes["image_size"]
        size += sizes["top_size"] if part == "joint" else 0
        return PersistentDivergence(source.chains, source.k, size, part)

    def initialize(self, function: Any) -> None:
        """See `Task`; a user's model may lack the method for it."""
        images = self.split("train")
        if self._is_deep:
            path = self.made_with.get("rbm")
            if path is None:
                function.lower.set_pixel_means(images.mean(axis=0))
            else:
                _begin_with(function.lower, path)
                function.top.set_pixel_means(_hidden_means(function.lower, images[:_SOME]))
        elif self.user is None or hasattr(function, "set_pixel_means"):
            function.set_pixel_means(images.mean(axis=0))

    @property
    def remarks(self) -> list[str]:
        """See `Task`."""
        if not self._is_deep or "rbm" in self.made_with:
            return []
        return [
            "the lower layer stays as it begins, random; give a trained one by --rbm "
            "runs/NAME/best.safetensors"
        ]

    def reasons_without_gradient(self, names: Sequence[str]) -> dict[str, str]:
        """See `Task`: the lower layer."""
        lower = [name for name in names if self._is_deep and name.startswith("lower.")]
        return dict.fromkeys(lower, "the lower layer has learnt before, and the top one learns")

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
        cls, trained: Trained, count: int, seed: int, *, steps: int = 5000, **options: Any
    ) -> Any:
        """Probabilities of pixels, (count, image_size)."""
        name = trained.checkpoint.model if trained.user is None else trained.user.task
        draw = _DRAW[cls.model_of(name).make]
        with said_of(trained.user, "what samples are made of"):
            return draw(trained.model().function, count, steps, seed=seed, **options)


def _begin_with(rbm: RBM, path: str) -> None:
    """Gives an RBM the parameters of a checkpoint. Raises CheckpointError where they do not fit."""
    checkpoint = load_checkpoint(path)
    if checkpoint.model != "rbm":
        raise CheckpointError(
            f"[checkpoint] {path}: expected the checkpoint of an rbm, got one of "
            f"{shown(checkpoint.model)}; name another"
        )
    check_arrays(path, checkpoint.parameters, dict(rbm.named_parameters()))
    rbm.load_state_dict(checkpoint.parameters)


def _hidden_means(rbm: RBM, images: Array) -> Array:
    """How often each hidden bit is 1, by these images."""
    logits = images.astype(np.float32) @ rbm.weight.numpy().T + rbm.hidden_bias.numpy()
    means: Array = (0.5 + 0.5 * np.tanh(0.5 * logits)).mean(axis=0)
    return means
