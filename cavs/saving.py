"""Models in files: `cavs.save` and `cavs.load`.

A file is of safetensors, with the arrays, and JSON in its metadata: options, mode, random state and
what `saved_objects` says of the modules; and a checksum of both. Reading it runs no code; the
modules of its classes are imported, which runs their code, where they are cavs's own or the caller
consents.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from cavs._arguments import items, shown
from cavs._files import save_atomically
from cavs._signatures import shorten
from cavs.device import find_device, host
from cavs.errors import CavsRuntimeError, CheckpointError, DeviceError, InputError
from cavs.model import Model
from cavs.program import Program, compile
from cavs.rebuilt_objects import Damaged, Rebuilt, paths_in
from cavs.saved_objects import Description, imported
from cavs.scheduler import LearnedPolicy

FORMAT = "cavs-model"
FORMAT_VERSION = 1

# Whose classes and functions need no consent. No other module of cavs is imported for a file.
_OWN = ("cavs.core", "cavs.models", "cavs.nn")
_PARTS: dict[str, Any] = {
    "modules": list,
    "own": dict,
    "options": dict,
    "training": (bool, dict),
    "random": dict,
}
_OPTIONS = ("dtype", "outputs", "passes", "policy", "executor", "device", "extra_children")

Trust = str | type | Iterable[str | type]


def save(model: Model | Program, path: str | os.PathLike[str]) -> None:
    """Writes a compiled model, or program, to a file, from which :func:`load` makes it again.

    The file has the parameters, the other attributes of the modules, the options of ``compile``,
    the mode and the random state; gradients and optimizers are not in it. Of the code it has the
    import paths of the classes alone, and it does not call constructors again: attributes may be
    modules, parameters, tensors, arrays, numbers, text, vocabularies, functions and classes that
    can be imported, and lists, tuples, sets and dictionaries of these. Modules, parameters,
    tensors, arrays and generators that stand in several places are one object again when they are
    loaded; a collection becomes one for each place.

    A file that was there stays whole until the new one is.

    Args:
        model: as ``cavs.compile`` gave it.
        path: of the file, such as ``tagger.safetensors``.

    Raises:
        CavsRuntimeError: an attribute is something else, which it names, a class cannot be
            imported, or an attribute that ``forward`` read was replaced since it was compiled;
            InputError: no compiled model, one function's of a program, or no path; CheckpointError:
            the file cannot be written. Nothing is written then.
    """
    target = _as_path("save", path)
    try:
        _check_model(model)
        content = _content(model)
    except RecursionError as error:
        raise CavsRuntimeError(
            "[save] expected modules, and collections in their attributes, that are not too deep, "
            "got others; save model.state_dict()"
        ) from error
    save_atomically(target, content, "save")


def _check_model(model: Any) -> None:
    if not isinstance(model, (Model, Program)):
        raise InputError(
            f"[save] expected a compiled model or program, got {shown(model)}; pass what "
            "cavs.compile gave, or save the arrays of state_dict() by safetensors.numpy.save_file"
        )
    model._structure.check(thorough=True)
    if model._structure.root is not model.function:
        raise InputError(
            "[save] expected a model that is no part of a program, got one that is; save the "
            "program"
        )


def _content(model: Model | Program) -> bytes:
    """The bytes of the file."""
    from cavs.training.checkpoint import to_bytes

    first = model if isinstance(model, Model) else next(iter(model.models.values()))
    options = first._options
    if options.rewrite is not None:
        raise InputError(
            "[save] expected a model as cavs.compile gave it, got one whose function was "
            "rewritten; save the model"
        )
    if callable(options.policy) and not isinstance(options.policy, LearnedPolicy):
        raise InputError(
            "[save] expected a policy by name, or one that was learned, got "
            f"{shown(options.policy)}; compile with one of these, or save the arrays of "
            "state_dict() by safetensors.numpy.save_file"
        )
    described = Description(model.function)
    named = vars(model).items()
    own = {k: described.value(x, f"model.{k}") for k, x in named if k not in model._made}
    text = json.dumps(
        {
            "modules": described.modules,
            "own": own,
            "options": {name: getattr(options, name) for name in _OPTIONS}
            | {"device": "cpu", "policy": _described(options.policy)},
            "training": _modes(model),
            "random": model.random_state(),
        }
    )
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "model": text,
        "checksum": checksum(text, described.arrays),
    }
    return to_bytes(described.arrays, metadata)


def _described(policy: Any) -> Any:
    return policy.to_dict() if isinstance(policy, LearnedPolicy) else policy


def checksum(text: str, arrays: Mapping[str, Any]) -> str:
    """The CRC-32 of a description and its arrays: tells of damage, and of no purpose behind it."""
    found = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    for name, array in sorted(arrays.items()):
        found = zlib.crc32(repr((name, array.dtype.str, array.shape)).encode(), found)
        found = zlib.crc32(array.reshape(-1).view("u1"), found)
    return f"{found:08x}"


def _modes(model: Model | Program) -> bool | dict[str, bool]:
    if isinstance(model, Model):
        return model.training
    return {name: one.training for name, one in model.models.items()}


def load(
    path: str | os.PathLike[str], *, trust: Trust = (), device: str = "cpu"
) -> Model | Program:
    """The model, or program, that :func:`save` wrote: compiled again from its modules, with the
    same options, parameters, mode and random state.

    The file may come from anywhere. No code in it runs. It names classes, and importing a class's
    module runs that module: those of ``cavs`` are known; of others the caller says whom to trust.

    Args:
        path: of the file.
        trust: names of modules that may be imported, such as ``("mypackage.models",)``, and with
            them modules below them; or classes, which stand for the modules that define them.
            Classes of a script are in ``"__main__"``.
        device: that it runs on, as of ``cavs.compile``; it may have been saved on another.

    Raises:
        CheckpointError: there is no such file, its bytes have changed, it is of another program or
            version, or needs modules that are not trusted, which it names, or that have no such
            class; InputError: `path` is no path, `trust` something else, or no such device;
            DeviceError: the GPU cannot be used.
    """
    from cavs.training._fields import in_brief

    place = find_device(device, "load").name
    source, trusted = _as_path("load", path), _as_names(trust)
    try:
        described, arrays = _read(source)
        paths = set(paths_in(described["modules"], described["own"]))
        _check_consent(source, paths, trusted)
        rebuilt = Rebuilt(described["modules"], arrays, partial(_found, paths))
        own = {name: rebuilt.value(x) for name, x in described["own"].items()}
    except (Damaged, RecursionError) as error:
        raise _damaged(source, error) from error
    try:
        return _compiled(rebuilt.root, own, described, place)
    except Damaged as error:
        raise _damaged(source, error) from error
    except MemoryError:
        raise
    except Exception as error:  # a forward whose attributes are wrong may raise anything
        if place != host.name and isinstance(error, DeviceError):
            raise  # the device's fault, not the file's
        raise CheckpointError(
            f"[load] {source}: expected a model that compiles, got one that does not "
            f"({type(error).__name__}: {in_brief(error)}); take the code that it was saved with"
        ) from error


def _damaged(source: Path, error: Exception) -> CheckpointError:
    from cavs.training._fields import in_brief

    return CheckpointError(
        f"[load] {source}: expected a model that cavs.save wrote, got one that is damaged "
        f"({in_brief(error)}); take another, or the code that it was saved with"
    )


def _compiled(
    root: Any, own: Mapping[str, Any], described: Mapping[str, Any], device: str
) -> Model | Program:
    given = {**described["options"], "device": device}
    if isinstance(given["policy"], dict):
        given["policy"] = LearnedPolicy.from_dict(given["policy"])
    model: Any = compile(root, **given)
    training = described["training"]
    if isinstance(model, Program):
        for name, one in model.models.items():
            one.train(training[name])
    else:
        model.train(training)
    model.set_random_state(described["random"])
    if not model._made.isdisjoint(own):
        raise Damaged("an attribute of the model is one that cavs makes")
    vars(model).update(own)
    return model  # type: ignore[no-any-return]


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    """The description and the arrays of a file.

    Raises:
        Damaged: there is no description of the right form.
    """
    from cavs.training._fields import parse_json
    from cavs.training.checkpoint import read_safetensors

    metadata, arrays = read_safetensors(path, _check_format, component="load")
    try:
        if metadata["checksum"] != checksum(metadata["model"], arrays):
            raise Damaged("its bytes have changed since")
        found = parse_json(metadata["model"])
    except KeyError as error:
        raise Damaged(f"there is no {error.args[0]} in it; the first files had none") from error
    except ValueError as error:
        raise Damaged("there is no description in it") from error
    whole = isinstance(found, dict) and set(found) == set(_PARTS)
    if not whole or not all(isinstance(found[name], kind) for name, kind in _PARTS.items()):
        raise Damaged("its description has other parts")
    if set(found["options"]) != set(_OPTIONS):
        raise Damaged("its description has other options")
    return found, arrays


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    kind = metadata.get("format")
    if kind == "cavs-checkpoint":
        raise CheckpointError(
            f"[load] {path}: expected a model that cavs.save wrote, got a checkpoint of `cavs "
            "train`; read it by cavs.training.load_checkpoint"
        )
    if kind != FORMAT:
        raise CheckpointError(
            f"[load] {path}: expected a model that cavs.save wrote, got a safetensors file of "
            f"format {shown(kind)}; save one by cavs.save"
        )
    version = metadata.get("format_version", "none")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"[load] {path}: expected format version {FORMAT_VERSION}, got {shown(version)}; read "
            "it with the version of cavs that wrote it"
        )


# Consent


def _as_names(trust: Any) -> tuple[str, ...]:
    given = [trust] if isinstance(trust, (str, type)) else trust
    kinds = (str, type)
    found: list[Any] = items("load", "trust", given, kinds, "names of modules, and classes,")
    return tuple(x if isinstance(x, str) else x.__module__ for x in found)


def _check_consent(path: Path, paths: Iterable[str], trusted: tuple[str, ...]) -> None:
    """Checks the modules of import paths before any of them is imported."""
    modules = {name.partition(":")[0] for name in paths}
    strange = sorted(name for name in modules if not _is_below(name, (*_OWN, *trusted)))
    if strange:
        names = ", ".join(map(shown, strange[:4])) + (", ..." if len(strange) > 4 else "")
        raise CheckpointError(
            f"[load] {path}: expected classes of cavs or of modules that are trusted, got classes "
            f"of {names}, whose code would run; if you trust it, pass trust=({names},)"
        )


def _is_below(module: str, above: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in above)


def _found(consented: Collection[str], path: str) -> Any:
    """What stands at an import path, which is one of those that have consent."""
    if path not in consented:
        raise Damaged(f"{shown(path)} stands where nothing is imported")
    module = path.partition(":")[0]
    try:
        import_module(module)
    except MemoryError:
        raise
    except Exception as error:  # the module's own code runs
        raise Damaged(f"{shown(module)} cannot be imported: {type(error).__name__}") from error
    x = imported(path)
    # Not what the module imported from others: those may have no consent.
    if x is None or getattr(x, "__module__", None) != module:
        raise Damaged(f"{shown(module)} has no {shown(path.partition(':')[2])}")
    return x


def _as_path(component: str, path: Any) -> Path:
    with suppress(TypeError, ValueError):
        found = os.fspath(path)
        if isinstance(found, str) and b"\0" not in os.fsencode(found) and Path(found).name:
            return Path(found)
    raise InputError(f"[{component}] expected the path of a file, got {shown(path)}; pass one")


shorten([save, load])
