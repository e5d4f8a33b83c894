"""Tasks: a model with its data and an objective, and the uses of its checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import cavs
from cavs.data import END_OF_SENTENCE, Dataset, Loader, Vocabulary
from cavs.errors import InputError
from cavs.training._fields import is_whole, shown
from cavs.training.config import EMBEDDING_OPTIONS, TRAINING_OPTIONS, TrainingConfig
from cavs.training.contract import Contract
from cavs.training.embedding import embedding_parameters
from cavs.training.objective import Batches, Objective
from cavs.training.options import Option, complete, with_defaults
from cavs.training.tasks._built_in import BuiltInModel as BuiltInModel
from cavs.training.tasks._built_in import Evaluation as Evaluation
from cavs.training.tasks._vocabularies import Vocabularies, check_vocabularies
from cavs.training.user_model import UserModel, said_of

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

Function = cavs.VertexFunction | cavs.VertexProgram
SomeTask = TypeVar("SomeTask", bound="Task")

#: The arguments of tasks of words that are given no dropout of embeddings. Checkpoints without
#: these arguments are older: then embeddings were dropped as the input of the classifier is.
NO_EMBEDDING_DROPOUT = {"embedding_dropout": 0.0, "embedding_dropout_by": "vertex"}


class Task(ABC):
    """A model by name, its arguments, and the data that it is trained and judged on.

    A class declares its models and options, and judges checkpoints. If its models predict, or
    generate samples, it derives from `Predicts` or `Samples` too.

    Attributes:
        task_name: the name of the task.
        unit: the word for graphs.
        source_type: the class of `source`; has a method ``load``.
        models: the built-in models; a user's model replaces the first, or the one that it names.
        own_options: the options of data and models.
        training_options: the options of training.
        evaluation_options: options of the evaluation of a checkpoint: ``batch_size`` where the task
            leaves a choice, and fields of the source.
        evaluation_batch_size: the graphs in a batch of `batches`, unless they are given.
        has_words: whether its built-in models have an embedding.
        needs_end: whether its vocabulary has an end of sentences.
        sizes_of_vocabularies: names its further vocabularies, and of each the argument of the model
            that is its size; of size 0 is one that is not there. None: it is there, of any size.
        name: the name of the model on the command line.
        built_in: the built-in model of that name, or the one that the user's model replaces.
        user: the user's model, if it is one.
        given: the names of the options that `configure` was given.
        arguments: the arguments of the vertex function's class.
        made_with: options of how the vocabulary and the first parameters were made, which neither
            `arguments` nor `source` tell.
        vocabulary: the vocabulary of the words, if there are any.
        vocabularies: further vocabularies by name.
        source: the source of the data.
        objective: the objective that training minimises.
        outputs: the pushed outputs that the task reads; None: all.
    """

    task_name: ClassVar[str]
    unit: ClassVar[str]
    source_type: ClassVar[Any]
    models: ClassVar[tuple[BuiltInModel, ...]]
    own_options: ClassVar[tuple[Option, ...]]
    training_options: ClassVar[tuple[Option, ...]] = TRAINING_OPTIONS
    evaluation_options: ClassVar[tuple[Option, ...]] = ()
    evaluation_batch_size: ClassVar[int]
    has_words: ClassVar[bool] = True
    needs_end: ClassVar[bool] = False
    sizes_of_vocabularies: ClassVar[Mapping[str, str | None]] = {}
    outputs: tuple[str, ...] | None = None
    #: Arguments of the model that the task reads too.
    sizes_read: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        source: Any,
        corpus: Any,
        vocabularies: Vocabularies | None = None,
    ) -> None:
        self.name, self.arguments, self.vocabulary = name, dict(arguments), vocabulary
        self.vocabularies: dict[str, Vocabulary] = dict(vocabularies or {})
        self.built_in = self.model_of(name)
        self.user: UserModel | None = None
        self.given: frozenset[str] = frozenset()
        self.made_with: dict[str, Any] = {}
        self.source, self.corpus = source, corpus
        self.objective: Objective = self.make_objective()

    # Models and their options

    @classmethod
    def model_of(cls, name: str) -> BuiltInModel:
        """The built-in model of a name; for the task's name, the first one."""
        return next((model for model in cls.models if model.name == name), cls.models[0])

    @classmethod
    def contract_of(cls, name: str, arguments: Mapping[str, Any]) -> Contract:
        """The contract of a model, by the name of a built-in model, or of the task, and by the
        arguments that it is made with."""
        del arguments
        return cls.model_of(name).contract

    @classmethod
    def options_of(cls, name: str) -> tuple[Option, ...]:
        """The options of a built-in model, with its defaults; `name` is the model's or the
        task's."""
        model = cls.model_of(name)
        options = with_defaults((*cls.own_options, *cls.training_options), model.defaults)
        return tuple(option for option in options if option.name not in model.lacks)

    @classmethod
    def case(cls, given: Mapping[str, Any]) -> str | None:
        """The case that selects one of the two defaults of an option."""
        del given
        return None

    @classmethod
    @abstractmethod
    def create(cls, name: str, source: Any, **sizes: Any) -> Task:
        """A new task of a built-in model; `sizes` are its options that belong neither to the source
        nor to training."""

    @classmethod
    def configure(
        cls: type[SomeTask],
        name: str,
        given: Mapping[str, Any],
        user: UserModel | None = None,
        *,
        progress: bool = False,
    ) -> tuple[SomeTask, TrainingConfig]:
        """A new task and its settings of training.

        Args:
            name: the name of a built-in model, or of the task.
            given: values of options of `options_of`, by name; the other options have their
                defaults.
            user: a user's model in the place of the built-in one.
            progress: show a bar on standard error while word vectors are read.

        Raises:
            InputError: a name is no option, an option does not take its value, or the user's class
                does not fit the task; DataError: names the missing or malformed data.
        """
        if user is not None:
            user.check_class(cls.model_of(name).contract.base)
        settings = complete(cls.options_of(name), given, cls.case(given))
        if cls.has_words or user is not None:  # the embedding has the same learning rate by default
            settings.setdefault("embedding_lr", settings["lr"])
        config = TrainingConfig.from_dict(settings)
        known = {"data", *config.to_dict(), *(item.name for item in fields(cls.source_type))}
        sizes = {k: v for k, v in settings.items() if k not in known and v is not None}
        if "vectors" in sizes:
            sizes["progress"] = progress
        task: Any = cls.create(name, cls.make_source(settings, given), **sizes)
        task.given = frozenset(given)
        return (task if user is None else task.of_user(user)), config

    @classmethod
    def make_source(cls, settings: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        """The source of the data, from the values of all options and from the given values."""
        del given
        values = {"path": settings.get("data"), **settings}
        wanted = {item.name: item for item in fields(cls.source_type) if item.name in values}
        # Checked here, and not by the parser: a resumed run knows its data.
        if "path" in wanted and values["path"] is None and wanted["path"].default is MISSING:
            raise InputError("[train] expected --data, got none; say where the data are")
        return cls.source_type(**{name: values[name] for name in wanted})

    def of_user(self: SomeTask, user: UserModel) -> SomeTask:
        """This task, with a user's model in the place of the built-in one."""
        self.name, self.user = str(user), user
        self.outputs = None  # some pulls may serve outputs that the task does not read
        return self

    @classmethod
    def check_fit(
        cls,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        vocabularies: Vocabularies | None = None,
    ) -> None:
        """Checks that vocabularies fit the arguments of a model, as in any good checkpoint.

        Raises:
            InputError: one is missing, not wanted, of another size, or without the end of
                sentences; or a size is missing.
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
        check_vocabularies(cls.sizes_of_vocabularies, arguments, vocabularies or {})
        if cls.needs_end and END_OF_SENTENCE not in (vocabulary or ()):
            raise InputError(
                f"[train] expected {END_OF_SENTENCE} in the vocabulary, got none; add it"
            )

    # The data of a run

    @property
    def sizes(self) -> dict[str, int]:
        """The number of graphs, or of their parts, in ``train``, ``dev`` and ``test``."""
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
        """The objective that training minimises."""

    def make_function(self) -> Any:
        """The vertex function or program, with fresh parameters.

        Raises:
            InputError: a user's model cannot be built, or does not fit the task.
        """
        if self.user is None:
            function = self.built_in.make(**self.arguments)
        else:
            function = self.user.build(self.arguments)
            contract = self.contract_of(self.built_in.name, self.arguments)
            contract.check(function, self.user, self.arguments)
            self._check_embedding_options(function)
        with said_of(self.user, "the data to give it initial values"):
            self.initialize(function)
        return function

    def _check_embedding_options(self, function: Any) -> None:
        """Raises InputError for options of the optimizer that no parameter of a user's model
        heeds."""
        if not embedding_parameters(function):
            for option in EMBEDDING_OPTIONS:
                if option.name in self.given:
                    self.refuse_embedding_option(option.flag)

    def refuse_embedding_option(self, flag: str) -> NoReturn:
        """Raises InputError for an option of the embedding, which a user's model lacks."""
        raise InputError(
            f"[model] {self.user}: expected an Embedding of all words as its attribute embedding, "
            f"got none; leave {flag} out, or name it so"
        )

    def initialize(self, function: Any) -> None:
        """Sets fresh parameters to values that depend on the data."""
        del function

    def compile(self, seed: int) -> Any:
        """The compiled model, or program, with fresh parameters."""
        cavs.nn.init.manual_seed(seed)
        function = self.make_function()
        with said_of(self.user, "a vertex function"):
            return cavs.compile(function, outputs=self.outputs, seed=seed)

    @abstractmethod
    def train_set(self, config: TrainingConfig) -> Dataset:
        """The data set to train on."""

    def loader(self, config: TrainingConfig) -> Loader:
        """Batches to train on."""
        return Loader(self.train_set(config), config.batch_size, shuffle=True, seed=config.seed)

    @abstractmethod
    def batches(self, split: str, batch_size: int | None = None) -> Batches:
        """Batches of ``dev`` or ``test`` to judge a model by; they can be iterated over again.

        Args:
            split: ``dev`` or ``test``.
            batch_size: graphs in a batch; None: the task's own choice.

        Raises:
            InputError: a batch size for a task that has none among `evaluation_options`, or one
                below 1.
        """

    def check(self, function: Any) -> None:
        """Raises `DataError` where the data do not fit the vertex function; by default all data
        do."""
        del function

    def prepare(self, model: Any) -> None:
        """Called with the compiled model before the first computation. Raises as `check` does."""
        self.check(model.function)

    @property
    def remarks(self) -> list[str]:
        """Lines about a new run's data, to be read before it trains."""
        return []

    def reasons_without_gradient(self, names: Sequence[str]) -> dict[str, str]:
        """Why the data give no gradient to some of these parameters, by name, where that is as it
        should be."""
        del names
        return {}

    def summary(self, best: Mapping[str, Any], test: Mapping[str, float]) -> str:
        """The result of a finished run, in a line."""
        return (
            f"best epoch {best['epoch']}: dev {self.objective.describe(best['dev'])}, "
            f"test {self.objective.describe(test)}"
        )

    def examples(self, model: Any) -> list[str]:
        """Lines with examples of a trained model's results, if there are any to show."""
        return []

    # Uses of a checkpoint

    @classmethod
    def evaluate(
        cls,
        trained: Trained,
        split: str,
        data: str | None = None,
        batch_size: int | None = None,
    ) -> Evaluation:
        """The scores of a checkpoint.

        Args:
            trained: the checkpoint.
            split: ``train``, ``dev`` or ``test``.
            data: the place of the data; None: the place of the data that it was trained on.
            batch_size: see `batches`.

        Raises:
            InputError: the task has no such split, makes its data itself, or fixes the batch size;
                CheckpointError, DataError: the checkpoint, or the data, do not fit.
        """
        if split == "train":
            raise InputError(
                f"[evaluate] expected --split dev or test for {trained.name}, got train; choose "
                "one of these"
            )
        if data is not None:
            if "path" not in {item.name for item in fields(cls.source_type)}:
                raise InputError(
                    f"[evaluate] expected no --data for {trained.name}, which makes its own, got "
                    f"{data}; leave it out"
                )
            trained = trained.with_source(path=data)
        task = trained.task()
        model = trained.model(task.outputs)
        task.prepare(model)
        scores = task.objective.evaluate(model, task.batches(split, batch_size), lambda: False)
        assert scores is not None
        what = f"{split} set of {task.source.name}"
        return Evaluation(scores, f"{what}: {task.objective.describe(scores)}")


class SameInputs(Task):
    """Of tasks that train and are judged on the same inputs."""

    @abstractmethod
    def dataset(self, split: str) -> Dataset:
        """The data of a split."""

    def train_set(self, config: TrainingConfig) -> Dataset:
        del config
        return self.dataset("train")

    def batches(self, split: str, batch_size: int | None = None) -> Batches:
        size = self.evaluation_batch_size if batch_size is None else batch_size
        return Loader(self.dataset(split), size)
