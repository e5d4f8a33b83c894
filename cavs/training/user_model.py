"""Users' models: a class in the user's file, and its record in a checkpoint."""

from __future__ import annotations

import ast
import inspect
import os
import stat
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cavs._arguments import mapping, text
from cavs.errors import CavsError, InputError
from cavs.training._fields import Fields, in_brief, is_text, shown

_MODULE = "user model "  # the names of modules of users' files begin with it
_LONGEST = 4096  # characters of a value: here Python's parser is safe, and converts all integers


@dataclass(frozen=True)
class UserModel:
    """A user's model: the place of its class, and its arguments beside those that the task gives.

    Attributes:
        file: the file of the class, as the user named it.
        class_name: the name of the class.
        task: the task on whose data it is trained, or the built-in model that it replaces.
        args: further arguments of the constructor, as text: Python literals, or else strings.
        make: the class; None in a record read from a checkpoint, which runs no code.
    """

    file: str
    class_name: str
    task: str = ""
    args: Mapping[str, str] = field(default_factory=dict, hash=False)
    make: Any = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.class_name}"

    def to_dict(self) -> dict[str, Any]:
        """The record of the model, as values for JSON."""
        file = os.fsencode(self.file).decode("utf-8", "replace")
        return {
            "file": file,
            "class": self.class_name,
            "task": self.task,
            "args": dict(self.args),
        }

    @classmethod
    def read(cls, fields: Fields) -> UserModel:
        """A model from a record of `to_dict` in a checkpoint. Raises CheckpointError."""
        args = fields.take_fields("args")
        for name in args.values:
            args.take(name, "a text", lambda text: is_text(text) and len(text) <= _LONGEST)
        file, class_name, task = (
            fields.take(name, "a text", is_text) for name in ("file", "class", "task")
        )
        return cls(file, class_name, task, dict(args.values))

    def loaded(self, code: UserModel) -> UserModel:
        """The same with the class of `code`, whose file may have been moved since.

        Raises:
            InputError: `code` holds another class.
        """
        if code.class_name != self.class_name:
            raise InputError(
                f"[model] expected the class {self.class_name}, as the checkpoint says, got "
                f"{code}; name the file that holds it"
            )
        return replace(self, file=code.file, make=code.make)

    def check_class(self, base: type) -> None:
        """Raises InputError where the class is not derived from `base`."""
        if isinstance(self.make, type) and issubclass(self.make, base):
            return
        bases = [other.__name__ for other in getattr(self.make, "__bases__", ())]
        what = f"one derived from {', '.join(bases)}" if bases else type(self.make).__name__
        raise InputError(
            f"[model] {self}: expected a class derived from cavs.{base.__name__}, as models of "
            f"{self.task} are, got {what}; derive it, or choose another --task"
        )

    def build(self, arguments: Mapping[str, Any]) -> Any:
        """The model that the constructor makes from the arguments of the task and `args`.

        Raises:
            InputError: the constructor does not take them, needs more, or raises; names the line.
        """
        values = {name: parse_value(text) for name, text in self.args.items()}
        self._check_signature(arguments, values)
        with self.said_of("its constructor to build the model"):
            return self.make(**arguments, **values)

    def _check_signature(self, arguments: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Checks that the constructor takes all arguments, and needs no others."""
        for name in values:
            if name in arguments:
                raise InputError(
                    f"[model] {self}: expected --arg with names that the task does not give, got "
                    f"{name}; leave it out, and set the task's options"
                )
        try:
            signature = inspect.signature(self.make)
        except (TypeError, ValueError):  # the class is made in another way
            return
        named = {
            name: parameter
            for name, parameter in signature.parameters.items()
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        }
        if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            lacking = [name for name in arguments if name not in named]
            if lacking:
                raise InputError(
                    f"[model] {self}: expected a constructor that takes {', '.join(arguments)}, as "
                    f"{self.task} gives, got one without {', '.join(lacking)}; add what is missing"
                )
            own = [name for name in named if name not in arguments]
            for name in values:
                if name not in named:
                    raise InputError(
                        f"[model] {self}: expected --arg of a name that the constructor takes "
                        f"({', '.join(own) or 'there is none'}), got {shown(name)}; correct it, or "
                        "leave it out"
                    )
        for name, parameter in signature.parameters.items():
            given = name in arguments or name in values
            free = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
                raise InputError(
                    f"[model] {self}: expected a constructor that takes all arguments by name, got "
                    f"{name} by place only; drop the / after it"
                )
            if not given and not free and parameter.default is parameter.empty:
                raise InputError(
                    f"[model] {self}: expected --arg {name}=VALUE, which the constructor needs, "
                    "got none; give it"
                )

    @contextmanager
    def said_of(self, expected: str) -> Iterator[None]:
        """Inside, an error of the user's code becomes one line that names the file and the line."""
        try:
            yield
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:  # a user's code may raise anything
            path = os.path.abspath(self.file)
            if isinstance(error, CavsError) and f"{path}:" in str(error):
                raise  # which names the line already
            line = _line_of(error, path)
            where = f"{self.file}, line {line}" if line else str(self)
            raise _as_one_line(error, where, expected) from error


def said_of_code(error: Exception) -> InputError | None:
    """The error in one line, if it comes from the code of a user's model, wherever it was called;
    None otherwise."""
    trail, where = error.__traceback__, None
    while trail is not None:
        if str(trail.tb_frame.f_globals.get("__name__", "")).startswith(_MODULE):
            where = f"{trail.tb_frame.f_code.co_filename}, line {trail.tb_lineno}"
        trail = trail.tb_next
    return None if where is None else _as_one_line(error, where, "it to run")


def _as_one_line(error: BaseException, where: str, expected: str) -> InputError:
    said = type(error).__name__
    with suppress(Exception):  # its __str__ may raise
        said = f"{said}: {in_brief(error)}".removesuffix(": ")
    return InputError(f"[model] {where}: expected {expected}, got {said}; mend it there")


def said_of(user: UserModel | None, expected: str) -> AbstractContextManager[None]:
    """See `UserModel.said_of`; does nothing if `user` is None."""
    return nullcontext() if user is None else user.said_of(expected)


def load_user_model(name: str, task: str = "", args: Mapping[str, str] | None = None) -> UserModel:
    """The class that ``FILE.py:CLASS`` names. The file runs, and may import the files beside it.

    Args:
        name: ``FILE.py:CLASS``.
        task: the task of the model, or the built-in model that it replaces.
        args: further arguments of the constructor, as text.

    Raises:
        InputError: the file or the class does not exist, or the file raises; names the line.
    """
    file, colon, class_name = text("model", "the name of a model", name).rpartition(":")
    if not colon or not file or not class_name.isidentifier():
        raise InputError(
            f"[model] expected FILE.py:CLASS, got {shown(name)}; name a file and a class in it"
        )
    given = {} if args is None else mapping("model", "args", args)
    for key, value in given.items():
        text("model", "a name in args", key)
        text("model", f"args[{key!r}]", value)
    model = UserModel(file, class_name, text("model", "task", task), dict(given))
    module = _run_file(model)
    if class_name not in vars(module):
        classes = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        raise InputError(
            f"[model] {file}: expected a class {class_name}, got "
            f"{', '.join(classes) or 'no class at all'}; name one that is there"
        )
    return replace(model, make=vars(module)[class_name])


def parse_arg(text: str) -> tuple[str, str]:
    """Name and value of ``NAME=VALUE``. Raises InputError for any other text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not is_text(value) or len(value) > _LONGEST:
        raise InputError(
            f"[train] expected --arg NAME=VALUE, a name of Python and at most {_LONGEST} "
            f"characters, got {shown(text)}; write it so"
        )
    return name, value


def parse_value(text: str) -> Any:
    """The value of a text as a Python literal; the text itself if it is no literal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd literals
            return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


def _run_file(model: UserModel) -> types.ModuleType:
    """The module of a file. The present text of the file runs, and nothing is written beside it."""
    path = os.path.abspath(model.file)
    content = _read(model.file)
    with model.said_of("Python code"):
        code = compile(content, path, "exec", dont_inherit=True)
    module = types.ModuleType(f"{_MODULE}{path}")
    module.__file__ = path
    # Code that looks for the module of a class, such as dataclasses, finds it there.
    sys.modules[module.__name__] = module
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)
    try:
        with model.said_of("it to run"):
            exec(code, vars(module))
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    return module


def _read(file: str) -> bytes:
    """The bytes of a file. Raises InputError if there is no file."""
    try:
        mode = os.stat(file).st_mode
        if stat.S_ISREG(mode):
            return Path(file).read_bytes()
        reason = "a directory" if stat.S_ISDIR(mode) else "no regular file"
    except FileNotFoundError:
        reason = "no such file"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise InputError(f"[model] {file}: expected a file of Python, got {reason}; check the path")


def _line_of(error: BaseException, path: str) -> int | None:
    """The innermost line of the file at `path` that an error passed; None if it passed none."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    line, trail = None, error.__traceback__
    while trail is not None:
        if trail.tb_frame.f_code.co_filename == path:
            line = trail.tb_lineno
        trail = trail.tb_next
    return line
