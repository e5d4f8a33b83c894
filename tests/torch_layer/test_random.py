"""PyTorch seeds the random numbers of a layer that has no seed of its own."""

import threading

import numpy as np
import pytest
from torch_cell import GRAPHS, Noisy

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def test_torch_seeds_dropout_unless_the_layer_has_a_seed() -> None:
    layer, x = Layer(Noisy()), torch.ones(GRAPHS.num_vertices, 4)
    torch.manual_seed(1)
    a, b = layer(GRAPHS, x=x)["h"], layer(GRAPHS, x=x)["h"]
    torch.manual_seed(1)
    c = layer(GRAPHS, x=x)["h"]
    assert not torch.equal(a, b)
    assert torch.equal(a, c)
    state = torch.get_rng_state()
    assert torch.equal(layer.eval()(GRAPHS, x=x)["h"], layer(GRAPHS, x=x)["h"])
    assert torch.equal(state, torch.get_rng_state())  # evaluation draws nothing
    first, second = Layer(Noisy(), seed=5), cavs.compile(Noisy(), seed=5)
    first.load_state_dict({k: torch.from_numpy(v) for k, v in second.state_dict().items()})
    for _ in range(2):
        expected = second(GRAPHS, x=x.numpy())["h"].numpy()
        assert np.array_equal(first(GRAPHS, x=x)["h"].detach().numpy(), expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_thread_that_begins_in_inference_mode_trains_after_it() -> None:
    layer, failed = Layer(Noisy()), list[BaseException]()
    x = torch.ones(GRAPHS.num_vertices, 4)

    def work() -> None:
        try:
            with torch.inference_mode():
                layer(GRAPHS, x=x)
            layer(GRAPHS, x=x)["h"].sum().backward()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
    assert layer.u.weight.grad is not None
