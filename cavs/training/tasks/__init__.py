"""What the command line trains, by the names of the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cavs
from cavs.data import Vocabulary
from cavs.errors import CavsError, CheckpointError
from cavs.tensor import bounded_parameters
from cavs.training._fields import in_brief, shown
from cavs.training.checkpoint import Checkpoint, check_arrays
from cavs.training.tasks._task import Source as Source
from cavs.training.tasks._task import Task as Task
from cavs.training.tasks.expressions import EXPRESSION_MODELS as EXPRESSION_MODELS
from cavs.training.tasks.expressions import ExpressionSource as ExpressionSource
from cavs.training.tasks.expressions import ExpressionTask as ExpressionTask
from cavs.training.tasks.images import IMAGE_MODELS as IMAGE_MODELS
from cavs.training.tasks.images import ImageSource as ImageSource
from cavs.training.tasks.images import ImageTask as ImageTask
from cavs.training.tasks.parser import PARSER_MODELS as PARSER_MODELS
from cavs.training.tasks.parser import ParserTask as ParserTask
from cavs.training.tasks.parser import TreebankSource as TreebankSource
from cavs.training.tasks.sentences import SENTENCE_MODELS as SENTENCE_MODELS
from cavs.training.tasks.sentences import SentenceSource as SentenceSource
from cavs.training.tasks.sentences import SentenceTask as SentenceTask
from cavs.training.tasks.text import TEXT_MODELS as TEXT_MODELS
from cavs.training.tasks.text import TextSource as TextSource
from cavs.training.tasks.text import TextTask as TextTask
from cavs.training.tasks.trees import TREE_MODELS as TREE_MODELS
from cavs.training.tasks.trees import TreeSource as TreeSource
from cavs.training.tasks.trees import TreeTask as TreeTask
from cavs.training.tasks.trees import check_arity as check_arity

_FEW_ELEMENTS = 1 << 20

Function = cavs.VertexFunction | cavs.VertexProgram
_MODELS: dict[str, type[Function]] = {
    **TREE_MODELS,
    **IMAGE_MODELS,
    **TEXT_MODELS,
    **EXPRESSION_MODELS,
    **SENTENCE_MODELS,
    **PARSER_MODELS,
}
# Models that can drop embeddings.
_WITH_WORDS = {*TREE_MODELS, *TEXT_MODELS, *PARSER_MODELS}
_TASKS: dict[str, type[Task]] = {
    **dict.fromkeys(TREE_MODELS, TreeTask),
    **dict.fromkeys(IMAGE_MODELS, ImageTask),
    **dict.fromkeys(TEXT_MODELS, TextTask),
    **dict.fromkeys(EXPRESSION_MODELS, ExpressionTask),
    **dict.fromkeys(SENTENCE_MODELS, SentenceTask),
    **dict.fromkeys(PARSER_MODELS, ParserTask),
}


def make_function(name: str, config: Mapping[str, Any]) -> Function:
    """The vertex function `name` with the arguments `config`, with fresh parameters.

    Raises:
        CheckpointError: there is no such model, or it does not take these arguments.
    """
    if name not in _MODELS:
        raise CheckpointError(
            f"[checkpoint] expected one of the models {', '.join(_MODELS)}, got {shown(name)}; "
            "save one by `cavs train`"
        )
    try:
        return _MODELS[name](**config)
    except Exception as error:  # whatever comes of arguments that a file gives
        raise CheckpointError(
            f"[checkpoint] expected arguments of the model {name}, got {shown(dict(config))} "
            f"({in_brief(error)}); save one by `cavs train`"
        ) from error


def load_model(
    path: str | Path,
    checkpoint: Checkpoint,
    parameters: Mapping[str, Any],
    seed: int = 0,
    outputs: Iterable[str] | None = None,
) -> Any:
    """The compiled model, or program, of a checkpoint, with `parameters` of it and these `outputs`.
    It takes no more memory than `parameters` do, whatever sizes the checkpoint claims.

    Raises:
        CheckpointError: the parameters are not those of the model that the checkpoint names, or its
            arguments or vocabulary do not go with them.
    """
    with said_of_file(path):
        # Twice what there is, and some: so that one that is missing or too large is named.
        elements = sum(array.size for array in parameters.values())
        with bounded_parameters(2 * elements + _FEW_ELEMENTS):
            function = make_function(checkpoint.model, arguments_of(checkpoint))
        _TASKS[checkpoint.model].check_fit(checkpoint.config, checkpoint.vocabulary)
    check_arrays(path, parameters, dict(function.named_parameters()))
    with said_of_file(path):
        model = cavs.compile(function, outputs=outputs, seed=seed)
    model.load_state_dict(parameters)
    return model


@contextmanager
def said_of_file(path: str | Path) -> Iterator[None]:
    """An error from inside, where a file's values are put to use, is said of the file of `path`."""
    try:
        yield
    except Exception as error:  # whatever comes of values that a file gives
        if isinstance(error, CavsError) and f"{path}:" in str(error):
            raise
        raise CheckpointError(
            f"[checkpoint] {path}: expected values that go together, got others "
            f"({in_brief(error)}); name a checkpoint of `cavs train` that is whole"
        ) from error


def words_of(path: str | Path, checkpoint: Checkpoint) -> Vocabulary:
    """The vocabulary of a classifier of trees. Raises CheckpointError for another model's."""
    if checkpoint.model not in TREE_MODELS or checkpoint.vocabulary is None:
        raise CheckpointError(
            f"[checkpoint] {path}: expected a classifier of trees ({', '.join(TREE_MODELS)}), got "
            f"{shown(checkpoint.model)}; name the checkpoint of one"
        )
    return checkpoint.vocabulary


def source_of(path: str | Path, checkpoint: Checkpoint) -> Any:
    """Where the data come from that a checkpoint was trained on.

    Raises:
        CheckpointError: it does not say, or the model is none that `cavs train` trains.
    """
    if checkpoint.model not in _TASKS:
        raise CheckpointError(
            f"[checkpoint] {path}: expected one of the models {', '.join(_TASKS)}, got "
            f"{shown(checkpoint.model)}; save one by `cavs train`"
        )
    source = checkpoint.training.get("source")
    if not isinstance(source, dict):
        raise CheckpointError(
            f"[checkpoint] {path}: expected the source of the data that it was trained on, got "
            f"{shown(source)}; name data by --data, or take a checkpoint of `cavs train`"
        )
    with said_of_file(path):
        return _TASKS[checkpoint.model].source_type(**source)


def restore_task(checkpoint: Checkpoint, path: str | Path = "checkpoint") -> Task:
    """The task that a checkpoint is of, with its data. `path` is for errors.

    Raises:
        CheckpointError: the model, its arguments, its vocabulary or the source of its data are not
            such as `cavs train` writes; DataError: the data are not there, or malformed.
    """
    source = source_of(path, checkpoint)
    task = _TASKS[checkpoint.model]
    with said_of_file(path):
        task.check_fit(checkpoint.config, checkpoint.vocabulary)
    corpus = source.load()
    with said_of_file(path):
        return task(
            checkpoint.model, arguments_of(checkpoint), checkpoint.vocabulary, source, corpus
        )


def arguments_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """What makes the vertex function of a checkpoint. Those that do not speak of the dropout of
    embeddings are of a time when `dropout` was of embeddings too, by vertex; a run that began so
    goes on so."""
    config = dict(checkpoint.config)
    if checkpoint.model in _WITH_WORDS:
        config.setdefault("embedding_dropout", config.get("dropout", 0.0))
        config.setdefault("embedding_dropout_by", "vertex")
    return config
