"""A layer takes tensors of any layout and precision, arrays, lists, and the options of compile."""

from typing import Any

import pytest
from torch_cell import GRAPHS, Cell, arrays, inputs

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


FLOATS: dict[str, Any] = {
    "float64": lambda x: x.double(),
    "bfloat16": lambda x: x.bfloat16(),
    "half": lambda x: x.half(),
    "transposed": lambda x: x.t().contiguous().t(),
    "expanded": lambda x: x[:1].expand(x.shape),
    "every second": lambda x: torch.stack([x, x], 2).flatten(1)[:, ::2],
    "offset": lambda x: torch.cat([x[:1], x])[1:],
    "parameter": lambda x: torch.nn.Parameter(x),
}


@pytest.mark.parametrize("kind", FLOATS)
def test_float_inputs_of_any_layout_and_precision(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()
    x = FLOATS[kind](given["x"].detach()).detach().requires_grad_()
    y = layer(GRAPHS, word=given["word"], x=x)["square"]
    same = x.detach().float().contiguous().clone().requires_grad_()
    z = layer(GRAPHS, word=given["word"], x=same)["square"]
    assert torch.equal(y, z)
    y.sum().backward()
    z.sum().backward()
    assert x.grad.dtype == x.dtype
    assert torch.equal(x.grad, same.grad.to(x.dtype))


def test_dense_inputs_are_read_in_place_and_outputs_share_memory() -> None:
    class Same(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", 4) * 1.0)

    layer = Layer(Same())
    seen = []
    original = layer.model._executor.forward

    def spy(graphs: Any, arrays: Any, *rest: Any, **options: Any) -> Any:
        outputs, run, updates = original(graphs, arrays, *rest, **options)
        seen.append((arrays["x"], outputs["y"]))
        return outputs, run, updates

    layer.model._executor.forward = spy
    x = torch.randn(GRAPHS.num_vertices, 4, requires_grad=True)
    y = layer(GRAPHS, x=x)["y"]
    ((given, made),) = seen
    assert given.ctypes.data == x.data_ptr()
    assert made.ctypes.data == y.data_ptr()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_integer_inputs_of_any_width(dtype: str) -> None:
    layer, given = Layer(Cell()), inputs()
    word = given["word"].clamp(min=0)
    expected = layer(GRAPHS, word=word, x=given["x"])["h"]
    strided = torch.stack([word, word], 1)[:, 0].to(getattr(torch, dtype))
    assert torch.equal(layer(GRAPHS, word=strided, x=given["x"])["h"], expected)


def test_arrays_lists_and_graphs_will_do() -> None:
    layer, plain = Layer(Cell()), arrays()
    expected = layer(GRAPHS, **inputs())["h"]
    assert torch.equal(layer(GRAPHS, **plain)["h"], expected)
    listed = {name: x.tolist() for name, x in plain.items()}
    assert torch.equal(layer(cavs.unbatch(GRAPHS), **listed)["h"], expected)


def test_options_are_those_of_compile() -> None:
    layer = Layer(Cell(), outputs=["h"], dtype="float64", device=torch.device("cpu"), passes=[])
    assert list(layer(GRAPHS, **inputs())) == ["h"]
    assert layer(GRAPHS, **inputs())["h"].dtype == torch.float64
    assert "Cell: word, x -> h" in repr(layer) or "Cell: x, word -> h" in repr(layer)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert Layer(Cell()).embedding.weight.dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_autocast() -> None:
    layer, given, linear = Layer(Cell()), inputs(), torch.nn.Linear(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        x = linear(given["x"])
        assert x.dtype == torch.bfloat16
        y = layer(GRAPHS, word=given["word"], x=x)["h"]
    assert y.dtype == torch.float32
    y.sum().backward()
    assert linear.weight.grad.dtype == torch.float32
