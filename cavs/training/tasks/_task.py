"""What a run trains: a model with its data, and an objective; and what can be done with it then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import cavs
from cavs.data import END_OF_SENTENCE, Dataset, Loader, Vocabulary
from cavs.errors import InputError
from cavs.training._fields import is_whole, shown
from cavs.training.config import TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Contract
from cavs.training.metrics import Batches
from cavs.training.objective import Objective
from cavs.training.options import Option, complete, with_defaults
from cavs.training.tasks._source import Corpus
from cavs.training.user_model import UserModel, said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

Function = cavs.VertexFunction | cavs.VertexProgram
SomeTask = TypeVar("SomeTask", bound="Task")

#: What tasks of words say where they are told nothing else: checkpoints that do not speak of it are
#: of a time when embeddings were dropped as what the classifier sees.
NO_EMBEDDING_DROPOUT = {"embedding_dropout": 0.0, "embedding_dropout_by": "vertex"}


@dataclass(frozen=True)
class BuiltInModel:
    """A model that comes with a task.

    Attributes:
        name: what it is called by.
        meaning: what it is, in a few words.
        make: its class.
        contract: what it pulls and pushes.
        defaults: of options, where they are not the task's.
        lacks: options of the task that it does not have.
    """

    name: str
    meaning: str
    make: Any
    contract: Contract
    defaults: Mapping[str, Any] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """How good a model was found to be.

    Attributes:
        scores: as JSON holds them.
        text: the same for people.
    """

    scores: Mapping[str, Any]
    text: str


def check_end(vocabulary: Vocabulary | None) -> None:
    """Raises InputError for a vocabulary of sentences that lacks their end."""
    if vocabulary is None or END_OF_SENTENCE not in vocabulary:
        raise InputError(f"[train] expected {END_OF_SENTENCE} in the vocabulary, got none; add it")


class Task(ABC):
    """A model by name, its arguments, and the data that it is trained and judged on.

    A class says what it trains and what can be set of it, and judges checkpoints; where its models
    predict, or can be sampled from, it is one of `Predicts` or `Samples` too.

    Attributes:
        task_name: what it is called by.
        unit: what graphs are called.
        source_type: what `source` is one of; has a method ``load``.
        models: those that come with it; a user's model stands in the place of the first, or of the
            one that it names.
        own_options: what can be set of data and models.
        training_options: what can be set of training.
        evaluation_options: what else can be set when a checkpoint is evaluated: fields of the
            source.
        has_words: whether its built-in models have an embedding.
        name: of the model, as the command line calls it.
        built_in: the built-in model of that name, or in whose place the user's stands.
        user: the user's model, if it is one.
        arguments: what makes the vertex function.
        vocabulary: of the words, where there are any.
        source: of the data.
        objective: what training minimises.
        outputs: what it reads of what the model pushes; None: all.
    """

    task_name: ClassVar[str]
    unit: ClassVar[str]
    source_type: ClassVar[Any]
    models: ClassVar[tuple[BuiltInModel, ...]]
    own_options: ClassVar[tuple[Option, ...]]
    training_options: ClassVar[tuple[Option, ...]] = TRAINING_OPTIONS
    evaluation_options: ClassVar[tuple[Option, ...]] = ()
    has_words: ClassVar[bool] = True
    outputs: tuple[str, ...] | None = None
    #: Arguments of the model that the task reads too.
    sizes_read: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        source: Any,
        corpus: Corpus,
    ) -> None:
        self.name, self.arguments, self.vocabulary = name, dict(arguments), vocabulary
        self.built_in = self.model_of(name)
        self.user: UserModel | None = None
        self.source, self.corpus = source, corpus
        self.objective: Objective = self.make_objective()

    # What there is to train

    @classmethod
    def model_of(cls, name: str) -> BuiltInModel:
        """The built-in model of a name; of the task's name the first."""
        return next((model for model in cls.models if model.name == name), cls.models[0])

    @classmethod
    def options_of(cls, name: str) -> tuple[Option, ...]:
        """What can be set of a built-in model, by its name or the task's, with its defaults."""
        model = cls.model_of(name)
        options = with_defaults((*cls.own_options, *cls.training_options), model.defaults)
        return tuple(option for option in options if option.name not in model.lacks)

    @classmethod
    def case(cls, given: Mapping[str, Any]) -> str | None:
        """Which defaults count where options have two."""
        del given
        return None

    @classmethod
    @abstractmethod
    def create(cls, name: str, source: Any, **sizes: Any) -> Task:
        """A new task of a built-in model; `sizes` are its options that are neither of the source
        nor of training."""

    @classmethod
    def configure(
        cls: type[SomeTask], name: str, given: Mapping[str, Any], user: UserModel | None = None
    ) -> tuple[SomeTask, TrainingConfig]:
        """A new task and how to train it.

        Args:
            name: of a built-in model, or of the task.
            given: values of `options_of` the name; of the others the defaults count.
            user: a user's model in the place of the built-in one.

        Raises:
            InputError: there is no such option, a value is not one that it takes, or the user's
                class is none of this task; DataError: names what is missing or malformed.
        """
        if user is not None:
            user.check_class(cls.model_of(name).contract.base)
        settings = complete(cls.options_of(name), given, cls.case(given))
        if cls.has_words or user is not None:  # an embedding learns as the rest
            settings.setdefault("embedding_lr", settings["lr"])
        config = TrainingConfig.from_dict(settings)
        known = {"data", *config.to_dict(), *(item.name for item in fields(cls.source_type))}
        sizes = {k: v for k, v in settings.items() if k not in known and v is not None}
        task: Any = cls.create(name, cls.make_source(settings, given), **sizes)
        return (task if user is None else task.of_user(user)), config

    @classmethod
    def make_source(cls, settings: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        """Where the data come from, by the values of all options and by those that were given."""
        del given
        values = {"path": settings.get("data"), **settings}
        wanted = {item.name: item for item in fields(cls.source_type) if item.name in values}
        # Asked for here, and not by the parser: a resumed run knows.
        if "path" in wanted and values["path"] is None and wanted["path"].default is MISSING:
            raise InputError("[train] expected --data, got none; say where the data are")
        return cls.source_type(**{name: values[name] for name in wanted})

    def of_user(self: SomeTask, user: UserModel) -> SomeTask:
        """The same with a user's model in the place of the built-in one."""
        self.name, self.user = str(user), user
        return self

    @classmethod
    def check_fit(cls, arguments: Mapping[str, Any], vocabulary: Vocabulary | None) -> None:
        """Whether a vocabulary fits the model of these arguments, as those of one checkpoint must.

        Raises:
            InputError: it is missing, not wanted, or of another size; or a size is missing.
        """
        for name in cls.sizes_read:
            if not is_whole(arguments.get(name), 1):
                raise InputError(
                    f"[train] expected a size of 1 or more as {name}, got "
                    f"{shown(arguments.get(name))}; pass one"
                )
        wanted, size = arguments.get("vocab_size"), len(vocabulary or ())
        if wanted != (None if vocabulary is None else size):
            raise InputError(
                f"[train] expected a vocabulary of {wanted or 'no'} words, got one of {size}; "
                "take the one that the model was made with"
            )

    # The data of a run

    @property
    def sizes(self) -> dict[str, int]:
        """How many graphs, or what they are made of, by ``train``, ``dev`` and ``test``."""
        return {split: len(self.split(split)) for split in ("train", "dev", "test")}

    def split(self, name: str) -> Any:
        """The data of ``train``, ``dev`` or ``test``."""
        return getattr(self.corpus, name)

    @property
    def words(self) -> Vocabulary:
        """The vocabulary of a task that has one."""
        assert self.vocabulary is not None
        return self.vocabulary

    @abstractmethod
    def make_objective(self) -> Objective:
        """What training minimises."""

    def make_function(self) -> Any:
        """The vertex function or program, with fresh parameters.

        Raises:
            InputError: a user's model cannot be built, or is not such as the task trains.
        """
        if self.user is None:
            function = self.built_in.make(**self.arguments)
        else:
            function = self.user.build(self.arguments)
            self.built_in.contract.check(function, self.user, self.arguments)
        with said_of(self.user, "the data to give it initial values"):
            self.initialize(function)
        return function

    def initialize(self, function: Any) -> None:
        """Gives fresh parameters values that come of the data."""
        del function

    def compile(self, seed: int) -> Any:
        """The compiled model, or program, with fresh parameters."""
        cavs.nn.init.manual_seed(seed)
        function = self.make_function()
        with said_of(self.user, "a vertex function"):
            return cavs.compile(function, outputs=self.outputs, seed=seed)

    @abstractmethod
    def train_set(self, config: TrainingConfig) -> Dataset:
        """What to train on."""

    def loader(self, config: TrainingConfig) -> Loader:
        """Batches to train on."""
        return Loader(self.train_set(config), config.batch_size, shuffle=True, seed=config.seed)

    @abstractmethod
    def batches(self, split: str) -> Batches:
        """Batches to be judged by, of ``dev`` or ``test``; they can be gone through again."""

    def check(self, function: Any) -> None:
        """Raises `DataError` where the data do not fit the vertex function; by default all do."""
        del function

    def prepare(self, model: Any) -> None:
        """Is told the compiled model before anything is computed. Raises as `check`."""
        self.check(model.function)

    def summary(self, best: Mapping[str, Any], test: Mapping[str, float]) -> str:
        """What a finished run comes to, in a line."""
        return (
            f"best epoch {best['epoch']}: dev {self.objective.describe(best['dev'])}, "
            f"test {self.objective.describe(test)}"
        )

    def examples(self, model: Any) -> list[str]:
        """Lines that show what a trained model does, where there is something to show."""
        return []

    # What can be done with a checkpoint

    @classmethod
    def evaluate(
        cls,
        trained: Trained,
        split: str,
        data: str | None = None,
        batch_size: int = 256,
    ) -> Evaluation:
        """How good a checkpoint is.

        Args:
            trained: the checkpoint.
            split: ``train``, ``dev`` or ``test``.
            data: where they are; None: where those were that it was trained on.
            batch_size: graphs in a batch, where the task does not settle that.

        Raises:
            InputError: the task has no such split, or makes its data itself; CheckpointError,
                DataError: the file, or the data, are not such.
        """
        del batch_size
        if split == "train":
            raise InputError(
                f"[evaluate] expected --split dev or test for {trained.name}, got train; choose "
                "one of these"
            )
        if data is not None:
            if "path" not in trained.known_source:
                raise InputError(
                    f"[evaluate] expected no --data for {trained.name}, which makes its own, got "
                    f"{data}; leave it out"
                )
            trained = trained.with_source(path=data)
        task = trained.task()
        model = trained.model(task.outputs)
        task.prepare(model)
        scores = task.objective.evaluate(model, task.batches(split), lambda: False)
        assert scores is not None
        what = f"{split} set of {task.source.name}"
        return Evaluation(scores, f"{what}: {task.objective.describe(scores)}")
