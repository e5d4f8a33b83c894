"""What each public package says it holds: ``__all__``, ``dir`` and ``help``."""

from __future__ import annotations

import importlib
import inspect
import pydoc
from types import ModuleType

import pytest

import cavs
from cavs import data, errors, linalg, models, nn, ops, optim, training

OTHERS = (
    ops,
    linalg,
    data,
    models,
    nn,
    nn.init,
    nn.distributions,
    nn.estimators,
    optim,
    training,
    errors,
)
PACKAGES = {"cavs": cavs, **{x.__name__.removeprefix("cavs."): x for x in OTHERS}}
each_package = pytest.mark.parametrize("name", PACKAGES)


def of_cavs(value: object) -> bool:
    """Whether it is a function or class of cavs."""
    code = inspect.isfunction(value) or inspect.isclass(value)
    return code and str(getattr(value, "__module__", "")).partition(".")[0] == "cavs"


def check(package: ModuleType) -> None:
    names = package.__all__
    assert len(set(names)) == len(names)
    assert names, package
    for name in names:
        value = getattr(package, name)
        assert value is not None
        if of_cavs(value) or inspect.ismodule(value):
            assert (value.__doc__ or "").strip(), f"{package.__name__}.{name} says nothing"
    text = pydoc.render_doc(package, renderer=pydoc.plaintext)
    for name in names:
        assert name in text or name == "__version__"  # which stands as VERSION
        if inspect.isfunction(getattr(package, name)):
            assert f"    {name}(" in text, f"help({package.__name__}) has no {name}"


@each_package
def test_all_of_a_package_is_there_and_documented(name: str) -> None:
    check(PACKAGES[name])


def test_all_of_torch() -> None:
    pytest.importorskip("torch")
    check(importlib.import_module("cavs.torch"))


@each_package
def test_nothing_public_is_left_out(name: str) -> None:
    """What a package's own file defines, or imports by the name itself, is in ``__all__``."""
    package = PACKAGES[name]
    if name == "cavs":  # it has a test of its own
        return
    own, source = package.__name__, inspect.getsource(package)
    public = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_")
        and of_cavs(value)
        and (value.__module__ == own or f" as {key}\n" in source)
    }
    assert public <= set(package.__all__)


@pytest.mark.parametrize("name", ["cavs", "data", "models", "nn", "optim", "training"])
def test_dir_gives_names_and_no_files(name: str) -> None:
    package = PACKAGES[name]
    assert dir(package) == sorted(package.__all__)


def test_stars_import_what_all_says() -> None:
    for package in PACKAGES.values():
        names: dict[str, object] = {}
        exec(f"from {package.__name__} import *", names)
        assert set(package.__all__) <= set(names)


def test_signatures_in_help_of_operations_are_short() -> None:
    text = pydoc.render_doc(ops, renderer=pydoc.plaintext)
    for line in ("linear(x, weight, bias=None)", "sum(x, axis=None, keepdims=False)", "where("):
        assert line in text
    assert "Applies" not in text
