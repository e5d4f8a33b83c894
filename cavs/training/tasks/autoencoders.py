"""Autoencoders of images: linear, deep, denoising and adversarial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from cavs.data import Dataset, image_dataset
from cavs.errors import InputError
from cavs.models import AdversarialAutoencoder, Autoencoder, DecodedPrior
from cavs.models.autoencoder import LOSSES
from cavs.training.autoencoding import AdversarialReconstruction, Reconstruction
from cavs.training.config import TRAINING_OPTIONS
from cavs.training.contract import (
    Contract,
    FunctionContract,
    Pull,
    check_attributes,
    is_size,
)
from cavs.training.options import Choice, Option, with_defaults
from cavs.training.sampling import draw_images
from cavs.training.tasks._abilities import Samples
from cavs.training.tasks._images import (
    IMAGE_OPTIONS,
    ImageSplits,
    ReadsImages,
)
from cavs.training.tasks._layers import check_layers, layers_of, layers_option, read_machine
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    parse_sizes,
    size_option,
    sizes_option,
    source_option,
)
from cavs.training.tasks._source import Ranges
from cavs.training.tasks._task import BuiltInModel, SameInputs
from cavs.training.user_model import said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

KINDS = ("deep", "denoising", "adversarial", "linear")
_WITH_LAYERS = ("deep", "denoising", "adversarial")


@dataclass(frozen=True)
class AutoencoderSource(ImageSplits):
    """The source of images, and what an autoencoder is to learn of them.

    Attributes:
        kind: one of `KINDS`.
        flipped: the share of pixels that are flipped in training, of a denoising autoencoder.
        test_flipped: the share that is flipped where any of them is judged.
        adversarial_weight: the weight of the encoder's adversarial loss.
        discriminator_lr: the learning rate of the discriminator.
    """

    kind: str = "deep"
    flipped: float = 0.25
    test_flipped: float = 0.25
    adversarial_weight: float = 1.0
    discriminator_lr: float = 0.001

    greys: ClassVar[bool] = True
    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("flipped", "test_flipped"), (0, 1)),
        **dict.fromkeys(("adversarial_weight", "discriminator_lr"), (0, 1e6)),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise InputError(
                f"[train] expected one of the kinds {', '.join(KINDS)}, got {self.kind!r}; choose "
                "one of these"
            )


_FUNCTION = FunctionContract(
    {
        "image": Pull("graph", "float", ("image_size",)),
        "flipped": Pull("batch", "float", ()),
    },
    {"loss": (), "error": (), "code": ("code_size",)},
    ("mean",),
)
_DISCRIMINATOR = FunctionContract(
    {"code": Pull("vertex", "float", ("code_size",)), "drawn": Pull("vertex", "float", ())},
    {"loss": ()},
)
_PLAIN = Contract({"": _FUNCTION})
_ADVERSARIAL = Contract(
    {"autoencoder": _FUNCTION, "discriminator": _DISCRIMINATOR},
    to_sample={
        "code_size": ("the size of a code", is_size),
        "decode": ("a method that makes logits of the pixels of a code", callable),
        "mean": ("a method that makes the image of these logits", callable),
    },
)


class AutoencoderTask(ReadsImages, SameInputs, Samples):
    """Learns codes from which images can be made again."""

    task_name, source_type = "autoencoders", AutoencoderSource
    models = (BuiltInModel("autoencoder", "autoencoder of images", Autoencoder, _PLAIN),)
    own_options = (
        replace(
            IMAGE_OPTIONS[0],
            meaning="binarised MNIST: an .npz file with train, valid and test, pixels packed into "
            "bits; or a folder of idx files such as Fashion-MNIST's, in greys",
        ),
        *IMAGE_OPTIONS[1:],
        Option("kind", Choice(KINDS), "deep", "linear has one layer each way", group="data"),
        replace(
            source_option(AutoencoderSource, "flipped", "share of pixels flipped in training"),
            needs=("kind", "denoising"),
        ),
        source_option(
            AutoencoderSource, "test_flipped", "share of pixels flipped in a part of the judging"
        ),
        replace(
            source_option(
                AutoencoderSource, "adversarial_weight", "of the encoder's adversarial loss"
            ),
            needs=("kind", "adversarial"),
        ),
        replace(
            source_option(AutoencoderSource, "discriminator_lr", "of the discriminator"),
            needs=("kind", "adversarial"),
        ),
        replace(
            sizes_option(
                "1000,500,250", "units of the layers from the image to the code; back the same"
            ),
            needs=("kind", _WITH_LAYERS),
        ),
        replace(
            layers_option(
                "checkpoint of an rbm, or of a dbn that learnt with --probabilities, whose layers "
                "these begin as, both ways; with --activation sigmoid"
            ),
            needs=("activation", "sigmoid"),
        ),
        size_option("code_size", 30),
        Option(
            "activation",
            Choice(("relu", "sigmoid", "tanh")),
            "relu",
            "of these layers",
            group="model",
            needs=("kind", _WITH_LAYERS),
        ),
        Option(
            "loss",
            Choice(LOSSES),
            "cross-entropy",
            "that training minimises",
            group="model",
            needs=("kind", _WITH_LAYERS),
        ),
        replace(size_option("discriminator_size", 500), needs=("kind", "adversarial")),
    )
    training_options = with_defaults(
        TRAINING_OPTIONS,
        {**FALLING_ADAM, "epochs": 40, "batch_size": 100, "lr": 0.001},
    )
    evaluation_options = (BATCH_SIZE_OPTION,)
    kind = "images"
    evaluation_batch_size = 500

    @classmethod
    def contract_of(cls, name: str, arguments: Mapping[str, Any]) -> Contract:
        """See `Task`; `arguments` are those of the model, or options that tell its kind."""
        given = arguments.get("kind") == "adversarial" or "discriminator_size" in arguments
        return _ADVERSARIAL if given else _PLAIN

    @classmethod
    def build(cls, name: str, arguments: Mapping[str, Any]) -> Any:
        adversarial = "discriminator_size" in arguments
        return (AdversarialAutoencoder if adversarial else Autoencoder)(**arguments)

    @classmethod
    def create(
        cls,
        name: str,
        source: AutoencoderSource,
        *,
        hidden_sizes: str = "1000,500,250",
        activation: str = "relu",
        loss: str = "cross-entropy",
        discriminator_size: int = 500,
        layers: str | None = None,
        **sizes: Any,
    ) -> AutoencoderTask:
        """A new task; the other arguments are those of the model, `hidden_sizes` as text; `layers`
        is the path of a checkpoint. Raises `DataError`; InputError for sizes that are no integers.
        """
        given: dict[str, Any] = {
            "hidden_sizes": parse_sizes(hidden_sizes),
            "activation": activation,
            "loss": loss,
        }
        if source.kind == "linear":
            given = {"hidden_sizes": [], "activation": "linear", "loss": "squared-error"}
        if source.kind == "adversarial":
            given["discriminator_size"] = discriminator_size
        task = cls.of_images(name, source, {**sizes, **given})
        if layers is not None:
            task.made_with["layers"] = layers
        return task

    def make_objective(self) -> Reconstruction:
        source, adversarial = self.source, "discriminator_size" in self.arguments
        if adversarial != (source.kind == "adversarial"):
            raise InputError(
                "[train] expected a discriminator_size for the kind adversarial alone, got "
                f"{'one' if adversarial else 'none'} for {source.kind}; take a whole checkpoint"
            )
        if adversarial:
            return AdversarialReconstruction(
                0.0, source.test_flipped, source.adversarial_weight, source.discriminator_lr
            )
        self.outputs = ("loss", "error", "code")
        flipped = source.flipped if source.kind == "denoising" else 0.0
        return Reconstruction(flipped, source.test_flipped)

    def initialize(self, function: Any) -> None:
        """See `Task`; the layer of the code stays as drawn, since a code is no bits."""
        super().initialize(function)
        path = self.made_with.get("layers")
        if path is None:
            return
        machine = read_machine(path, "rbm", "dbn")
        check_layers(path, machine, self.arguments["image_size"], self.arguments["hidden_sizes"])
        made = getattr(function, "autoencoder", function)
        for up, down, learnt in zip(
            made.encoder, made.decoder[::-1], layers_of(machine), strict=False
        ):
            up.load_state_dict(learnt.up.state_dict())
            down.load_state_dict(learnt.down.state_dict())

    def prepare(self, model: Any) -> None:
        super().prepare(model)
        objective: Any = self.objective
        objective.prepare(model)

    def dataset(self, split: str) -> Dataset:
        return image_dataset(self.split(split))

    @classmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> Any:
        """Probabilities of pixels, (count, image_size), of codes of the prior; of an adversarial
        autoencoder."""
        program: Any = trained.model().function
        if "discriminator_size" not in trained.checkpoint.config:
            raise InputError(
                "[sample] expected an adversarial autoencoder, whose codes are like those of the "
                "prior, got one of another kind; train one with --kind adversarial"
            )
        function, user = program.functions()["autoencoder"], trained.user
        if user is not None:
            check_attributes(function, user, _ADVERSARIAL.to_sample)
        with said_of(user, "what samples are made of"):
            return draw_images(DecodedPrior(function), count, seed)
