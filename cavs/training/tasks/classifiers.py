"""Classifiers of labelled images, which may begin with the layers of generative models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import Dataset, LabelledImageCorpus
from cavs.errors import DataError
from cavs.models import DBM, ImageClassifier, MeanFieldClassifier
from cavs.training._fields import shown
from cavs.training.config import TRAINING_OPTIONS
from cavs.training.contract import Contract, FunctionContract, Pull
from cavs.training.labelling import ImageClassification
from cavs.training.metrics import predictions
from cavs.training.options import Integer, Option, with_defaults
from cavs.training.tasks._abilities import PredictsLines
from cavs.training.tasks._images import ReadsImages, read_labelled
from cavs.training.tasks._layers import check_layers, layers_of, layers_option, read_machine
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    data_option,
    parse_sizes,
    sizes_option,
)
from cavs.training.tasks._source import MOST, Ranges, Source
from cavs.training.tasks._task import BuiltInModel, SameInputs

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_MACHINES = ("rbm", "dbn", "dbm")


@dataclass(frozen=True)
class LabelledSource(Source):
    """The source of labelled images.

    Attributes:
        path: see `read_labelled`.
        labelled: how many of the training images have a label and are trained on; None: all.
        label_seed: the seed by which these are drawn, class by class.
    """

    path: str
    labelled: int | None = None
    label_seed: int = 0

    ranges: ClassVar[Ranges] = {"labelled": (1, MOST), "label_seed": (0, MOST)}

    def load(self) -> LabelledImageCorpus:
        corpus = read_labelled(self.path)
        if self.labelled is None:
            return corpus
        if self.labelled > len(corpus.train):
            raise DataError(
                f"[data] {self.path}: expected at least {self.labelled} labelled training images, "
                f"as --labelled says, got {len(corpus.train)}; lower it"
            )
        return corpus.with_labels(self.labelled, self.label_seed)


_CONTRACT = Contract(
    {
        "": FunctionContract(
            {"image": Pull("graph", "float", ("image_size",)), "label": Pull("graph")},
            {"loss": (), "logits": ("num_classes",)},
        )
    }
)


class ClassifierTask(ReadsImages, SameInputs, PredictsLines):
    """Classifies images."""

    task_name, source_type = "labelled-images", LabelledSource
    models = (
        BuiltInModel("classifier", "classifier of labelled images", ImageClassifier, _CONTRACT),
    )
    own_options = (
        data_option(
            "labelled images: binarized_mnist.npz, whose test images are known by their order; "
            "digits.csv.gz of scikit-learn, or the word digits where it is installed; or a folder "
            "of idx files, as those of Fashion-MNIST",
            "PATH",
        ),
        Option(
            "labelled",
            Integer(1, MOST),
            None,
            "labelled images to train on, drawn by the seed, as many of each class",
            group="data",
            said="all",
        ),
        sizes_option("500,500", "units of the layers"),
        layers_option(
            "checkpoint of an rbm, a dbn or a dbm, with whose layers the classifier begins; with "
            "a dbm's it reads what mean field says of the top bits, too"
        ),
    )
    training_options = with_defaults(
        TRAINING_OPTIONS,
        {**FALLING_ADAM, "epochs": 50, "batch_size": 20, "lr": 0.001},
    )
    evaluation_options = (BATCH_SIZE_OPTION,)
    evaluation_batch_size = 500
    sizes_read = ("image_size", "num_classes")
    items = "lines of pixels"

    @classmethod
    def build(cls, name: str, arguments: Mapping[str, Any]) -> Any:
        return (MeanFieldClassifier if "updates" in arguments else ImageClassifier)(**arguments)

    @classmethod
    def make_source(cls, settings: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        return super().make_source({**settings, "label_seed": settings["seed"] % MOST}, given)

    @classmethod
    def create(
        cls,
        name: str,
        source: LabelledSource,
        *,
        hidden_sizes: str = "500,500",
        layers: str | None = None,
        **sizes: Any,
    ) -> ClassifierTask:
        """A new task; `hidden_sizes` as text, `layers` the path of a checkpoint; there are no other
        `sizes`. Raises `DataError`; InputError for sizes that are no integers; CheckpointError for
        the checkpoint."""
        corpus = source.load()
        arguments: dict[str, Any] = {
            "image_size": corpus.height * corpus.width,
            "hidden_sizes": parse_sizes(hidden_sizes),
            "num_classes": corpus.num_classes,
            **sizes,
        }
        if layers is not None:
            machine = read_machine(layers, *_MACHINES)
            if isinstance(machine, DBM):
                arguments["updates"] = machine.updates
            check_layers(layers, machine, arguments["image_size"], arguments["hidden_sizes"])
        task = cls(name, arguments, None, source, corpus)
        if layers is not None:
            task.made_with["layers"] = layers
        return task

    def make_objective(self) -> ImageClassification:
        return ImageClassification()

    def initialize(self, function: Any) -> None:
        """See `Task`."""
        path = self.made_with.get("layers")
        if path is None:
            return
        machine = read_machine(path, *_MACHINES)
        if isinstance(machine, DBM):
            function.set_machine(machine)
            return
        for own, learnt in zip(function.hidden, layers_of(machine), strict=True):
            own.load_state_dict(learnt.up.state_dict())

    def check(self, function: Any) -> None:
        super().check(function)
        wanted, found = self.arguments["num_classes"], self.corpus.num_classes
        if found > wanted:
            raise DataError(
                f"[data] {self.source.path}: expected images of {wanted} classes, as the model "
                f"has, got {found}; name the data that it was trained on"
            )

    def reasons_without_gradient(self, names: Any) -> dict[str, str]:
        """See `Task`: the machine of which mean field asks."""
        held = [name for name in names if name.startswith("machine.")]
        return dict.fromkeys(held, "the deep Boltzmann machine stays as it learnt before")

    def dataset(self, split: str) -> Dataset:
        found: Dataset = self.corpus.dataset(split)
        return found

    @classmethod
    def read_item(cls, line: str, source: str, number: int) -> Any:
        """The pixels of a line, (pixels,), in 0..1, apart by blanks or commas."""
        words = line.replace(",", " ").split()
        if not words:
            return None
        try:
            pixels = np.array([float(word) for word in words], np.float32)
        except ValueError:
            pixels = np.array([np.nan], np.float32)
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise DataError(
                f"[data] {source}, line {number}: expected pixels in 0..1, apart by blanks, got "
                f"{shown(line.strip())}; write numbers"
            )
        return pixels

    @classmethod
    def predictor(
        cls, trained: Trained, source: str, *, json: bool = False, **options: Any
    ) -> Callable[[list[Any]], list[str]]:
        """The class of each image; as JSON ``label`` and ``probabilities``."""
        del options
        model, size = trained.model(["logits"]).eval(), trained.checkpoint.config["image_size"]

        def predict(images: list[Any]) -> list[str]:
            if not images:
                return []
            for number, image in enumerate(images, 1):
                if len(image) != size:
                    raise DataError(
                        f"[data] {source}, image {number}: expected {size} pixels, as the model "
                        f"has, got {len(image)}; write these"
                    )
            graphs = cavs.batch([cavs.InputGraph([[]])] * len(images))
            with cavs.no_grad():
                logits = model(graphs, image=np.stack(images))["logits"]
            labels = predictions(logits).tolist()
            if not json:
                return [str(label) for label in labels]
            shares = cavs.ops.softmax(logits).numpy().tolist()
            return [
                dumps({"label": label, "probabilities": own})
                for label, own in zip(labels, shares, strict=True)
            ]

        return predict
