"""What optimizers of `cavs.torch.optim` refuse, values that are not finite, and clipping."""

import copy
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, inputs
from torch_steps import assert_equal, assign, parameters

import cavs
from cavs.errors import DTypeError, InputError, NonFiniteError

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

optim = cavs.torch.optim
NAMES = ["AdamW", "Adagrad", "Adam", "RMSprop", "SGD"]


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_for_another_formula_is_refused(name: str) -> None:
    other = getattr(torch.optim, name)(parameters(), lr=0.1, maximize=True)
    own = getattr(optim, name)(parameters(), lr=0.2)
    with pytest.raises(InputError, match=r"^\[torch\] expected no maximize, got True"):
        own.load_state_dict(other.state_dict())
    state = own.state_dict()
    state["param_groups"][0]["lr"] = -1.0
    with pytest.raises(InputError, match=r"^\[torch\] expected a finite lr >= 0, got -1.0"):
        own.load_state_dict(state)
    assert own.param_groups[0]["lr"] == 0.2


def test_options_of_pytorch() -> None:
    """Those that say how PyTorch computes have no effect; others are refused."""
    optim.Adam(parameters(), fused=True, foreach=False, amsgrad=False, maximize=False)
    optim.SGD(parameters(), dampening=0)
    for name, options in [
        ("AdamW", {"amsgrad": True}),
        ("SGD", {"momentum": 0.9, "dampening": 0.5}),
        ("Adagrad", {"lr_decay": 0.1}),
        ("RMSprop", {"maximize": True}),
    ]:
        message = rf"^\[torch\] expected no {list(options)[-1]}, got .*; take torch.optim.{name}"
        with pytest.raises(InputError, match=message):
            getattr(optim, name)(parameters(), **options)
        with pytest.raises(InputError, match=message):
            getattr(optim, name)([{"params": parameters(), **options}])
    with pytest.raises(InputError, match=r"expected options among \[.*\], got \['speed'\]"):
        optim.SGD(parameters(), speed=1)


def test_states_of_others_are_refused() -> None:
    own = optim.Adagrad(parameters(), lr=0.1)
    params = [cavs.nn.Parameter(np.ones(2, np.float32))]
    message = r"^\[torch\] expected a state of Adagrad of PyTorch"
    for state in (
        optim.Adam(parameters()).state_dict(),
        cavs.optim.Adagrad(params).state_dict(),
        {},
        None,
        {"param_groups": None},
    ):
        with pytest.raises(InputError, match=message):
            own.load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -1.0}, "expected a finite lr >= 0, got -1.0"),
        ("SGD", {"lr": "fast"}, "expected a finite lr >= 0, got 'fast'"),
        ("SGD", {"lr": 0.1, "nesterov": True}, "expected momentum > 0 with nesterov"),
        ("SGD", {"nesterov": 1}, "expected True or False as nesterov"),
        ("Adam", {"betas": 0.9}, "expected two betas"),
        ("Adam", {"betas": (0.9, 1.0)}, "expected a finite beta >= 0 and < 1, got 1.0"),
        ("Adagrad", {"eps": float("nan")}, "expected a finite eps >= 0, got nan"),
        ("RMSprop", {"alpha": 1.0}, "expected a finite alpha >= 0 and < 1"),
        ("RMSprop", {"centered": "no"}, "expected True or False as centered"),
    ],
)
def test_wrong_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^\[torch\] {message}"):
        getattr(optim, name)(parameters(), **options)


def test_parameters_that_cannot_be_taken() -> None:
    optimizer = optim.SGD(parameters(), lr=0.1)
    for wrong, error in [
        (torch.nn.Parameter(torch.ones(2, dtype=torch.float16)), DTypeError),
        (torch.nn.Parameter(torch.ones(2, 3).t()), InputError),
        (torch.nn.Parameter(torch.ones(2, device="meta")), InputError),
    ]:
        with pytest.raises(error, match=r"^\[torch\] expected .*torch.optim$"):
            optim.SGD([wrong], lr=0.1)
        with pytest.raises(error, match=r"^\[torch\] expected"):
            optimizer.add_param_group({"params": [wrong]})
        assert len(optimizer.param_groups) == 1
    with pytest.raises(ValueError, match="empty"):
        optim.SGD([], lr=0.1)


def test_a_gradient_in_the_parameters_memory_is_refused() -> None:
    params = parameters()
    before = [p.detach().clone() for p in params]
    optimizer = optim.SGD(params, lr=0.1)
    assign(params, 0)
    params[3].grad = params[3].detach()
    with pytest.raises(InputError, match="memory of its own"):
        optimizer.step()
    assert_equal(params, before)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_values_that_are_not_finite_are_found(name: str, sparse: bool) -> None:
    """With ``cavs.detect_nonfinite``, before anything has changed."""
    table = torch.nn.Parameter(torch.ones(3, 2))
    other = torch.nn.Parameter(torch.ones(2))
    optimizer = getattr(optim, name)([{"params": [("other", other)]}, {"params": [("e", table)]}])
    other.grad = torch.ones(2)
    whole = torch.ones(3, 2)
    table.grad = whole.to_sparse(1) if sparse else whole
    with cavs.detect_nonfinite():
        optimizer.step()
    before = [p.detach().clone() for p in (other, table)]
    state = copy.deepcopy(optimizer.state_dict())
    whole[1, 1] = float("nan")
    table.grad = whole.to_sparse(1) if sparse else whole
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError, match="gradient of parameter 'e'"):
        optimizer.step()
    whole[1, 1] = 1.0
    table.grad = whole.to_sparse(1) if sparse else whole
    optimizer.param_groups[1]["lr"] = 3e38
    if name != "RMSprop":  # whose mean of squares would be infinite
        optimizer.param_groups[1]["weight_decay"] = 3e38
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError, match="after the update of"):
        optimizer.step()
    assert_equal((other, table), before)
    for key, kept in optimizer.state_dict()["state"].items():
        for what, x in kept.items():
            assert torch.equal(torch.as_tensor(x), torch.as_tensor(state["state"][key][what]))


def test_clipping_takes_sparse_gradients() -> None:
    for most in (0.1, 100.0):
        layer, dense = (cavs.torch.Layer(Cell(), sparse=sparse) for sparse in (True, False))
        for each in (layer, dense):
            each(GRAPHS, **inputs())["square"].sum().backward()
        assert layer.embedding.weight.grad.is_sparse
        found = cavs.torch.clip_grad_norm_(layer.parameters(), most)
        expected = torch.nn.utils.clip_grad_norm_(dense.parameters(), most)
        torch.testing.assert_close(found.float(), expected)
        for a, b in zip(layer.parameters(), dense.parameters(), strict=True):
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None:
                torch.testing.assert_close(a.grad.to_dense(), b.grad)
    p = torch.nn.Parameter(torch.ones(3, 2))
    p.grad = torch.sparse_coo_tensor([[1, 1]], torch.ones(2, 2), (3, 2), check_invariants=False)
    assert cavs.torch.clip_grad_norm_(p, 1.0).item() == pytest.approx(8**0.5)
    torch.testing.assert_close(p.grad.to_dense().norm(), torch.tensor(1.0), rtol=1e-5, atol=0)
    p.grad = torch.full((3, 2), float("inf"))
    with pytest.raises(RuntimeError, match="finite norm"):
        cavs.torch.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert cavs.torch.clip_grad_norm_([], 1.0) == 0
    with pytest.raises(InputError, match=r"^\[torch\] expected torch.nn.Parameter"):
        cavs.torch.clip_grad_norm_([1.0], 1.0)
