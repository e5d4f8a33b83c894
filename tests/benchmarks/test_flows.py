"""`benchmarks/peers/torch_flow.py`: the same density as `cavs.models.Flow`, and its gradients."""

import importlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import cavs  # noqa: E402
from cavs.models import Flow  # noqa: E402

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize("levels", [None, 15])
def test_losses_and_gradients_are_those_of_cavs(
    monkeypatch: pytest.MonkeyPatch, levels: int | None
) -> None:
    """With levels both draw noise of their own: on average over many rows."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    peer = importlib.import_module("peers.torch_flow")
    cavs.nn.init.manual_seed(0)
    torch.manual_seed(0)
    flow, rng = Flow("realnvp", 6, 3, levels, num_layers=2, hidden_size=5), np.random.default_rng(0)
    for parameter in flow.parameters():
        parameter.data[...] += 0.2 * rng.normal(size=parameter.shape)
    theirs = peer.TorchRealNVP(flow)
    rows = 7 if levels is None else 20_000
    x = rng.normal(size=(rows, 6)) if levels is None else rng.integers(0, 16, (rows, 6))
    model = cavs.compile(flow, outputs=["loss"])
    loss = model(cavs.batch([cavs.InputGraph([[]])] * rows), image=np.float32(x))["loss"].mean()
    loss.backward()
    other = theirs(torch.from_numpy(np.float32(x))).mean()
    other.backward()
    rtol = 1e-5 if levels is None else 0.01
    assert loss.item() == pytest.approx(other.item(), rel=rtol)
    norm, coupling = flow.layers[3], flow.layers[4]
    second = theirs.couplings[1]
    for ours, found in (
        (norm.mean, second.mean),
        (norm.log_std, second.log_std),
        (coupling.bound, second.bound),
        (coupling.network.hidden1.weight, second.network[0].weight),
        (coupling.network.output.bias, second.network[4].bias),
    ):
        np.testing.assert_allclose(
            np.asarray(ours.grad), found.grad.numpy(), rtol=rtol, atol=rtol * 5
        )
