"""A name that is not there, often PyTorch's, gets one line that says what to use instead."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import cavs
from cavs._missing import _MODELS, _PACKAGES, _TENSORS


class Double(cavs.VertexFunction):
    def __init__(self) -> None:
        self.layer = cavs.nn.Linear(2, 2)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", 2)))

    def score(self) -> int:
        return 1


def refusal(owner: Any, name: str) -> str:
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    text = str(caught.value)
    assert "\n" not in text
    assert f"got {name!r}; " in text
    return text


NAMES = [
    ("cavs", "cat", "; use cavs.concat"),
    ("cavs", "relu", "; use ops.relu"),
    ("cavs", "nograd", "; use cavs.no_grad"),
    ("cavs", "clip_grad_norm_", "; use cavs.optim.clip_grad_norm"),
    ("cavs.data", "read_jsonl", "; read the rows with json or csv, and use cavs.data.from_rows"),
    ("cavs.linalg", "inv", "; use cavs.linalg.solve(a, numpy.eye(n))"),
    ("cavs.nn", "Bilinear", "; use a Linear, reshape"),
    ("cavs", "xyzzy", "; check how it is written"),
    ("cavs.nn", "Sequential", "; keep layers in a list"),
    ("cavs.nn", "ReLU", "; use ops.relu"),
    ("cavs.nn", "MultiheadAttention", "; use ops.attention"),
    (
        "cavs.nn",
        "TransformerEncoderLayer",
        "; write its layers as vertex functions with ops.attention",
    ),
    ("cavs.nn", "AdaptiveAvgPool2d", "; use ops.mean(x, axis)"),
    ("cavs.nn", "MaskedConv1d", "; pad a Conv1d on one side"),
    ("cavs.nn", "linear", "; use ops.linear"),
    ("cavs.optim", "lr_scheduler", "; use one of its schedules"),
    ("cavs.optim", "clip_grad_norm_", "; use cavs.optim.clip_grad_norm"),
    ("cavs.data", "DataLoader", "; use cavs.data.Loader"),
    ("cavs.models", "TreeLSTM", "; use cavs.models."),
    ("cavs.training", "load_checkpoints", "; use cavs.training.load_checkpoint"),
]


@pytest.mark.parametrize(("package", "name", "instead"), NAMES)
def test_a_package(package: str, name: str, instead: str) -> None:
    text = refusal(importlib.import_module(package), name)
    assert text.startswith(f"[{package.rpartition('.')[2]}] expected a name among dir({package})")
    assert instead in text


def test_no_hint_hides_what_is_there() -> None:
    for package, names in _PACKAGES.items():
        assert not set(names) & set(dir(importlib.import_module(package))), package
    x, model = cavs.tensor([1.0]), cavs.compile(Double())
    assert not [name for name in _TENSORS if hasattr(x, name)]
    assert not [name for name in _MODELS if name in dir(model)]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("argmax", "use x.numpy().argmax"),
        ("view", "use x.reshape(...)"),
        ("long", "use x.astype('int32')"),
        ("add_", "no value is changed in place"),
        ("xyzzy", "use cavs.ops, or x.numpy()"),
    ],
)
def test_a_tensor(name: str, instead: str) -> None:
    for x in (cavs.tensor([1.0]), cavs.nn.Linear(2, 2).weight):
        assert instead in refusal(x, name)


def test_a_model_and_a_program() -> None:
    model = cavs.compile(Double())
    program = cavs.compile(cavs.VertexProgram({"up": Double()}))
    assert refusal(model, "layer").endswith("; use model.function.layer")
    assert refusal(model, "score").endswith("; use model.function.score")
    assert refusal(program, "up").endswith("; use program['up']")
    assert refusal(program, "step").endswith("; call that of a function, program['up'].step")
    for owner in (model, program):
        assert refusal(owner, "cuda").endswith('; use .to("cuda")')
        assert refusal(owner, "xyzzy").endswith("; look it up in its help()")
        for made in (copy.deepcopy(owner), pickle.loads(pickle.dumps(owner))):
            assert made.state_dict().keys() == owner.state_dict().keys()


def test_what_is_asked_of_all_objects_is_answered_as_ever() -> None:
    x = cavs.tensor(np.ones(2, np.float32))
    assert not hasattr(x, "__array_interface__")
    assert np.asarray(x).tolist() == [1.0, 1.0]
    assert copy.deepcopy(x).shape == (2,)
    with pytest.raises(AttributeError, match=r'; use x\.to\("cuda"\)'):
        x.__cuda_array_interface__  # noqa: B018


def test_importing_asks_for_no_near_names() -> None:
    packages = "sys, cavs, cavs.data, cavs.models, cavs.training"
    code = f"import {packages}; assert 'difflib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
