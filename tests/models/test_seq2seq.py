"""The encoder and decoder with attention against PyTorch, a sentence at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import Vocabulary, seq2seq_dataset
from cavs.errors import ShapeError
from cavs.models import Seq2Seq

WORDS = Vocabulary(["<unk>", "<eos>", "a", "b", "c", "d"], unknown="<unk>")
SOURCES = [list("abca"), list("d"), list("cadbbz"), []]
TARGETS = [list("acb"), list("dd"), list("bz"), []]


def made(executor: str = "native") -> tuple[cavs.Model, cavs.GraphBatch, dict[str, Any]]:
    cavs.nn.init.manual_seed(4)
    model = cavs.compile(Seq2Seq(len(WORDS), 3, 5), dtype="float64", executor=executor)
    for parameter in model.parameters():  # none as small, or as regular, as they begin
        cavs.nn.init.normal_(parameter, std=0.6)
    graphs, inputs = seq2seq_dataset(SOURCES, TARGETS, WORDS).batch(range(len(SOURCES)))
    return model, graphs, inputs


def by_torch(torch: Any, p: dict[str, Any], source: list[int], read: list[int]) -> Any:
    """The logits of one sentence, (words, vocabulary)."""
    linear, table = torch.nn.functional.linear, p["encoder.embedding.weight"]

    def cell(kind: str, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        gates = linear(x, p[f"{kind}.w.weight"], p[f"{kind}.w.bias"])
        i, f, g, o = (gates + p[f"{kind}.u.weight"] @ h).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    h = c = torch.zeros(5, dtype=torch.float64)
    states = []
    for word in source:
        h, c = cell("encoder", table[word], h, c)
        states.append(h)
    h_all, x_all = torch.stack(states), table[source]
    s = c = torch.zeros(5, dtype=torch.float64)
    found = []
    for word in read:
        query = linear(
            torch.cat([table[word], s]), p["decoder.query.weight"], p["decoder.query.bias"]
        )
        scores = (query + h_all @ p["decoder.key.weight"].T).tanh() @ p["decoder.score.weight"][0]
        weight = scores.softmax(0)
        context, words = weight @ h_all, weight @ x_all
        s, c = cell("decoder", torch.cat([table[word], context, words]), s, c)
        said = p["decoder.output.weight"] @ torch.cat([s, context])
        said = said + p["decoder.copy.weight"] @ words
        found.append(table @ said + p["decoder.bias"])
    return torch.stack(found)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_values_and_gradients_are_those_of_pytorch(executor: str) -> None:
    torch = pytest.importorskip("torch")
    model, graphs, inputs = made(executor)
    p = {name: torch.tensor(x.copy(), requires_grad=True) for name, x in model.state_dict().items()}
    out = model(graphs, **inputs)
    out["loss"].sum().backward()
    words, labels = inputs["word"], torch.tensor(inputs["label"], dtype=torch.long)
    parts = [
        by_torch(torch, p, words[a : a + len(x) + 1].tolist(), words[a + len(x) + 1 : b].tolist())
        for x, a, b in zip(SOURCES, graphs.ptr[:-1], graphs.ptr[1:], strict=True)
    ]
    logits = torch.cat(parts)
    np.testing.assert_allclose(out["logits"].data, logits.detach().numpy(), 1e-10, 1e-12)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    np.testing.assert_allclose(out["loss"].data, loss.detach().numpy(), 1e-10, 1e-12)
    loss.sum().backward()
    for name, parameter in model.named_parameters():
        expected = p[name].grad.numpy()
        np.testing.assert_allclose(parameter.grad, expected, 1e-9, 1e-11, err_msg=name)


def test_both_sides_share_one_embedding() -> None:
    model, graphs, inputs = made()
    assert [name for name in model.state_dict() if "embedding" in name] == [
        "encoder.embedding.weight"
    ]
    out = model(graphs, outputs=["logits"], word=inputs["word"])
    assert out["logits"].shape == (sum(map(len, TARGETS)) + len(TARGETS), len(WORDS))


@pytest.mark.parametrize("sizes", [(0, 3, 5), (6, 0, 5), (6, 3, -1)])
def test_sizes_are_checked(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ShapeError, match=r"\[models\] expected .*_size"):
        Seq2Seq(*sizes)
