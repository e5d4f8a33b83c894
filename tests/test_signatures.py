"""What `help` shows of the public API: every name, with a short signature."""

import inspect
import pydoc
import re
import subprocess
import sys
import typing
from types import FunctionType
from typing import Any

import pytest

import cavs
from cavs import data, models, nn, optim, training
from cavs._signatures import _functions, _short

PACKAGES = {"cavs": cavs, "optim": optim, "nn": nn, "data": data, "models": models}
FUNCTIONS = {
    f"{f.__module__}.{f.__qualname__}": f
    for package in (*PACKAGES.values(), training)
    for x in list(vars(package).values())
    for f in _functions(x)
    if f.__module__.partition(".")[0] == "cavs" and not hasattr(f, "__wrapped__")
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_short_signatures_are_the_functions_own_without_types(name: str) -> None:
    function = FUNCTIONS[name]
    bare = FunctionType(function.__code__, {}, name, function.__defaults__, function.__closure__)
    bare.__kwdefaults__ = function.__kwdefaults__
    assert _short(function) == inspect.signature(bare) == inspect.signature(function)
    assert function.__annotations__ or not inspect.signature(function).parameters


def test_signatures_of_every_kind_of_parameter() -> None:
    def every(a: int, /, b: int, c: int = 1, *d: int, e: int, f: int = 2, **g: int) -> None: ...

    assert str(_short(every)) == "(a, /, b, c=1, *d, e, f=2, **g)"


def shown(x: Any) -> str:
    return pydoc.render_doc(x, renderer=pydoc.plaintext)


def test_help_is_short() -> None:
    text = shown(cavs.compile)
    assert "compile(function, *, dtype='float32', outputs=None, passes=None, policy=None" in text
    text = shown(cavs.Model)
    for line in (
        "__call__(self, graphs, /, *unnamed, outputs=None, **inputs)",
        "step(self, graphs, optimizer, /, *unnamed, loss='loss', scale=1.0, clip_norm=0.0, ",
        "load_state_dict(self, state, *, strict=True)",
        "train(self, mode=True)",
    ):
        assert line in text
    assert "GraphBatch |" not in re.sub(r"\n +\|  +[A-Z].*", "", text)
    assert "Loader(dataset, batch_size, *, shuffle=False, seed=None" in shown(cavs.data.Loader)
    assert "from_edges(num_vertices, children, parents" in shown(cavs.InputGraph)


def test_types_are_still_there_for_those_who_ask() -> None:
    assert typing.get_type_hints(optim.SGD.__init__)["lr"] is float


def test_all_names_the_public_ones() -> None:
    assert cavs.__all__ == sorted(set(cavs.__all__), key=cavs.__all__.index)
    for name in cavs.__all__:
        assert getattr(cavs, name) is not None
    assert dir(cavs) == sorted(cavs.__all__)
    # What the package imports by a name of its own is public.
    public = {
        name
        for name, x in vars(cavs).items()
        if not name.startswith("_") and getattr(x, "__module__", None) not in (None, "typing")
    }
    assert public <= set(cavs.__all__)
    names: dict[str, Any] = {}
    exec("from cavs import *", names)
    assert set(cavs.__all__) <= set(names)


def test_packages_are_imported_when_they_are_asked_for() -> None:
    code = (
        "import sys, cavs\n"
        "later = ['cavs.data', 'cavs.models', 'cavs.training', 'safetensors', 'torch', 'tqdm']\n"
        "assert not set(later) & set(sys.modules), set(later) & set(sys.modules)\n"
        "assert cavs.data.Loader and cavs.models.LSTM and cavs.training.Trainer\n"
        "assert cavs.data is sys.modules['cavs.data']\n"
        "assert 'data' in dir(cavs)\n"
        "try:\n    cavs.trainings\n"
        "except AttributeError as error:\n"
        "    assert \"'trainings'; use cavs.training\" in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
