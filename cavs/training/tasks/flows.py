"""Normalising flows of grey images: planar, RealNVP, MAF and Glow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cavs.data import Dataset, LabelledImageCorpus, image_dataset
from cavs.errors import DataError
from cavs.models import Flow, FlowSampler
from cavs.models.flow import KINDS
from cavs.training.config import TRAINING_OPTIONS
from cavs.training.contract import Contract, FunctionContract, Pull, check_attributes, is_size
from cavs.training.flows import FlowLikelihood, sample_flow, set_first_norms
from cavs.training.options import Choice, Number, Option, with_defaults
from cavs.training.sampling import draw_images
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._images import ReadsImages, read_labelled
from cavs.training.tasks._options import BATCH_SIZE_OPTION, FALLING_ADAM, data_option, size_option
from cavs.training.tasks._source import Source
from cavs.training.tasks._task import BuiltInModel, SameInputs
from cavs.training.user_model import said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

_FIRST_IMAGES = 500


@dataclass(frozen=True)
class FlowSource(Source):
    """The source of grey images.

    Attributes:
        path: see `read_labelled`.
    """

    path: str

    def load(self) -> LabelledImageCorpus:
        return read_labelled(self.path)


_FLOW = Contract(
    {
        "": FunctionContract(
            {"image": Pull("graph", "float", ("image_size",))}, {"loss": ()}, ("z",)
        )
    },
    to_sample={
        "image_size": ("the number of pixels", is_size),
        "inverse": ("a method that makes x of noise", callable),
        "to_image": ("a method that makes grey in 0..1 of x", callable),
    },
)


class FlowTask(ReadsImages, SameInputs, Samples):
    """Learns a density of grey images that gives log p itself."""

    task_name, source_type = "flows", FlowSource
    models = (BuiltInModel("flow", "normalising flow of grey images", Flow, _FLOW),)
    own_options = (
        data_option(
            "grey images: a folder of idx files as those of MNIST, a digits.csv.gz or the word "
            "digits for those of scikit-learn, or binarised MNIST, .npz, for its labelled digits",
            "PATH",
        ),
        Option("kind", Choice(KINDS), "realnvp", group="model"),
        size_option("num_layers", 8),
        replace(size_option("hidden_size", 256), needs=("kind", ("realnvp", "maf", "glow"))),
        replace(size_option("num_scales", 2), needs=("kind", "glow")),
        Option(
            "margin",
            Number(0, 0.5, exclusive=True),
            0.05,
            "of the logit that greys become: keeps black and white from infinity",
            group="model",
        ),
    )
    training_options = with_defaults(
        TRAINING_OPTIONS,
        {**FALLING_ADAM, "epochs": 100, "batch_size": 100, "lr": 0.001},
    )
    evaluation_options = (BATCH_SIZE_OPTION,)
    kind = "images"
    evaluation_batch_size = 500
    outputs = ("loss",)

    @classmethod
    def create(cls, name: str, source: FlowSource, **sizes: Any) -> FlowTask:
        """A new task; `sizes` are the arguments of the model but for ``image_size``, ``width`` and
        ``levels``. Raises `DataError`."""
        corpus = source.load()
        of_data = {
            "image_size": corpus.height * corpus.width,
            "width": corpus.width,
            "levels": corpus.levels,
        }
        return cls(name, {**of_data, **sizes}, None, source, corpus)

    def make_objective(self) -> FlowLikelihood:
        return FlowLikelihood(self.arguments["image_size"])

    def initialize(self, function: Any) -> None:
        """See `Task`: the first norms, of images evenly spaced."""
        if isinstance(function, Flow):
            train = self.split("train")
            set_first_norms(function, train[:: max(1, len(train) // _FIRST_IMAGES)])

    def check(self, function: Any) -> None:
        super().check(function)
        if self.corpus.levels != self.arguments.get("levels"):
            raise DataError(
                f"[data] {self.source.path}: expected images of {self.arguments.get('levels')} "
                f"grey levels above black, as the model has, got {self.corpus.levels}; name the "
                "data that it was trained on"
            )

    def dataset(self, split: str) -> Dataset:
        return image_dataset(self.split(split))

    @classmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> Any:
        """Greys, (count, image_size)."""
        function: Any = trained.model().function
        if isinstance(function, Flow):
            return sample_flow(function, count, seed)
        user = trained.user
        assert user is not None
        check_attributes(function, user, _FLOW.to_sample)
        with said_of(user, "what samples are made of"):
            return draw_images(FlowSampler(function), count, seed)
