"""Densities of binary images that are products of conditionals: MADE, NADE and PixelCNN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cavs.data import Dataset, Loader, image_dataset
from cavs.errors import InputError
from cavs.models import MADE, NADE, PixelCNN
from cavs.models.made import ORDERS
from cavs.training.config import TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Contract, FunctionContract, Pull, check_attributes
from cavs.training.densities import Density, grow_pixels
from cavs.training.objective import Batches
from cavs.training.options import Choice, Integer, Option, with_defaults
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._images import IMAGE_OPTIONS, ImageSplits, ReadsImages
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    size_option,
    source_option,
)
from cavs.training.tasks._task import BuiltInModel
from cavs.training.tasks.images import Repeated
from cavs.training.user_model import said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_MOST_ORDERS, _TEST_ORDERS = 1_000, 8


@dataclass(frozen=True)
class DensitySource(ImageSplits):
    """The source of images, and the number of orders that they are judged in.

    Attributes:
        dev_orders: the number of orders, or masks, when an epoch is judged.
        test_orders: the number of them for test images; None: 8, or as many as the model has.
    """

    dev_orders: int = 1
    test_orders: int | None = None

    ranges = dict.fromkeys(("dev_orders", "test_orders"), (1, _MOST_ORDERS))


_IMAGE = {"image": Pull("graph", "float", ("image_size",))}
_ORDER = {"order": Pull("batch", "float", ("image_size",))}
_DEGREES = {"degrees": Pull("batch", "float", ("num_layers", "hidden_size"))}
_LOSS = {"loss": ()}
_SAMPLER = {"sampler": ("a method that makes the function that draws pixels", callable)}
_IN_ORDER = {"in_order": ("a method that gives the inputs of an order by its number", callable)}
_ORDERED = {"ordered": ("a method that makes the function of log p in an order", callable)}
_MADE = Contract(
    {"": FunctionContract({**_IMAGE, **_ORDER, **_DEGREES}, _LOSS, ("logits",))},
    _IN_ORDER,
    _SAMPLER,
)
_NADE = Contract({"": FunctionContract(_IMAGE, _LOSS, ("logits",))}, {}, _SAMPLER)
_NADE_OF_MANY = replace(_NADE, attributes={**_IN_ORDER, **_ORDERED})
_COUNTS = (
    source_option(DensitySource, "dev_orders", "orders, or masks, when an epoch is judged"),
    Option(
        "test_orders",
        Integer(1, _MOST_ORDERS),
        meaning="orders, or masks, for test images: p is the mean over them",
        group="data",
        said=f"{_TEST_ORDERS}, or all that the model has",
    ),
)


class DensityTask(ReadsImages, Samples):
    """Learns a density of binary images that gives log p itself."""

    task_name, source_type = "densities", DensitySource
    models = (
        BuiltInModel(
            "nade",
            "neural autoregressive density of binary images",
            NADE,
            _NADE,
            lacks=("num_layers", "num_masks", "mask_seed", "channels", "kernel_size"),
        ),
        BuiltInModel(
            "made",
            "masked autoencoder for binary images' density",
            MADE,
            _MADE,
            lacks=("channels", "kernel_size"),
        ),
        BuiltInModel(
            "pixelcnn",
            "masked convolutions for binary images' density",
            PixelCNN,
            _NADE,
            {"num_layers": 7, "epochs": 16, "batch_size": 20, "lr": 0.002},
            lacks=("hidden_size", "orders", "num_masks", "mask_seed", "dev_orders", "test_orders"),
        ),
    )
    own_options = (
        *IMAGE_OPTIONS,
        *_COUNTS,
        size_option("hidden_size", 500),
        size_option("channels", 16),
        size_option("num_layers", 1),
        Option("kernel_size", Integer(1, odd=True), 5, "of blocks, odd", "N", "model"),
        Option(
            "orders",
            Choice(ORDERS),
            "one",
            "of the pixels: line by line, or many, each of which gives a density",
            group="model",
        ),
        Option(
            "num_masks", Integer(1), 1, "drawings of masks that steps take in turn", "N", "model"
        ),
        Option("mask_seed", Integer(0), 0, "of the drawings of masks", "N", "model"),
    )
    training_options = with_defaults(
        TRAINING_OPTIONS,
        {**FALLING_ADAM, "epochs": 100, "batch_size": 100, "lr": 0.001},
    )
    evaluation_options = (
        BATCH_SIZE_OPTION,
        replace(_COUNTS[1], only="densities", said="as in training"),
    )
    kind = "images"
    evaluation_batch_size = 100
    outputs = ("loss",)

    @classmethod
    def contract_of(cls, name: str, arguments: Mapping[str, Any]) -> Contract:
        found = super().contract_of(name, arguments)
        return _NADE_OF_MANY if found is _NADE and arguments.get("orders") == "many" else found

    @classmethod
    def create(cls, name: str, source: DensitySource, **sizes: Any) -> DensityTask:
        """A new task; `sizes` are the arguments of the model but for ``image_size``. Raises
        `DataError`."""
        task = cls.of_images(name, source, sizes)
        if task.built_in.make is PixelCNN:
            task.arguments["image_width"] = task.corpus.width
        return task

    def make_objective(self) -> Density:
        masked = self.built_in.make is MADE
        return Density(masked, not masked and self.arguments.get("orders") == "many")

    def check(self, function: Any) -> None:
        super().check(function)
        for name in ("dev_orders", "test_orders"):
            wanted = getattr(self.source, name) or 1
            if wanted > self._orders():
                raise InputError(
                    f"[train] expected {name} of at most {self._orders()}, as many as the model "
                    f"has, got {wanted}; lower it"
                )

    def train_set(self, config: TrainingConfig) -> Dataset:
        return image_dataset(self.split("train"))

    def batches(self, split: str, batch_size: int | None = None) -> Batches:
        wanted = self.source.dev_orders
        if split != "dev":
            wanted = self.source.test_orders or min(_TEST_ORDERS, self._orders())
        loader = Loader(
            image_dataset(self.split(split)),
            self.evaluation_batch_size if batch_size is None else batch_size,
        )
        return Repeated(loader, wanted)

    def _orders(self) -> int:
        """The number of orders, or masks, that the model has."""
        if self.built_in.make is MADE:
            return int(self.arguments.get("num_masks", 1))
        return _MOST_ORDERS if self.arguments.get("orders") == "many" else 1

    @classmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> Any:
        """Images of 0 and 1, (count, image_size)."""
        function, user = trained.model().function, trained.user
        if user is not None:
            check_attributes(function, user, cls.model_of(user.task).contract.to_sample)
        with said_of(user, "what samples are made of"):
            return grow_pixels(function.sampler(), count, seed)
