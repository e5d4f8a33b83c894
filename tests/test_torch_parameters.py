"""Parameters that PyTorch and cavs share: one memory, whoever writes to it and however."""

import copy
import gc
import io
import warnings
import weakref
from itertools import product
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, Noisy, arrays, inputs

import cavs
from cavs import nn

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def assert_shared(layer: Any) -> None:
    """Each torch parameter has the memory of the parameter of cavs of the same name."""
    named = dict(layer.function.named_parameters())
    assert set(named) == set(layer.state_dict())
    for name, parameter in named.items():
        tensor = layer.get_parameter(name)
        assert tuple(tensor.shape) == parameter.shape
        assert parameter.read()[0].ctypes.data == tensor.data_ptr(), name


def assert_fresh(layer: Any) -> None:
    """Inference gives what it gives where nothing is remembered or packed: a layer of a copy."""
    state = {name: x.clone() for name, x in layer.state_dict().items()}
    other = Layer(Cell(seed=9), dtype=layer.get_parameter("layers.0.weight").dtype)
    other.load_state_dict(state)
    other.eval()
    layer.eval()
    given = inputs()
    with torch.no_grad():
        expected = other(GRAPHS, **given)["h"]
        found = layer(GRAPHS, **given)["h"]
    assert torch.equal(found, expected)
    values = cavs.compile(copy.deepcopy(layer.function), dtype=layer.model.dtype).eval()
    with cavs.no_grad():
        assert np.array_equal(values(GRAPHS, **arrays())["h"].numpy(), expected.numpy())


def remembering(layer: Any) -> Any:
    """The layer after calls whose results it remembers."""
    layer.eval()
    with torch.no_grad():
        for _ in range(2):
            layer(GRAPHS, **inputs())
    return layer


# --- Names ----------------------------------------------------------------------------------------


def test_names_and_memory_are_those_of_cavs() -> None:
    function = Cell()
    layer = Layer(function)
    assert_shared(layer)
    assert (
        set(layer.state_dict()) == set(function.state_dict()) == set(dict(layer.named_parameters()))
    )
    assert layer.function is function
    assert isinstance(layer.embedding.weight, torch.nn.Parameter)
    assert layer.get_submodule("layers.1").weight is layer.get_parameter("layers.1.weight")


class Odd(cavs.VertexFunction):
    """Names that torch's modules use themselves, and keys of dictionaries."""

    def __init__(self) -> None:
        self.type = nn.Linear(4, 4)
        self.training = [
            nn.Linear(4, 4),
            {"a b": nn.Linear(4, 4), "c.d": nn.Parameter(np.ones(4, np.float32))},
        ]
        self.model = nn.Parameter(np.ones(4, np.float32))
        self._parameters = nn.Linear(4, 4)
        self.half = self.type

    def forward(self, v: cavs.Vertex) -> None:
        x = self.half(self.type(v.pull("x", 4))) * self.model
        x = self.training[0](x) + self.training[1]["a b"](x) * self.training[1]["c.d"]
        v.push(y=self._parameters(x))


def test_any_names_that_cavs_takes() -> None:
    layer = Layer(Odd())
    assert set(layer.state_dict()) == set(layer.function.state_dict())
    x = torch.randn(GRAPHS.num_vertices, 4)
    layer(GRAPHS, x=x)["y"].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    copied = copy.deepcopy(layer)
    assert torch.equal(copied(GRAPHS, x=x)["y"], layer(GRAPHS, x=x)["y"])
    assert layer.double()(GRAPHS, x=x)["y"].dtype == torch.float64


def test_layers_of_one_function_share_parameters() -> None:
    function = Cell()
    first, second = Layer(function), Layer(function, outputs=["h"])
    both = torch.nn.ModuleList([first, second])
    assert len(list(both.parameters())) == len(list(first.parameters()))
    (first(GRAPHS, **inputs())["h"].sum() + second(GRAPHS, **inputs())["h"].sum()).backward()
    with torch.no_grad():
        first.embedding.weight.mul_(2)
        assert torch.equal(first(GRAPHS, **inputs())["h"], second(GRAPHS, **inputs())["h"])
    model = cavs.compile(function)
    with cavs.no_grad():
        plain = model(GRAPHS, **arrays())["h"].numpy()
    assert np.array_equal(plain, first(GRAPHS, **inputs())["h"].detach().numpy())


# --- Writes ---------------------------------------------------------------------------------------


def _ema(layer: Any) -> None:
    for p in layer.parameters():
        p.data.mul_(0.9).add_(torch.ones_like(p.data), alpha=0.1)


def _rows(layer: Any) -> None:
    layer.embedding.weight.data[2:5, 1] = 3.0


def _view_kept(layer: Any) -> None:
    row = layer.embedding.weight.data[3]
    remembering(layer)
    row.fill_(2.0)


def _init(layer: Any) -> None:
    for p in layer.parameters():
        torch.nn.init.uniform_(p)


def _load(layer: Any) -> None:
    layer.load_state_dict({k: torch.randn_like(x) for k, x in layer.state_dict().items()})


def _assign(layer: Any) -> None:
    state = {k: torch.randn_like(x) for k, x in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)
    assert layer.embedding.weight.data_ptr() == state["embedding.weight"].data_ptr()


def _data(layer: Any) -> None:
    layer.embedding.weight.data = torch.randn(7, 4)
    assert_shared(layer)
    layer.embedding.weight.data = torch.randn(7, 4)


def _vector(layer: Any) -> None:
    vector = torch.nn.utils.parameters_to_vector(layer.parameters())
    torch.nn.utils.vector_to_parameters(vector.detach() * 2, layer.parameters())


def _replace(layer: Any) -> None:
    layer.embedding.weight = torch.nn.Parameter(torch.randn(7, 4))


def _set(layer: Any) -> None:
    with torch.no_grad():
        layer.embedding.weight.set_(torch.randn(7, 4))


def _swap(layer: Any) -> None:
    other = torch.nn.Parameter(torch.randn(7, 4))
    torch.utils.swap_tensors(layer.embedding.weight, other)


def _share_memory(layer: Any) -> None:
    layer.share_memory()
    with torch.no_grad():
        layer.embedding.weight.add_(1)


def _cavs_writing(layer: Any) -> None:
    with layer.function.embedding.weight.writing() as values:
        values += 1


def _cavs_data(layer: Any) -> None:
    layer.function.embedding.weight.data[1:] = 0.5


def _cavs_load(layer: Any) -> None:
    layer.function.load_state_dict({k: x + 1 for k, x in layer.function.state_dict().items()})


def _cavs_optimizer(layer: Any) -> None:
    model = cavs.compile(layer.function)
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.1)
    model(GRAPHS, **arrays())["square"].sum().backward()
    optimizer.step()


def _numpy(layer: Any) -> None:
    layer.embedding.weight.detach().numpy()[...] = 0.25
    torch.autograd.graph.increment_version(layer.embedding.weight)


def _detached(layer: Any) -> None:
    layer.embedding.weight.detach().add_(1)


def _alias(layer: Any) -> None:
    torch.nn.Parameter(layer.embedding.weight).data.add_(1)
    with torch.no_grad():
        torch.nn.Parameter(layer.embedding.weight).add_(1)


def _requires_grad(layer: Any) -> None:
    layer.requires_grad_(False)
    layer.embedding.weight.add_(1)


def _averaged(layer: Any) -> None:
    average = torch.optim.swa_utils.AveragedModel(layer)
    with torch.no_grad():
        layer.embedding.weight.add_(1)
    average.update_parameters(layer)
    assert_fresh(average.module)


WRITES = {
    f.__name__.strip("_"): f
    for f in (
        *(_ema, _rows, _view_kept, _init, _load, _assign, _data, _vector, _replace, _set, _swap),
        *(_share_memory, _cavs_writing, _cavs_data, _cavs_load, _cavs_optimizer, _numpy),
        *(_detached, _requires_grad, _averaged),
    )
}


@pytest.mark.parametrize("name", WRITES)
def test_every_write_is_seen(name: str) -> None:
    layer = remembering(Layer(Cell()))
    before = layer.embedding.weight.detach().clone()
    for _ in range(2):
        WRITES[name](layer)
        assert not torch.equal(before, layer.embedding.weight)
        assert_fresh(layer)
        assert_shared(layer)


def test_parameters_made_of_parameters() -> None:
    layer = remembering(Layer(Cell()))
    other = torch.nn.Parameter(layer.embedding.weight)
    assert other.data_ptr() == layer.embedding.weight.data_ptr()
    with torch.no_grad():
        other.add_(1)
    assert_fresh(layer)
    assert type(layer.embedding.weight.detach()) is torch.Tensor
    assert all(type(x) is torch.Tensor for x in layer.state_dict().values())


FUSED = ["SGD", "Adam", "AdamW", "Adagrad"]
OPTIMIZERS = [
    *product([*FUSED, "RMSprop", "Adadelta", "NAdam", "RAdam", "ASGD"], ["plain", "foreach"]),
    *product(FUSED, ["fused"]),
]


@pytest.mark.parametrize(("name", "how"), OPTIMIZERS)
def test_optimizers_of_torch_are_seen(name: str, how: str) -> None:
    layer = Layer(Cell())
    kind: Any = getattr(torch.optim, name)
    options = {} if how == "plain" else {how: True}
    optimizer = kind(layer.parameters(), lr=0.05, **options)
    for _ in range(2):
        remembering(layer).train()
        optimizer.zero_grad()
        layer(GRAPHS, **inputs())["square"].sum().backward()
        before = layer.embedding.weight.detach().clone()
        optimizer.step()
        assert not torch.equal(before, layer.embedding.weight)
        assert_fresh(layer)


def test_results_by_id_are_remembered_until_a_write() -> None:
    layer = remembering(Layer(Cell()))
    parameter = layer.function.embedding.weight
    versions = [parameter.version for _ in range(3)]
    assert len(set(versions)) == 1
    assert parameter.read()[1] >= 0
    with torch.no_grad():
        layer(GRAPHS, **inputs())
    assert parameter.version == versions[0]
    with torch.no_grad():
        layer.embedding.weight.add_(1)
    assert parameter.version != versions[0]
    version = parameter.version
    layer.embedding.weight.data.add_(1)
    assert parameter.version != version


def test_memory_that_cavs_replaced_is_an_error() -> None:
    def assign(layer: Any) -> None:
        layer.function.embedding.weight.data = np.ones((7, 4), np.float32)

    def convert(layer: Any) -> None:
        cavs.compile(layer.function, dtype="float64")

    for replace in (assign, convert):
        layer = Layer(Cell())
        replace(layer)
        with pytest.raises(cavs.CavsRuntimeError, match=r"shares with PyTorch.*; write") as caught:
            layer(GRAPHS, **inputs())
        assert "\n" not in str(caught.value)
        layer.embedding.weight.data = layer.embedding.weight.data.clone()  # shares again
        if replace is assign:
            assert_fresh(layer)


def test_tied_weights() -> None:
    encoder, layer = torch.nn.Embedding(7, 4), Layer(Cell())
    layer.embedding.weight = encoder.weight
    assert_shared(layer)
    model = torch.nn.ModuleDict({"encoder": encoder, "layer": layer})
    assert len(list(model.parameters())) == len(list(layer.parameters()))
    given = inputs()
    x = encoder(given["word"].clamp(min=0))
    layer(GRAPHS, word=given["word"], x=x)["h"].sum().backward()
    assert encoder.weight.grad is layer.embedding.weight.grad
    remembering(layer)
    with torch.no_grad():
        encoder.weight.mul_(2)
    assert_fresh(layer)
    copied = copy.deepcopy(model)
    assert copied["encoder"].weight is copied["layer"].embedding.weight
    assert copied["encoder"].weight is not encoder.weight
    assert_shared(copied["layer"])
    # One for two.
    layer.get_submodule("layers.1").weight = layer.get_parameter("layers.0.weight")
    assert_shared(layer)
    layer.get_parameter("layers.0.weight").data = torch.randn(4, 4)
    assert_shared(layer)
    layer.zero_grad()
    layer(GRAPHS, **given)["h"].sum().backward()
    assert layer.get_parameter("layers.0.weight").grad is not None
    with torch.no_grad():
        expected = layer(GRAPHS, **given)["h"]
    separate = Layer(Cell())
    separate.load_state_dict(layer.state_dict())
    assert torch.equal(separate(GRAPHS, **given)["h"], expected)


# --- Precision and devices ------------------------------------------------------------------------


def test_other_precisions() -> None:
    layer, given = Layer(Cell()), inputs()
    expected = layer(GRAPHS, **given)["h"]
    for convert in (
        lambda: layer.double(),
        lambda: layer.float(),
        lambda: layer.to(torch.float64),
        lambda: torch.nn.Sequential(layer).float(),
    ):
        convert()
        assert_shared(layer)
        y = layer(GRAPHS, **given)["h"]
        assert y.dtype == layer.embedding.weight.dtype
        assert layer.model.dtype.name == str(y.dtype).removeprefix("torch.")
        assert torch.allclose(y.float(), expected, atol=1e-5)
        y.sum().backward()
        assert layer.embedding.weight.grad.dtype == y.dtype
        layer.zero_grad()
        assert_fresh(layer)
        layer.train()


REFUSED: dict[str, Any] = {
    "half": lambda layer: layer.half(),
    "bfloat16": lambda layer: layer.to(torch.bfloat16),
    "in a model": lambda layer: torch.nn.Sequential(layer).half(),
    "meta": lambda layer: layer.to("meta"),
    "empty": lambda layer: layer.to_empty(device="meta"),
    "half data": lambda layer: setattr(layer.embedding.weight, "data", torch.ones(7, 4).half()),
    "other shape": lambda layer: setattr(layer.embedding.weight, "data", torch.ones(6, 4)),
    "transposed": lambda layer: setattr(layer.embedding.weight, "data", torch.ones(4, 7).t()),
    "transposed parameter": lambda layer: setattr(
        layer.embedding, "weight", torch.nn.Parameter(torch.ones(4, 7).t())
    ),
    "other parameter": lambda layer: setattr(
        layer.embedding, "weight", torch.nn.Parameter(torch.ones(6, 4))
    ),
    "no parameter": lambda layer: setattr(layer.embedding, "weight", None),
    "another module": lambda layer: setattr(layer, "embedding", torch.nn.Embedding(7, 4)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cavs_cannot_read_is_refused_and_nothing_changes(kind: str) -> None:
    layer = Layer(Cell())
    before = {name: (p, p.data_ptr()) for name, p in layer.named_parameters()}
    with pytest.raises(cavs.CavsError) as caught:
        REFUSED[kind](layer)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("[torch] expected ")
    assert "; " in message
    assert {name: (p, p.data_ptr()) for name, p in layer.named_parameters()} == before
    assert_shared(layer)
    assert_fresh(layer)


def test_assigning_a_state_that_does_not_fit_names_the_parameter() -> None:
    layer = Layer(Cell())
    state = {name: x.half() for name, x in layer.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"\[torch\] expected parameter"):
        layer.load_state_dict(state, assign=True)


def test_mixed_precisions_are_refused_in_one_line() -> None:
    layer = Layer(Cell())
    layer.embedding.double()
    with pytest.raises(cavs.DTypeError, match=r"\[torch\] expected all parameters of one dtype"):
        layer(GRAPHS, **inputs())
    layer.double()
    assert_fresh(layer)


# --- Tensors in the place of parameters -----------------------------------------------------------


def test_functional_call() -> None:
    layer, given = remembering(Layer(Cell())), inputs()
    names = [name for name, _ in layer.named_parameters()]
    values = [torch.randn_like(p).requires_grad_() for p in layer.parameters()]
    state = dict(zip(names, values, strict=True))
    y = torch.func.functional_call(layer, state, (GRAPHS,), given)["h"]
    other = Layer(Cell())
    other.load_state_dict({name: x.detach() for name, x in state.items()})
    assert torch.equal(y, other.eval()(GRAPHS, **given)["h"])
    y.sum().backward()
    other(GRAPHS, **given)["h"].sum().backward()
    for name, x in state.items():
        expected = other.get_parameter(name).grad
        assert (x.grad is None and expected is None) or torch.equal(x.grad, expected), name
    assert all(p.grad is None for p in layer.parameters())
    assert_shared(layer)
    assert_fresh(layer)
    for wrong in (torch.randn(6, 4), torch.randn(7, 4).half(), torch.randn(4, 7).t()):
        with pytest.raises(cavs.CavsError, match=r"'embedding\.weight'"):
            torch.func.functional_call(layer, {"embedding.weight": wrong}, (GRAPHS,), given)


class Symmetric(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).transpose(0, 1)


def test_parametrizations() -> None:
    layer, given = Layer(Cell()), inputs()
    part = layer.get_submodule("layers.0")
    torch.nn.utils.parametrize.register_parametrization(part, "weight", Symmetric())
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        y = layer(GRAPHS, **given)["h"]
        plain = Layer(Cell())
        weights = {"layers.0.weight": part.weight.detach().contiguous()}
        for name in ("embedding.weight", "layers.0.bias", "layers.1.weight", "unused"):
            weights[name] = layer.get_parameter(name).detach()
        plain.load_state_dict(weights)
        assert torch.equal(y, plain(GRAPHS, **given)["h"])
        y.sum().backward()
        original = part.parametrizations.weight.original
        assert original.grad is not None
        assert torch.equal(original.grad, original.grad.triu())
        optimizer.step()
    torch.nn.utils.parametrize.remove_parametrizations(part, "weight")
    assert_shared(layer)
    assert_fresh(layer)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "old weight_norm", "prune"])
def test_norms_and_pruning(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()
    part = layer.get_submodule("layers.0")
    utils = torch.nn.utils
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "prune":
            from torch.nn.utils.prune import l1_unstructured

            l1_unstructured(part, "weight", amount=0.5)
        elif kind == "old weight_norm":
            utils.weight_norm(part)
        else:
            getattr(utils.parametrizations, kind)(part)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        y = layer(GRAPHS, **given)["h"]
        y.sum().backward()
        seen.append(y.detach())
        optimizer.step()
    assert all(p.grad is not None for n, p in layer.named_parameters() if "unused" not in n)
    assert not torch.equal(seen[0], seen[2])


def test_a_part_that_is_called_says_what_to_call() -> None:
    with pytest.raises(cavs.InputError, match="call the layer"):
        Layer(Cell()).embedding(torch.tensor([1]))


def test_a_parameter_that_is_gone_is_an_error() -> None:
    layer = Layer(Cell())
    del layer.embedding.weight
    with pytest.raises(cavs.CavsRuntimeError, match=r"'embedding\.weight'"):
        layer(GRAPHS, **inputs())


# --- Copies ---------------------------------------------------------------------------------------


def _pickled(layer: Any) -> Any:
    file = io.BytesIO()
    torch.save(layer, file)
    size = sum(p.numel() * 4 for p in layer.parameters())
    if size > 1e6:
        assert file.tell() < 1.5 * size  # the values once
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("make", [copy.deepcopy, _pickled])
def test_copies_have_parameters_of_their_own(make: Any) -> None:
    layer = Layer(Cell(words=7), sparse=True).eval()
    layer.note = "kept"
    layer.get_parameter("layers.0.bias").requires_grad_(False)
    copied = make(layer)
    assert_shared(copied)
    assert copied.note == "kept"
    assert not copied.training
    assert not copied.get_parameter("layers.0.bias").requires_grad
    before = layer(GRAPHS, **inputs())["h"]
    assert torch.equal(copied(GRAPHS, **inputs())["h"], before)
    with torch.no_grad():
        for p in copied.parameters():
            p.add_(1)
    assert torch.equal(layer(GRAPHS, **inputs())["h"], before)
    assert_fresh(copied)
    assert_shared(copied)
    copied(GRAPHS, **inputs())["h"].sum().backward()
    assert copied.embedding.weight.grad.is_sparse
    assert layer.embedding.weight.grad is None
    copied.double()
    assert_fresh(copied)


def test_a_pickle_has_the_values_once() -> None:
    _pickled(Layer(Cell(words=100_000)))


def test_copies_go_on_with_their_random_numbers() -> None:
    layer, x = Layer(Noisy(), seed=4), torch.ones(GRAPHS.num_vertices, 4)
    layer(GRAPHS, x=x)
    for make in (copy.deepcopy, _pickled):
        copied = make(layer)
        state = layer.model.random_state()
        expected = layer(GRAPHS, x=x)["h"]
        layer.model.set_random_state(state)
        assert torch.equal(copied(GRAPHS, x=x)["h"], expected)


def test_a_shallow_copy_shares_everything() -> None:
    layer = Layer(Cell())
    copied = copy.copy(layer)
    assert copied.embedding.weight is layer.embedding.weight
    assert torch.equal(copied(GRAPHS, **inputs())["h"], layer(GRAPHS, **inputs())["h"])


def test_a_local_function_is_copied_but_not_pickled() -> None:
    class Local(Cell):
        pass

    layer = Layer(Local())
    assert_shared(copy.deepcopy(layer))
    with pytest.raises(cavs.CavsRuntimeError, match=r"\[pickle\]"):
        _pickled(layer)


def test_state_dicts_go_both_ways() -> None:
    layer, function = Layer(Cell(seed=1)), Cell(seed=2)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    function.load_state_dict(state)
    for name, array in function.state_dict().items():
        assert np.array_equal(array, layer.get_parameter(name).detach().numpy())
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict({})


def test_a_layer_is_freed_with_its_parameters() -> None:
    layer = Layer(Cell())
    layer(GRAPHS, **inputs())["h"].sum().backward()
    parameter = weakref.ref(layer.function.embedding.weight)
    model = weakref.ref(layer.model)
    del layer
    gc.collect()
    assert parameter() is None
    assert model() is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inference_mode_makes_layers_too() -> None:
    with torch.inference_mode():
        layer = Layer(Cell())
        y = layer(GRAPHS, **inputs())["h"]
        layer.embedding.weight.add_(1)
        z = layer(GRAPHS, **inputs())["h"]
    assert not torch.equal(y, z)
    with torch.no_grad():
        assert torch.equal(layer(GRAPHS, **inputs())["h"], z)
