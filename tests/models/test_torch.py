"""Tree-LSTM and LSTM against PyTorch's autograd on the same weights, where torch is installed."""

from typing import Any

import numpy as np
import pytest
from model_cases import CASES, Case, together

import cavs

torch = pytest.importorskip("torch")


def leaves(model: cavs.Model) -> dict[str, Any]:
    return {
        name: torch.tensor(value.copy(), requires_grad=True)
        for name, value in model.state_dict().items()
    }


def embed(p: dict[str, Any], word: int) -> Any:
    weight = p["embedding.weight"]
    return weight[word] if word >= 0 else torch.zeros_like(weight[0])


def tree_lstm(p: dict[str, Any], graph: list[list[int]], inputs: dict[str, Any]) -> Any:
    """As a recursion, the way that it is written for dynamic graphs."""
    size = p["u_f.weight"].shape[0]
    linear = torch.nn.functional.linear
    states: dict[int, tuple[Any, Any]] = {}

    def visit(v: int) -> tuple[Any, Any]:
        if v not in states:
            children = [visit(k) for k in graph[v]]
            x = embed(p, inputs["word"][v])
            total = sum((h for h, _ in children), torch.zeros(size, dtype=x.dtype))
            gates = linear(x, p["w_iou.weight"], p["w_iou.bias"]) + linear(total, p["u_iou.weight"])
            i, o, u = gates.chunk(3)
            c = i.sigmoid() * u.tanh()
            for h_k, c_k in children:
                f = linear(x, p["w_f.weight"], p["w_f.bias"]) + linear(h_k, p["u_f.weight"])
                c = c + f.sigmoid() * c_k
            states[v] = (o.sigmoid() * c.tanh(), c)
        return states[v]

    return torch.stack([visit(v)[0] for v in range(len(graph))])


def lstm(p: dict[str, Any], graph: list[list[int]], inputs: dict[str, Any]) -> Any:
    """By torch.nn.LSTM itself."""
    hidden, embedding = p["u.weight"].shape[1], p["w.weight"].shape[1]
    layer = torch.nn.LSTM(embedding, hidden, dtype=torch.float64)
    weights = {
        "weight_ih_l0": p["w.weight"],
        "weight_hh_l0": p["u.weight"],
        "bias_ih_l0": p["w.bias"],
        "bias_hh_l0": torch.zeros_like(p["w.bias"]),
    }
    x = torch.stack([embed(p, word) for word in inputs["word"]])
    return torch.func.functional_call(layer, weights, (x,))[0]


@pytest.mark.parametrize(
    ("case", "network"),
    [(CASES["child-sum-tree-lstm"], tree_lstm), (CASES["lstm"], lstm)],
    ids=["tree-lstm", "lstm"],
)
def test_values_and_gradients_equal_those_of_torch(case: Case, network: Any) -> None:
    model = case.make(seed=5)
    samples = case.samples()
    batch, inputs = together(samples)
    out = model(batch, **inputs)
    out["loss"].sum().backward()

    p = leaves(model)
    h = torch.cat([network(p, graph, own) for graph, own in samples])
    logits = torch.nn.functional.linear(h, p["classifier.weight"], p["classifier.bias"])
    labels = torch.tensor(inputs["label"].astype(np.int64))
    loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    loss.backward()

    np.testing.assert_allclose(out["logits"].numpy(), logits.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(out["loss"].numpy().sum(), loss.item(), rtol=1e-10)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            np.array(parameter.grad), p[name].grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name
        )
