"""Modules: whose parameters have which path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.core.vertex import Module
from cavs.errors import CheckpointError, InputError, TraceError


def parameter() -> cavs.Parameter:
    return nn.Linear(3, 3, bias=False).weight


def layer(**attributes: Any) -> Module:
    module = Module()
    vars(module).update(attributes)
    return module


class Function(cavs.VertexFunction):
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        for p in self.parameters():
            x = x + ops.sum(p)
        v.push(y=x)


COLLISIONS: dict[str, tuple[dict[str, Any], str]] = {
    "dot": (
        {"d": {"a": {"b": parameter()}, "a.b": parameter()}},
        r"path 'd\.a\.b', got two, Function\.d\['a'\]\['b'\] and Function\.d\['a\.b'\]",
    ),
    "digits": ({"d": {1: parameter(), "1": parameter()}}, r"Function\.d\[1\] and .*\['1'\]"),
    "list": ({"d": {"l": [parameter()], "l.0": parameter()}}, r"\['l'\]\[0\] and .*\['l\.0'\]"),
    "tuple": ({"d": {"l.0": parameter(), "l": (parameter(),)}}, r"\['l\.0'\] and .*\['l'\]\[0\]"),
    "module": (
        {"m": layer(w=parameter()), "d": {}, "m.w": parameter()},
        r"'m\.w', got two, Function\.m\.w and Function\.__dict__\['m\.w'\]",
    ),
    "in a module": (
        {"m": layer(d={"a.b": parameter(), "a": layer(b=parameter())})},
        r"'m\.d\.a\.b', got two, Function\.m\.d\['a\.b'\] and Function\.m\.d\['a'\]\.b",
    ),
}


@pytest.mark.parametrize("kind", COLLISIONS)
def test_parameters_with_one_path_are_refused(kind: str) -> None:
    attributes, match = COLLISIONS[kind]
    for use in (cavs.compile, Function.state_dict, Function.parameters):
        with pytest.raises(TraceError, match=match):
            use(Function(**attributes))


def test_a_shared_parameter_has_the_path_of_its_first_place() -> None:
    shared, other = parameter(), parameter()
    function = Function(d={"a": {"b": shared}, "a.b": shared, "c": [other, shared]})
    assert [name for name, _ in function.named_parameters("f.")] == ["f.d.a.b", "f.d.c.0"]
    state = cavs.compile(function).state_dict()
    assert state["d.c.0"] is other.data


# --- What users of PyTorch call


class Part(Module):
    def __init__(self) -> None:
        self.one = nn.Linear(2, 2)


class Whole(cavs.VertexFunction):
    """Modules as attributes, in lists, tuples and dictionaries; one of them twice."""

    def __init__(self) -> None:
        self.part = Part()
        self.layers = [nn.Linear(2, 2), (nn.Dropout(0.5), self.part.one)]
        self.by_name = {"a": {"b": Part()}}
        self.rate = 0.5
        self.children = "an attribute of the user's may have any name"  # type: ignore[assignment]

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 2)
        x = self.part.one(self.layers[0](x)) + self.by_name["a"]["b"].one(x)
        v.push(y=self.layers[1][0](x))


PATHS = [
    *("", "part", "part.one", "layers.0", "layers.1.0"),
    *("by_name.a.b", "by_name.a.b.one"),
]


def test_named_modules_come_once_each_before_those_in_it() -> None:
    whole = Whole()
    found = dict(whole.named_modules())
    assert list(found) == PATHS
    assert found[""] is whole
    assert found["layers.1.0"] is whole.layers[1][0]
    assert list(map(id, whole.modules())) == list(map(id, found.values()))
    assert [name for name, _ in whole.named_modules("m")] == [
        f"m.{path}" if path else "m" for path in PATHS
    ]
    names = [name for name, _ in Module.named_children(whole)]
    assert names == ["part", "layers.0", "layers.1.0", "layers.1.1", "by_name.a.b"]
    assert next(iter(Part().children())).weight.shape == (2, 2)
    model = cavs.compile(whole)
    assert [name for name, _ in model.named_modules()] == PATHS
    program = cavs.compile(cavs.VertexProgram({"f": whole, "g": Whole()}))
    paths = [name for name, _ in program.named_modules()]
    assert paths[:2] == ["", "f"]
    assert "g.part.one" in paths
    assert len(paths) == 15


def test_named_modules_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")

    class Theirs(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.part = torch.nn.ModuleDict({"one": torch.nn.Linear(2, 2)})
            self.other = torch.nn.Linear(2, 2)
            self.again = self.part["one"]

    class Ours(Module):
        def __init__(self) -> None:
            self.part = Part()
            self.other = nn.Linear(2, 2)
            self.again = self.part.one

    theirs, ours = Theirs(), Ours()
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    order: list[str] = []
    ours.apply(lambda m: order.append(type(m).__name__))
    expected: list[str] = []
    theirs.apply(lambda m: expected.append(type(m).__name__))
    names = {"Ours": "Theirs", "Part": "ModuleDict"}
    # A shared module counts once here; PyTorch's apply calls it as often as it stands there.
    assert [names.get(n, n) for n in order] == expected[:3] + expected[4:]


def test_a_module_that_stands_in_itself_comes_once() -> None:
    outer = layer(inner=layer())
    outer.inner.outer = [outer, {"again": outer.inner}]
    assert [name for name, _ in outer.named_modules()] == ["", "inner"]
    endless: list[Any] = [nn.Linear(2, 2)]
    endless.append(endless)
    assert [name for name, _ in layer(a=endless).named_modules()] == ["", "a.0"]


def test_apply_initialises_parameters_in_place() -> None:
    model = cavs.compile(Whole())

    def fill(module: Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.25)

    assert model.apply(fill) is model
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    assert len(weights) == 3
    for weight in weights:
        assert (weight.data == 0.25).all()
    with pytest.raises(InputError, match=r"^\[apply\] expected a function of a module, got None"):
        model.apply(None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="of the user's"):
        model.function.apply(lambda _: (_ for _ in ()).throw(RuntimeError("of the user's")))


def test_a_load_that_is_not_strict_says_what_is_missing_and_unexpected() -> None:
    for make in (Part, lambda: cavs.compile(Whole())):
        owner: Any = make()
        before = {name: p.data.copy() for name, p in owner.named_parameters()}
        bias = next(name for name in before if name.endswith("bias"))
        state = {bias: before[bias] + 1, "another": object()}
        result = owner.load_state_dict(state, strict=False)
        assert result.missing == [name for name in before if name != bias]
        assert result.unexpected == ["another"]
        missing, unexpected = owner.load_state_dict(owner.state_dict())
        assert (missing, unexpected) == ([], [])
        for name, p in owner.named_parameters():
            expected = before[name] + 1 if name == bias else before[name]
            np.testing.assert_array_equal(p.data, expected)
        with pytest.raises(CheckpointError, match=r"'another' is unexpected"):
            owner.load_state_dict(state)
        with pytest.raises(CheckpointError, match=r"has shape \(9,\) instead of"):
            owner.load_state_dict({bias: np.zeros(9)}, strict=False)


def test_a_load_of_a_program_may_be_not_strict() -> None:
    program = cavs.compile(cavs.VertexProgram({"f": Whole()}))
    state = program.state_dict()
    weight = state.pop("f.part.one.weight")
    missing, unexpected = program.load_state_dict({**state, "g": weight}, strict=False)
    assert (missing, unexpected) == (["f.part.one.weight"], ["g"])


def test_train_takes_a_mode() -> None:
    model = cavs.compile(Whole())
    program = cavs.compile(cavs.VertexProgram({"f": Whole(), "g": Whole()}))
    for owner in (model, program):
        for change, expected in ((lambda o: o.train(False), False), (lambda o: o.train(), True)):
            assert change(owner) is owner
            assert owner.training is expected
        assert owner.eval() is owner
        assert not owner.training
        assert owner.train(mode=True).training
        with pytest.raises(InputError, match=r"^\[train\] expected True or False as mode"):
            owner.train("eval")  # type: ignore[arg-type]


# --- Calls


class Squares(Module):
    """A layer of one's own, with a keyword and two results."""

    def __init__(self) -> None:
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Any, *, scale: float = 1.0) -> tuple[Any, Any]:
        y = self.linear(x) * scale
        return y, y * y


class Twice(nn.Linear):
    def forward(self, x: Any) -> Any:
        return 2.0 * super().forward(x)


def test_a_layer_that_defines_forward_is_called() -> None:
    squares, twice = Squares(), Twice(2, 2)

    class Uses(cavs.VertexFunction):
        def __init__(self) -> None:
            self.squares, self.twice = squares, twice

        def forward(self, v: cavs.Vertex) -> None:
            y, z = self.squares(v.pull("x", 2), scale=3.0)
            v.push(y=y, z=z, twice=self.twice(v.pull("x", 2)))

    x = np.float32([[1.0, -2.0]])
    y = squares(cavs.tensor(x), scale=3.0)[0]
    expected = 3.0 * (x @ squares.linear.weight.data.T + squares.linear.bias.data)
    np.testing.assert_allclose(y.data, expected, rtol=1e-5)
    found = cavs.compile(Uses())(cavs.InputGraph([[]]), x=x)
    np.testing.assert_allclose(found["y"].data, expected, rtol=1e-5)
    np.testing.assert_allclose(found["z"].data, expected * expected, rtol=1e-5)
    doubled = 2.0 * (x @ twice.weight.data.T + twice.bias.data)
    np.testing.assert_allclose(twice(cavs.tensor(x)).data, doubled, rtol=1e-5)
    np.testing.assert_allclose(found["twice"].data, doubled, rtol=1e-5)


def test_a_layer_may_still_define_call_and_every_layer_of_nn_has_forward() -> None:
    class Old(nn.Linear):
        def __call__(self, x: Any) -> Any:
            return super().__call__(x) + 1.0

    old, x = Old(2, 2), cavs.tensor(np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(old(x).data, old.forward(x).data + 1.0)
    for kind in (nn.Linear, nn.Embedding, nn.LayerNorm, nn.Dropout):
        assert kind.__call__ is Module.__call__
        assert kind.forward is not Module.forward


def test_calls_of_what_is_not_called_say_what_to_do() -> None:
    with pytest.raises(TraceError, match=r"^\[module\] expected Part\.forward, got none; define"):
        Part()(1.0)
    whole, graph = Whole(), cavs.InputGraph([[]])
    match = r"^\[call\] expected a compiled model, got the vertex function Whole itself; compile it"
    for call in (lambda: whole(), lambda: whole(graph, x=np.ones((1, 2)))):
        with pytest.raises(TraceError, match=match):
            call()
    functions = cavs.VertexProgram({"f": whole})
    with pytest.raises(TraceError, match=r"^\[call\] expected.*compile it.*program\['f'\]\(gra"):
        functions(graph)
    with pytest.raises(InputError, match=r"^\[call\] expected.*\['f'\], got.*program\['f'\]\(gr"):
        cavs.compile(functions)(graph)

    class Outer(cavs.VertexFunction):
        def __init__(self) -> None:
            self.inner = whole

        def forward(self, v: cavs.Vertex) -> None:
            self.inner(v)

    with pytest.raises(TraceError, match=r"vertex function Whole in another one.*forward\(v\)"):
        cavs.compile(Outer())


# --- Freezing


def test_all_parameters_of_a_module_are_frozen_at_once() -> None:
    whole, graph = Whole(), cavs.InputGraph([[], [0]])
    model, x = cavs.compile(whole), np.ones((2, 2), np.float32)
    optimizer = cavs.optim.SGD(model.parameters(), 0.1)
    names = dict(model.named_parameters())
    before = {name: p.data.copy() for name, p in names.items()}
    assert whole.part.requires_grad_(False) is whole.part
    frozen = {name for name, p in names.items() if not p.requires_grad}
    assert frozen == {"part.one.weight", "part.one.bias"}
    model.step(graph, optimizer, loss="y", x=x)
    model(graph, x=x)["y"].sum().backward()
    optimizer.step()
    changed = {name for name, p in names.items() if (p.data != before[name]).any()}
    assert changed == set(names) - frozen
    assert all(names[name].grad is None for name in frozen)
    assert whole.part.requires_grad_() is whole.part
    assert all(p.requires_grad for p in model.parameters())
    model.step(graph, optimizer, loss="y", x=x)
    assert all((names[name].data != before[name]).any() for name in frozen)


def test_models_and_programs_are_frozen_too() -> None:
    whole, other = Whole(), Whole()
    model = cavs.compile(whole)
    program = cavs.compile(cavs.VertexProgram({"f": other, "g": Whole()}))
    for owner in (model, program, program["f"]):
        assert owner.requires_grad_(False) is owner
        assert not any(p.requires_grad for p in owner.parameters())
        y = (model if owner is model else program["f"])(cavs.InputGraph([[]]), x=np.ones((1, 2)))
        assert not y["y"].requires_grad
        assert owner.requires_grad_(True) is owner
        assert all(p.requires_grad for p in owner.parameters())
        with pytest.raises(InputError, match=r"^\[requires_grad_\] expected True or False"):
            owner.requires_grad_("no")  # type: ignore[arg-type]
    y = model(cavs.InputGraph([[]]), x=np.ones((1, 2), np.float32))["y"]
    model.requires_grad_(False)
    with pytest.raises(cavs.CavsRuntimeError, match="requires_grad of the parameters as in"):
        y.sum().backward()
