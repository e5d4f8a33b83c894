"""The settings of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from cavs._seed import seed_or_default
from cavs.errors import InputError
from cavs.training._fields import is_number, is_whole, shown
from cavs.training.options import Choice, Flag, Integer, Number, Option, with_defaults

OPTIMIZERS = ("adagrad", "adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "linear")
MOST_SEED = 2**64 - 1
_MOST = 2**53  # the most for other integers


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run; the defaults are those of Tai et al. 2015 for sentiment.

    Attributes:
        epochs: the greatest number of passes over the training set.
        batch_size: graphs in a batch.
        optimizer: one of `OPTIMIZERS`.
        lr: learning rate.
        embedding_lr: learning rate of the embedding.
        momentum: the momentum of ``sgd`` and of ``rmsprop``; None: 0 for ``rmsprop``, as in
            PyTorch, else 0.9.
        alpha: how much of the mean square ``rmsprop`` keeps in a step.
        centered: whether ``rmsprop`` divides by the deviation in place of the mean square's root.
        lr_decay: learning rates are multiplied by this after each epoch but the first
            `lr_decay_after`.
        lr_decay_after: see `lr_decay`.
        lr_schedule: ``constant``, or ``linear``: the learning rates fall linearly, step by step, to
            0 at the end of the last epoch; `lr_decay` acts too.
        weight_decay: L2 coefficient of all parameters but the embedding.
        embedding_weight_decay: L2 coefficient of the rows of the embedding that a batch reads.
        freeze_embedding: whether the embedding keeps the values that it begins with.
        clip_norm: gradients of a greater norm are scaled down to it; 0: never.
        labels: train on the labels of ``all`` vertices of a tree or of its ``root`` only.
        patience: epochs without a better score on dev after which the run ends; 0: never.
        average: the number of last epochs that are averaged; 0: none. After each of them, the mean
            of the parameters at the end of the averaged epochs so far is judged and kept (Izmailov
            et al. 2018).
        seed: the seed of parameters, dropout and the order of the batches, 0..2**64-1; by default
            that of `cavs.manual_seed`, else 0.
    """

    epochs: int = 20
    batch_size: int = 25
    optimizer: str = "adagrad"
    lr: float = 0.05
    embedding_lr: float = 0.1
    momentum: float | None = None
    alpha: float = 0.99
    centered: bool = False
    lr_decay: float = 1.0
    lr_decay_after: int = 0
    lr_schedule: Literal["constant", "linear"] = "constant"
    weight_decay: float = 1e-4
    embedding_weight_decay: float = 0.0
    freeze_embedding: bool = False
    clip_norm: float = 0.0
    labels: Literal["all", "root"] = "all"
    patience: int = 5
    average: int = 0
    seed: int = field(default_factory=lambda: seed_or_default(None))

    def __post_init__(self) -> None:
        if self.momentum is None:
            object.__setattr__(self, "momentum", 0.0 if self.optimizer == "rmsprop" else 0.9)
        for name, least in (
            ("epochs", 1),
            ("batch_size", 1),
            ("lr_decay_after", 0),
            ("patience", 0),
            ("average", 0),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if not is_whole(value, least, MOST_SEED if name == "seed" else _MOST):
                raise InputError(
                    f"[train] expected {name} of at least {least}, got {shown(value)}; pass such "
                    "an integer"
                )
        for name in ("lr", "embedding_lr", "lr_decay"):
            self._check_number(name, above=True)
        decays = ("weight_decay", "embedding_weight_decay")
        for name in ("momentum", "alpha", *decays, "clip_norm"):
            self._check_number(name, above=False)
        if self.alpha >= 1:
            raise InputError(
                f"[train] expected alpha below 1, got {self.alpha}; pass such a number"
            )
        for name in ("freeze_embedding", "centered"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(
                    f"[train] expected True or False as {name}, got "
                    f"{shown(getattr(self, name))}; pass one"
                )
        for name, choices in (
            ("optimizer", OPTIMIZERS),
            ("lr_schedule", SCHEDULES),
            ("labels", ("all", "root")),
        ):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"[train] expected {name} to be one of {', '.join(choices)}, got "
                    f"{shown(getattr(self, name))}; choose one of these"
                )

    def _check_number(self, name: str, above: bool) -> None:
        value = getattr(self, name)
        if not is_number(value) or value < 0 or (above and value == 0):
            least = "above 0" if above else "of at least 0"
            raise InputError(
                f"[train] expected {name} {least}, got {shown(value)}; pass such a number"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """The settings from a result of `to_dict`; unknown names are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


TRAINING_OPTIONS = with_defaults(
    (
        Option("epochs", Integer(1), meaning="at most"),
        Option("batch_size", Integer(1), meaning="graphs in a batch"),
        Option("lr", Number(0, exclusive=True), meaning="learning rate"),
        Option(
            "momentum",
            Number(0, 1),
            meaning="of sgd and rmsprop",
            needs=("optimizer", ("sgd", "rmsprop")),
            beside=("optimizer", "rmsprop", 0.0),
        ),
        Option(
            "alpha",
            Number(0, 1),
            meaning="share of the mean square that rmsprop keeps",
            needs=("optimizer", "rmsprop"),
        ),
        Option(
            "centered",
            Flag(),
            meaning="rmsprop divides by the deviation, not by the root of the mean square",
            needs=("optimizer", "rmsprop"),
        ),
        Option(
            "lr_decay",
            Number(0, exclusive=True),
            meaning="factor of the learning rate after each epoch",
        ),
        Option("lr_decay_after", Integer(0), meaning="but the first ones"),
        Option("weight_decay", Number(0), meaning="L2 coefficient"),
        Option("clip_norm", Number(0), meaning="greatest norm of the gradient, 0: off"),
        Option(
            "patience",
            Integer(0),
            meaning="epochs without improvement on dev before it ends, 0: off",
        ),
        Option(
            "average",
            Integer(0),
            meaning="epochs at the end whose parameters are averaged, 0: off",
        ),
        Option(
            "seed",
            Integer(0, MOST_SEED),
            meaning="of parameters, samples and order, 0..2**64-1",
        ),
        Option(
            "lr_schedule",
            Choice(SCHEDULES),
            meaning="linear: in a line down to 0 at the end of the last epoch",
        ),
        Option("optimizer", Choice(OPTIMIZERS)),
    ),
    TrainingConfig(seed=0).to_dict(),
)

#: Options of the embedding, which has a learning rate of its own.
EMBEDDING_OPTIONS = with_defaults(
    (
        Option(
            "embedding_lr",
            Number(0, exclusive=True),
            meaning="learning rate of the embedding",
            needs=("freeze_embedding", False),
        ),
        Option(
            "embedding_weight_decay",
            Number(0),
            meaning="L2 coefficient of the embedding",
            needs=("freeze_embedding", False),
        ),
        Option(
            "freeze_embedding",
            Flag(),
            meaning="the embedding keeps the values that it begins with",
        ),
    ),
    TrainingConfig(seed=0).to_dict(),
)

#: The same for tasks whose embedding learns as the rest does unless they are given.
EMBEDDING_AS_THE_REST = tuple(
    replace(option, default=None, follows="lr") if option.name == "embedding_lr" else option
    for option in EMBEDDING_OPTIONS
)
