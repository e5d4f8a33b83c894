"""What users of PyTorch write in a vertex function gets one line with what to use instead."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.core.ops._pytorch import _OPERATIONS, _REMEDIES
from cavs.errors import TraceError

Body = Callable[[Any], Any]
PAGE = "test_ops_pytorch.py:"


class Of(cavs.VertexFunction):
    """A function of ``x`` (4,), and of the ids ``i``."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 4)
        v.push(y=self.body(x) + x)


def refusal(body: Body, error: type[Exception] = TraceError) -> str:
    with pytest.raises(error) as caught:
        cavs.compile(Of(body))
    text = str(caught.value)
    assert "\n" not in text
    assert text.count(PAGE) == 1
    assert "site-packages" not in text
    return text


FUNCTIONS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "tanh": (lambda t, x: t.tanh(x), "got torch.tanh, .*; use ops.tanh;"),
    "cat": (lambda t, x: t.cat([x, x]), "got torch.cat, .*; use ops.concat;"),
    "cat of both": (lambda t, x: t.cat([t.ones(4), x]), "got torch.cat, .*; use ops.concat;"),
    "chunk": (lambda t, x: t.chunk(x, 2), "got torch.chunk, .*; use ops.split;"),
    "matmul": (lambda t, x: t.matmul(t.ones(4, 4), x), "got torch.matmul, .*; use ops.matmul;"),
    "stack": (lambda t, x: t.stack([x, x]), "got torch.stack, .*; use ops.stack"),
    "where": (lambda t, x: t.where(x > 0, x, x), "got torch.where, .*; use ops.where;"),
    "fft": (lambda t, x: t.fft.fft(x), "; use the operations of cavs.ops;"),
    "dropout": (
        lambda t, x: t.nn.functional.dropout(x),
        "got torch.nn.functional.dropout, .*; use ops.dropout;",
    ),
    "linear": (
        lambda t, x: t.nn.functional.linear(x, t.ones(4, 4)),
        "got torch.nn.functional.linear, .*; use ops.linear;",
    ),
    "Linear": (lambda t, x: t.nn.Linear(4, 4)(x), "; use ops.linear;"),
    "Embedding": (lambda t, x: t.nn.Embedding(4, 4)(x), "; use ops.embedding;"),
    "LayerNorm": (lambda t, x: t.nn.LayerNorm(4)(x), "; use ops.layer_norm;"),
    "Dropout": (lambda t, x: t.nn.Dropout()(x), "; use ops.dropout;"),
    "ReLU": (lambda t, x: t.nn.ReLU()(x), "; use ops.relu;"),
    "GELU": (lambda t, x: t.nn.GELU()(x), "; use ops.gelu"),
    "Sequential": (lambda t, x: t.nn.Sequential(t.nn.Linear(4, 4))(x), "; use ops.linear;"),
    "table": (lambda t, x: t.ones(4)[x], "got torch.Tensor.__getitem__.*ops.embedding"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_or_module_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    function, match = FUNCTIONS[name]
    text = refusal(lambda x: function(torch, x))
    assert text.startswith("[trace] expected operations of cavs.ops on values of F, got torch.")
    assert re.search(match, text), text
    assert text.endswith("; modules of PyTorch stand below or above a layer")


@pytest.mark.parametrize(
    "module", ["LSTMCell", "GRUCell", "GRU", "BatchNorm1d", "MultiheadAttention"]
)
def test_a_module_of_pytorch_that_looks_at_its_argument_first(module: str) -> None:
    torch = pytest.importorskip("torch")
    sizes = {"BatchNorm1d": (4,), "MultiheadAttention": (4, 2)}.get(module, (4, 4))
    layer = getattr(torch.nn, module)(*sizes)
    given = 3 if module == "MultiheadAttention" else 1
    text = refusal(lambda x: layer(*[x] * given), AttributeError)
    assert re.search(r"got \.dim, at .*; modules of PyTorch stand below or above a layer$", text)


def test_tensors_of_pytorch_as_operands_are_refused_as_arrays_are() -> None:
    torch = pytest.importorskip("torch")
    for body in (
        lambda x: torch.ones(4) + x,
        lambda x: x + torch.ones(4),
        lambda x: torch.ones(4) / x,
        lambda x: 1 - torch.ones(4) * x,
        lambda x: torch.ones(4) == x,
        lambda x: torch.ones(4, 4) @ x,
    ):
        assert re.search(r"got PyTorch's Tensor, at .*; bring data .* v\.pull", refusal(body))


def test_pytorch_takes_tensors_of_cavs_as_ever() -> None:
    torch = pytest.importorskip("torch")
    for x in (cavs.tensor([1.0, 2.0]), nn.Parameter([1.0, 2.0])):
        for make in (torch.from_dlpack, torch.as_tensor, torch.tensor, torch.Tensor):
            assert make(x.detach()).tolist() == [1.0, 2.0]
        np.testing.assert_array_equal((torch.ones(2) + x).data, [2.0, 3.0])
        np.testing.assert_array_equal((torch.ones(2) - x).data, [0.0, -1.0])
        assert not torch.is_tensor(x)


ATTRIBUTES = {
    "view": "x.reshape",
    "unsqueeze": "x[None]",
    "squeeze": "x.reshape(-1)",
    "swapaxes": "ops.permute",
    "item": "push it",
    "numpy": "push it",
    "to": "cavs.compile(..., dtype=...)",
    "float": "cavs.compile(..., dtype=...)",
    "long": 'dtype="int32"',
    "cuda": "cavs.compile(..., device=...)",
    "backward": "backward() of the model's output",
    "chunk": "ops.split",
    "add_": "no value is changed in place",
    "relu_": "use ops.relu: no value",
    "masked_fill": "ops.where",
    "dim": "x.ndim",
    "layer_norm": "ops.layer_norm",
    "nothing_of_the_kind": "the operations of cavs.ops",
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_method_that_tensors_of_pytorch_have(name: str) -> None:
    text = refusal(lambda x: getattr(x, name), AttributeError)
    assert re.search(rf"^\[symbol\] expected .* got \.{name}, at .*; ", text)
    assert ATTRIBUTES[name] in text.rpartition("; ")[2]


def test_size_is_a_number_and_not_called() -> None:
    for body in (lambda x: x.size(), lambda x: x.size(-1), lambda x: x.sum().size(0)):
        assert re.search(r"got a call of it, at .*; use x\.shape", refusal(body))
    model = cavs.compile(Of(lambda x: x.reshape(x.size) * x.size))
    found = model(cavs.InputGraph([[]]), x=np.ones((1, 4), np.float32))["y"]
    np.testing.assert_array_equal(found.data, np.full((1, 4), 5.0))


def test_symbols_say_what_they_have_and_can_be_copied() -> None:
    seen: list[Any] = []

    def body(x: Any) -> Any:
        seen.append(x)
        assert not any(hasattr(x, name) for name in (*ATTRIBUTES, "_private", "__dlpack__"))
        assert getattr(x, "item", None) is None
        return x

    cavs.compile(Of(body))
    (x,) = seen
    assert not hasattr(x, "view")
    assert copy.deepcopy(x) is x
    assert repr(copy.copy(x)) == repr(x) == "<pull 'x' vertex[4]>"
    assert repr(pickle.loads(pickle.dumps(x))) == repr(x)


def test_an_operation_that_is_not_there() -> None:
    for name, instead in {
        "cat": "ops.concat",
        "chunk": "ops.split",
        "view": "x.reshape",
        "psi": "ops.digamma",
        "prelu": "ops.leaky_relu",
        "softpluss": "ops.softplus",
        "Softplus": "ops.softplus",
        "relu_": "ops.relu",
        "argmin": "ops.argmax(-x)",
        "cdist": "x[:, None] - y",
        "einsum": "ops.matmul",
        "randint": "ops.argmax(v.uniform(size))",
        "fft": "compute it",
        "_private": "compute it",
    }.items():
        with pytest.raises(AttributeError, match=rf"^\[ops\] expected .*, got '{name}'; ") as error:
            getattr(ops, name)
        assert instead in str(error.value)
        assert not hasattr(ops, name)
    with pytest.raises(AttributeError, match=r"expected one of abs, argmax, .*, where, got"):
        getattr(ops, "fft")  # noqa: B009


def test_the_tables_name_what_there_is() -> None:
    assert set(_OPERATIONS.values()) <= set(ops.__all__)
    assert not (set(_OPERATIONS) | set(_REMEDIES)) & set(ops.__all__)
    for text in _REMEDIES.values():
        for name in re.findall(r"\bops\.(\w+)", text):
            assert name in ops.__all__
        for name in re.findall(r"\bx\.(\w+)", text):
            assert name in dir(cavs.Symbol)


X = np.float64([0.3, -1.2, 7.5, 2.0])
FORMULAE = {
    "hardtanh": lambda t, x: t.nn.functional.hardtanh(x),
    "logsigmoid": lambda t, x: t.nn.functional.logsigmoid(x),
    "neg": lambda t, x: t.neg(x),
    "norm": lambda t, x: t.norm(x),
    "relu6": lambda t, x: t.nn.functional.relu6(x),
    "std": lambda t, x: t.std(x),
    "var": lambda t, x: t.var(x),
}


@pytest.mark.parametrize("name", FORMULAE)
def test_a_formula_is_what_pytorch_computes(name: str) -> None:
    torch = pytest.importorskip("torch")
    expected = FORMULAE[name](torch, torch.from_numpy(X)).numpy() + X
    text = _REMEDIES[name].removeprefix("use ")
    model = cavs.compile(Of(lambda x: eval(text, {"ops": ops, "x": x})), dtype="float64")
    found = model(cavs.InputGraph([[]]), x=X[None])["y"].data[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("sofmax", "use ops.softmax"),
        ("bincount", "compute it from"),
        ("poisson", "compute it from"),
    ],
)
def test_only_names_that_are_near_are_suggested(name: str, instead: str) -> None:
    with pytest.raises(AttributeError, match=rf"got '{name}'; {instead}"):
        getattr(ops, name)
