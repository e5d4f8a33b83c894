"""What a layer cannot take, or be, is refused in one line that says what to do."""

from typing import Any

import pytest
from torch_cell import GRAPHS, Cell, inputs
from torch_checks import one_line

import cavs
from cavs import nn

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def _under(mode: Any, call: Any) -> Any:
    with mode:
        return call()


def _dual(x: Any) -> Any:
    return torch.autograd.forward_ad.make_dual(x.detach(), torch.ones_like(x))


def _fake(x: Any) -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode().from_tensor(x.detach())


WRONG: dict[str, Any] = {
    "sparse": lambda x: x.detach().to_sparse(),
    "csr": lambda x: x.detach().to_sparse_csr(),
    "meta": lambda x: torch.empty(x.shape, device="meta"),
    "integers": lambda x: x.detach().long(),
    "complex": lambda x: torch.complex(x, x),
    "negated": lambda x: torch.imag(torch.complex(x, x).conj()),
    "another shape": lambda x: x[:2],
    "fake": _fake,
    "none": lambda x: None,
    "learning tensor of cavs": lambda x: cavs.tensor(x.detach().numpy(), requires_grad=True),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_other_tensors_are_refused_in_one_line(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()
    with pytest.raises(cavs.CavsError) as caught:
        layer(GRAPHS, word=given["word"], x=WRONG[kind](given["x"]))
    assert "'x'" in one_line(caught.value)


@pytest.mark.parametrize(
    "word", [[0.5] * 7, [True] * 7, [7] * 7, [-2] * 7, [2**40] * 7, [0] * 6], ids=str
)
def test_wrong_ids_are_refused_in_one_line(word: list[Any]) -> None:
    with pytest.raises(cavs.CavsError) as caught:
        Layer(Cell())(GRAPHS, word=torch.tensor(word), x=inputs()["x"])
    assert "'word'" in one_line(caught.value)


def _fake_mode() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


def _make_fx(call: Any) -> Any:
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(call)


TRANSFORMS: dict[str, Any] = {
    "vmap": lambda f, x: torch.vmap(f)(torch.stack([x, x])),
    "grad": lambda f, x: torch.func.grad(lambda e: f(e).sum())(x),
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (x,)),
    "trace": lambda f, x: torch.jit.trace(f, (x,)),
    "fake mode": lambda f, x: _under(_fake_mode(), lambda: f(x)),
    "make_fx": lambda f, x: _make_fx(f)(x),
    "forward mode": lambda f, x: _under(
        torch.autograd.forward_ad.dual_level(), lambda: f(_dual(x))
    ),
    "vectorized": lambda f, x: torch.autograd.functional.jacobian(f, x, vectorize=True),
}


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_transforms_are_refused_in_one_line(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()

    def call(x: Any) -> Any:
        return layer(GRAPHS, word=given["word"], x=x)["h"].sum(0)

    with pytest.raises(cavs.CavsError) as caught:
        TRANSFORMS[kind](call, given["x"].detach())
    one_line(caught.value)
    layer(GRAPHS, **given)["h"].sum().backward()  # as before


def test_a_third_derivative_is_refused() -> None:
    layer, given = Layer(Cell()), inputs()
    (dx,) = torch.autograd.grad(layer(GRAPHS, **given)["h"].sum(), given["x"], create_graph=True)
    with pytest.raises(cavs.CavsRuntimeError, match="got a third") as caught:
        torch.autograd.grad((dx**2).sum(), given["x"], create_graph=True)
    one_line(caught.value)


def test_errors_of_cavs_come_through() -> None:
    layer, given = Layer(Cell()), inputs()
    with pytest.raises(cavs.InputError, match="'x'"):
        layer(GRAPHS, word=given["word"])
    with pytest.raises(cavs.InputError, match="'y'"):
        layer(GRAPHS, y=1, **given)
    with pytest.raises(cavs.GraphError):
        layer(3, **given)
    layer.function.layers[0] = nn.Linear(4, 4)
    with pytest.raises(cavs.CavsRuntimeError, match=r"layers\[0\]"):
        layer(GRAPHS, **given)


WRONG_OPTIONS: dict[str, dict[str, Any]] = {
    "function": {"function": 3},
    "class": {"function": Cell},
    "dtype": {"dtype": torch.float16},
    "dtype by name": {"dtype": "half"},
    "device": {"device": "cuda"},
    "torch device": {"device": torch.device("cuda", 0)},
    "seed": {"seed": -1},
    "sparse": {"sparse": 2},
    "policy": {"policy": "fast"},
    "passes": {"passes": ["fast"]},
    "outputs": {"outputs": ["z"]},
}


@pytest.mark.parametrize("kind", WRONG_OPTIONS)
def test_wrong_options_are_refused_in_one_line(kind: str) -> None:
    options = {"function": Cell(), **WRONG_OPTIONS[kind]}
    with pytest.raises(cavs.CavsError) as caught:
        Layer(options.pop("function"), **options)
    one_line(caught.value)


def test_what_pytorch_allows_and_cavs_does_not_is_refused_in_one_line() -> None:
    with pytest.raises(cavs.InputError, match=r"by name, got Tensor of shape .*; pass inputs as"):
        Layer(Cell())(GRAPHS, torch.ones(2))

    given = inputs()
    with pytest.raises(cavs.DTypeError, match=r"'word'.*; convert it with \.to\(torch\.int32"):
        Layer(Cell())(GRAPHS, x=given["x"], word=given["word"].float())

    class Mixed(cavs.VertexFunction):
        def __init__(self) -> None:
            self.scale = torch.nn.Parameter(torch.ones(4))

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", 4) * self.scale)

    with pytest.raises(cavs.TraceError, match=r"got PyTorch's Parameter.* cavs\.Parameter\(data"):
        Layer(Mixed())


def test_values_that_are_not_finite_are_found() -> None:
    layer, given = Layer(Cell()), inputs()
    with torch.no_grad():
        layer.get_parameter("layers.0.bias").fill_(float("nan"))
    with cavs.detect_nonfinite(), pytest.raises(cavs.NonFiniteError, match=r"layers\.0\.bias"):
        layer(GRAPHS, **given)
