"""Boltzmann machines of binary images: RBMs, deep belief networks and deep Boltzmann machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import Dataset, Loader, image_dataset
from cavs.errors import InputError
from cavs.models import DBM, DBN, RBM
from cavs.models._shared import set_pixel_means
from cavs.models.dbn import DirectedLayer
from cavs.models.rbm import DOUBLED
from cavs.training.annealing import draw_dbm, draw_dbn, draw_rbm
from cavs.training.arrays import Array
from cavs.training.completion import HALVES, half
from cavs.training.completion import complete as complete_images_of
from cavs.training.config import TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Attributes, Contract, FunctionContract, Pull, is_size
from cavs.training.energies import (
    ContrastiveDivergence,
    Judging,
    LayerDivergence,
    PersistentDivergence,
)
from cavs.training.options import Choice, Flag, Integer, Option, with_defaults
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._images import FILE_OPTION, ImagePath, ReadsImages
from cavs.training.tasks._layers import (
    check_doubled,
    check_layers,
    layers_of,
    layers_option,
    means_above,
    means_of_top,
    read_machine,
)
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    parse_sizes,
    size_option,
    sizes_option,
    source_option,
)
from cavs.training.tasks._source import MOST_SAMPLES, Ranges
from cavs.training.tasks._task import BuiltInModel
from cavs.training.user_model import said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_IMAGES_IN_BATCH = 1000
_SOME = 10_000  # images by which the top of a network begins


def _has_layers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(layer, DirectedLayer) for layer in value)
    )


@dataclass(frozen=True)
class BoltzmannSource(ImagePath):
    """As `ImagePath`, and how an RBM is trained and judged.

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


class BoltzmannTask(ReadsImages, Samples):
    """Learns a density of binary images that is known up to its sum."""

    task_name, source_type = "boltzmann", BoltzmannSource
    models = (
        BuiltInModel(
            "rbm",
            "restricted Boltzmann machine of binary images",
            RBM,
            Contract(
                {"": _FUNCTION},
                _ATTRIBUTES,
            ),
            lacks=("hidden_sizes", "top_size", "layers", "probabilities", "up_down"),
        ),
        BuiltInModel(
            "dbn",
            "deep belief network of binary images, whose lower layers were learnt before",
            DBN,
            Contract(
                {"": _FUNCTION},
                {
                    "lower": ("a list of DirectedLayer", _has_layers),
                    "top": ("an RBM of their last bits", lambda value: isinstance(value, RBM)),
                },
            ),
            lacks=("hidden_size",),
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
            lacks=("hidden_sizes", "probabilities", "up_down", "doubled"),
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
            BoltzmannSource,
            "dev_temperatures",
            "as --test-temperatures, when an epoch is judged by 100 chains",
        ),
        *_COUNTS,
        size_option("hidden_size", 500),
        sizes_option("500", "bits of the lower layers, from the image up"),
        size_option("top_size", 500),
        layers_option(
            "checkpoint of learnt layers to begin with: an rbm or a dbn becomes the lower layers "
            "of a dbn; a dbn that learnt with --doubled becomes both layers of a dbm"
        ),
        Option(
            "probabilities",
            Flag(),
            False,
            "the top layer learns from probabilities of the bits below in place of bits",
            group="model",
            needs=("up_down", False),
        ),
        Option(
            "up_down",
            Flag(),
            False,
            "all layers learn, by contrastive wake-sleep, as is to be done after greedy learning; "
            "begin with --init",
            group="model",
            needs=("persistent", False),
        ),
        Option(
            "doubled",
            Choice(DOUBLED),
            "none",
            "weights that the rbm, or the top of the dbn, uses twice, as the first (up) and the "
            "last (down) layer of a dbm learn",
            group="model",
            needs=("persistent", False),
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
        Option(
            "complete",
            Choice(HALVES),
            None,
            "half of test images that is drawn by these steps given the other half; beside each "
            "other what is given, what is made of it, and the image",
            only="Boltzmann machines",
        ),
    )
    kind = "images"
    sizes_read = ("image_size", "steps")
    evaluation_batch_size = _IMAGES_IN_BATCH
    source: BoltzmannSource

    @classmethod
    def create(
        cls,
        name: str,
        source: BoltzmannSource,
        *,
        hidden_sizes: str = "500",
        layers: str | None = None,
        **sizes: Any,
    ) -> BoltzmannTask:
        """A new task; `sizes` are ``hidden_size`` and ``top_size``, and of deep belief networks
        `hidden_sizes`, as text, in the place of the former. `layers` is the path of a checkpoint.
        Options of learning that are off are no arguments of the model.

        Raises:
            DataError: names the missing or malformed file; InputError: sizes that are none.
        """
        given = {k: v for k, v in sizes.items() if v is not False and v != "none"}
        if cls.model_of(name).make is DBN:
            given["hidden_sizes"] = parse_sizes(hidden_sizes)
        task = cls.of_images(name, source, {"steps": source.k, **given})
        if layers is not None:
            task.made_with["layers"] = layers
        return task

    def make_objective(self) -> ContrastiveDivergence:
        source, part = self.source, _PARTS.get(self.built_in.make)
        sizes = self.arguments
        if sizes.get("doubled", "none") != "none":
            return LayerDivergence(part)
        if not source.persistent:
            return ContrastiveDivergence(part)
        self.outputs = ("free_energy",)
        size = sizes["hidden_sizes"][-1] if part == "top" else sizes["image_size"]
        size += sizes["top_size"] if part == "joint" else 0
        return PersistentDivergence(source.chains, source.k, size, part)

    def initialize(self, function: Any) -> None:
        """See `Task`; a user's model may lack the method for it."""
        images, path = self.split("train"), self.made_with.get("layers")
        if self.built_in.make is DBN:
            if path is None:
                set_pixel_means(function.lower[0].down.bias, images.mean(axis=0))
                return
            machine = read_machine(path, "rbm", "dbn")
            check_layers(path, machine, images.shape[1], self.arguments["hidden_sizes"])
            layers = layers_of(machine)
            for own, learnt in zip(function.lower, layers, strict=True):
                own.load_state_dict(learnt.state_dict())
            if not function.lower[-1].set_top(function.top):
                function.top.set_pixel_means(means_above(layers, images[:_SOME]))
            return
        super().initialize(function)
        if self.built_in.make is DBM and path is not None:
            learnt = read_machine(path, "dbn")
            sizes = (self.arguments[name] for name in ("image_size", "hidden_size", "top_size"))
            check_doubled(path, learnt, *sizes)
            function.set_layers(learnt)

    @property
    def _keeps_lower(self) -> bool:
        """Whether it is the top of a deep belief network that learns."""
        return self.built_in.make is DBN and not self.arguments.get("up_down", False)

    @property
    def remarks(self) -> list[str]:
        """See `Task`."""
        if not self._keeps_lower or "layers" in self.made_with:
            return []
        return [
            "the lower layers stay as they begin, random; give trained ones by --layers "
            "runs/NAME/best.safetensors"
        ]

    def reasons_without_gradient(self, names: Sequence[str]) -> dict[str, str]:
        """See `Task`: the lower layers."""
        lower = [name for name in names if self._keeps_lower and name.startswith("lower.")]
        return dict.fromkeys(lower, "the lower layers have learnt before, and the top one learns")

    def train_set(self, config: TrainingConfig) -> Dataset:
        del config
        return image_dataset(self.split("train"))

    def batches(self, split: str, batch_size: int | None = None) -> Judging:
        source = self.source
        loader = Loader(
            image_dataset(self.split(split)),
            self.evaluation_batch_size if batch_size is None else batch_size,
        )
        if split == "dev":
            return Judging(loader, 100, source.dev_temperatures, self._means)
        return Judging(loader, source.test_chains, source.test_temperatures, self._means)

    def _means(self, function: Any) -> Array:
        """How often each bit that the RBM sees is 1, by images to train on."""
        images = self.split("train")
        if self.built_in.make is DBN:
            return means_above(function.lower, images[:_SOME])
        means: Array = images.mean(axis=0)
        if self.built_in.make is DBM:
            return np.concatenate([means, means_of_top(function.joint, images[:_SOME])])
        return means

    @classmethod
    def sample(
        cls,
        trained: Trained,
        count: int,
        seed: int,
        *,
        steps: int = 5000,
        complete: str | None = None,
        **options: Any,
    ) -> Any:
        """Probabilities of pixels, (count, image_size); of images that it completes (count, 3,
        image_size): what is given, with grey for what is not, what is made of it, and the image."""
        name = trained.checkpoint.model if trained.user is None else trained.user.task
        made = cls.model_of(name).make
        if complete is None:
            with said_of(trained.user, "what samples are made of"):
                return _DRAW[made](trained.model().function, count, steps, seed=seed, **options)
        if made is DBN:
            raise InputError(
                "[sample] expected --complete for an rbm or a dbm, whose layers are drawn given "
                f"each other, got it for {trained.name}; leave it out"
            )
        task = trained.task()
        function = trained.model().function
        task.check(function)
        test = task.split("test")
        images = test[np.arange(count) * len(test) // count].astype(np.float32)
        known = ~half(complete, task.corpus.height, task.corpus.width)
        with said_of(trained.user, "what images are completed by"):
            found = complete_images_of(function, images * known, known, steps, seed=seed)
        return np.stack([np.where(known, images, 0.5), found, images], axis=1)
