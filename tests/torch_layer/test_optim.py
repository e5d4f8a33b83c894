"""`cavs.torch.optim` beside `torch.optim`: the same steps, and states that go both ways."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, inputs
from torch_steps import assert_equal, assign, parameters

import cavs
from cavs.errors import CavsError

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip
from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: E402  isort: skip

optim = cavs.torch.optim

# Options of ours, and of PyTorch's where they differ.
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adagrad", {"lr": 0.1, "weight_decay": 0.1, "eps": 1e-6, "initial_accumulator_value": 0.5}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "eps": 1e-6}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "centered": True, "eps": 1e-3}),
]
NAMES = sorted({name for name, _ in CASES})


def pair(name: str, options: dict[str, Any], dtype: Any = torch.float32) -> Any:
    """Ours and PyTorch's over equal parameters."""
    ours, theirs = parameters(dtype), parameters(dtype)
    return (ours, getattr(optim, name)(ours, **options)), (
        theirs,
        getattr(torch.optim, name)(theirs, **options),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps_are_those_of_torch_optim(name: str, options: dict[str, Any], dtype: Any) -> None:
    (ours, own), (theirs, other) = pair(name, options, dtype)
    for number in range(5):
        for params, optimizer in ((ours, own), (theirs, other)):
            optimizer.zero_grad()
            assign(params, number)
            optimizer.step()
        assert_equal(ours, theirs)
    own.zero_grad()
    assert all(p.grad is None for p in ours)
    assign(ours, 0)
    own.zero_grad(set_to_none=False)
    assert all(not p.grad.any() for p in ours)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_states_go_both_ways(name: str, options: dict[str, Any]) -> None:
    (ours, own), (theirs, other) = pair(name, options)
    for number in range(6):
        for params, optimizer in ((ours, own), (theirs, other)):
            assign(params, number)
            optimizer.step()
        if number == 2:
            mine, its = copy.deepcopy(own.state_dict()), copy.deepcopy(other.state_dict())
            own.load_state_dict(its)
            other.load_state_dict(mine)
        assert_equal(ours, theirs)
    for of_ours, of_theirs in zip(own.param_groups, other.param_groups, strict=True):
        for option in own.defaults:
            assert of_theirs[option] == of_ours[option]


def sparse_case(name: str, options: dict[str, Any], *, coalesced: bool) -> tuple[Any, Any]:
    """A step by a sparse gradient, and one by the same of its rows alone."""
    start = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    whole, rows = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start[[1, 4]].clone())
    own, alone = (getattr(optim, name)([p], **options) for p in (whole, rows))
    for number in range(3):
        draw = torch.Generator().manual_seed(number)
        values = torch.randn(3, 3, generator=draw)
        grad = torch.sparse_coo_tensor([[4, 1, 4]], values, (6, 3), check_invariants=False)
        whole.grad = grad.coalesce() if coalesced else grad
        rows.grad = torch.stack([values[1], values[0] + values[2]])
        own.step()
        alone.step()
    others = [0, 2, 3, 5]
    assert torch.equal(whole.detach()[others], start[others])
    return whole.detach()[[1, 4]], rows.detach()


@pytest.mark.parametrize("coalesced", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_sparse_gradients_change_their_rows_alone(
    name: str, options: dict[str, Any], coalesced: bool
) -> None:
    if name.startswith("Adam"):
        options = {**options, "eps": 0.0}  # where the sparse formula differs
    found, expected = sparse_case(name, options, coalesced=coalesced)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_sparse_vector_is_taken_as_dense() -> None:
    (ours, own), (theirs, other) = pair("Adagrad", {"lr": 0.1})
    for params, optimizer in ((ours, own), (theirs, other)):
        dense = torch.tensor([0.0, 1.0, 0.0, 2.0])
        params[1].grad = dense.to_sparse() if params is ours else dense
        optimizer.step()
    assert_equal(ours, theirs)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_layer_and_a_head_train_as_by_torch_optim(name: str, sparse: bool) -> None:
    def trained(kind: Any, sparse: bool) -> list[Any]:
        layer = cavs.torch.Layer(Cell(), sparse=sparse)
        head = torch.nn.Linear(4, 2)
        with torch.no_grad():
            for p in head.parameters():
                p.copy_(torch.linspace(-1, 1, p.numel()).view(p.shape))
        optimizer = kind([*layer.parameters(), *head.parameters()], lr=0.01)
        given, losses = inputs(), []
        for _ in range(6):
            loss = head(layer(GRAPHS, **given)["h"]).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():  # the model in cavs reads what was written
            alone = cavs.compile(layer.function)(
                GRAPHS, word=given["word"].numpy(), x=given["x"].detach().numpy()
            )
            assert np.allclose(alone["h"].numpy(), layer(GRAPHS, **given)["h"], rtol=1e-6)
        return losses

    if sparse and name not in ("SGD", "Adagrad"):  # rows that a batch does not have go on elsewhere
        found = trained(getattr(optim, name), True)
        assert found[-1] < found[0]
        return
    np.testing.assert_allclose(
        trained(getattr(optim, name), sparse), trained(getattr(torch.optim, name), False), rtol=1e-4
    )


def test_writes_count() -> None:
    """A backward whose weights a step changed is an error, of the layer's and of others."""
    layer = cavs.torch.Layer(Cell())
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    layer(GRAPHS, **inputs())["h"].sum().backward()
    waiting = layer(GRAPHS, **inputs())["h"].sum()
    optimizer.step()
    with pytest.raises(CavsError, match="modified"):
        waiting.backward()
    head = torch.nn.Linear(3, 3)
    x = torch.ones(2, 3, requires_grad=True)
    optimizer = optim.SGD(head.parameters(), lr=0.1)
    head(x).sum().backward()
    waiting = head(x).square().sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        waiting.backward()


def test_hooks_closures_schedules_and_the_profiler() -> None:
    params, events = parameters(), list[str]()
    optimizer = optim.Adagrad(params, lr=0.5)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    assign(params, 0)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.25

    def closure() -> Any:
        events.append("closure")
        assert torch.is_grad_enabled()
        return torch.tensor(3.0)

    assert optimizer.step(closure).item() == 3.0
    handles = [
        optimizer.register_step_pre_hook(lambda *_: events.append("before")),
        optimizer.register_step_post_hook(lambda *_: events.append("after")),
    ]
    optimizer.step()
    assert events == ["closure", "before", "after"]
    for handle in handles:
        handle.remove()
    everywhere = register_optimizer_step_post_hook(lambda *_: events.append("everywhere"))
    optimizer.step()
    everywhere.remove()
    optimizer.step()
    assert events == ["closure", "before", "after", "everywhere"]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    assert any(e.key == "Optimizer.step#Adagrad.step" for e in profile.key_averages())


@pytest.mark.parametrize("name", NAMES)
def test_learning_rates_in_tensors_and_groups(name: str) -> None:
    kind = getattr(optim, name)
    one, two = parameters(), parameters()
    fast = kind([{"params": one[:2]}, {"params": one[2:], "lr": 0.0}], lr=torch.tensor(0.1))
    slow = kind(two[:2], lr=0.1)
    slow.add_param_group({"params": two[2:], "lr": 0.0})
    for params, optimizer in ((one, fast), (two, slow)):
        assign(params, 0)
        optimizer.step()
    assert_equal(one, two)
    assert torch.equal(one[3], parameters()[3])
    assert not torch.equal(one[0], parameters()[0])


def test_memory_that_moved_is_followed() -> None:
    """Data and states may be replaced between steps."""
    (ours, own), (theirs, other) = pair("Adagrad", {"lr": 0.1})
    for number in range(4):
        for params, optimizer in ((ours, own), (theirs, other)):
            assign(params, number)
            optimizer.step()
            params[0].data = params[0].data.clone() + 1
            kept = optimizer.state[params[0]]
            kept["sum"] = kept["sum"] * 2
        assert_equal(ours, theirs)


def test_gradients_of_any_layout() -> None:
    (ours, own), (theirs, other) = pair("Adagrad", {"lr": 0.1})
    for params, optimizer in ((ours, own), (theirs, other)):
        wide = torch.arange(30.0).view(3, 10)
        params[0].grad = wide[:, :5].t()
        params[1].grad = torch.view_as_real(torch.ones(4) * (1 + 2j)).t()[1]
        params[3].grad = torch._neg_view(torch.ones(2, 3, 2))
        optimizer.step()
    assert_equal(ours, theirs)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_by_themselves(how: Any) -> None:
    params = parameters()
    optimizer = optim.Adam(params, lr=0.1)
    assign(params, 0)
    optimizer.step()
    copied = how(optimizer)
    own = copied.param_groups[0]["params"]
    assert_equal(own, params)
    before = [p.detach().clone() for p in params]
    assign(own, 2)
    copied.step()
    assert_equal(params, before)
    assign(params, 2)
    optimizer.step()
    assert_equal(own, params)
