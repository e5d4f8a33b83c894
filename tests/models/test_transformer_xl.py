"""Transformer-XL against an implementation in PyTorch, and its memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import data
from cavs.errors import InputError, ShapeError
from cavs.models import TransformerXL

WORDS, SIZE, LAYERS, HEADS, CONTEXT = 11, 8, 3, 2, 12


def make(dtype: str = "float64", **options: Any) -> TransformerXL:
    cavs.manual_seed(3)
    given = {"inner_size": 12, "context": CONTEXT, **options}
    function = TransformerXL(WORDS, SIZE, LAYERS, HEADS, **given)
    draw = np.random.default_rng(0)
    for name, parameter in function.named_parameters():
        parameter.data = parameter.data.astype(dtype)
        if name.endswith((".u", ".w", "bias")):
            parameter.data = draw.normal(0.0, 0.3, parameter.shape).astype(dtype)
    return function


def drawn(streams: int, words: int, seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, WORDS, (2, streams * words)).astype(np.int32)
    return {"word": ids[0], "label": ids[1]}


def empty() -> Any:
    return np.zeros((0, SIZE))


class Reference:
    """The equations of the paper, word by word, in PyTorch."""

    def __init__(self, torch: Any, function: TransformerXL) -> None:
        self.torch = torch
        self.p = {
            name: torch.tensor(np.array(parameter.data), requires_grad=True)
            for name, parameter in function.named_parameters()
        }

    def distance(self, distance: int) -> Any:
        half = np.arange(0, SIZE, 2)
        angles = distance / 10000.0 ** (half / SIZE)
        return self.torch.tensor(np.concatenate([np.sin(angles), np.cos(angles)]).astype("float32"))

    def layer(self, n: int, below: Any, memory: Any) -> Any:
        torch, p = self.torch, self.p
        name = "word" if n == 1 else f"layer{n - 1}"
        w_kv = p[f"{name}.above.weights.weight"]
        own = f"layer{n}"
        size, m = SIZE // HEADS, len(memory)
        every = torch.cat([memory, below])
        rows = []
        for i in range(len(below)):
            h = below[i]
            parts = []
            for head in range(HEADS):
                at = slice(head * size, (head + 1) * size)
                q = p[f"{own}.query.weight"][at] @ h
                scores = []
                for j in range(m + i + 1):
                    k = w_kv[:SIZE][at] @ every[j]
                    r = p[f"{own}.relative.weight"][at] @ self.distance(m + i - j).double()
                    scores.append((q + p[f"{own}.u"][head]) @ k + (q + p[f"{own}.w"][head]) @ r)
                weights = torch.softmax(torch.stack(scores) / math.sqrt(size), 0)
                values = every[: m + i + 1] @ w_kv[SIZE:][at].T
                parts.append(weights @ values)
            rows.append(p[f"{own}.output.weight"] @ torch.cat(parts))
        norm = torch.nn.functional.layer_norm
        x = below + torch.stack(rows)
        x = norm(x, (SIZE,), p[f"{own}.norm1.weight"], p[f"{own}.norm1.bias"])
        inner = torch.relu(x @ p[f"{own}.inner1.weight"].T + p[f"{own}.inner1.bias"])
        y = x + inner @ p[f"{own}.inner2.weight"].T + p[f"{own}.inner2.bias"]
        return norm(y, (SIZE,), p[f"{own}.norm2.weight"], p[f"{own}.norm2.bias"])

    def segment(self, word: Any, label: Any, memory: list[Any]) -> tuple[Any, Any, list[Any]]:
        """The losses, the logits, and the outputs to remember, by layer."""
        torch, p = self.torch, self.p
        x = p["word.embedding.weight"][torch.tensor(word).long()] * math.sqrt(SIZE)
        outputs = []
        for n in range(1, LAYERS + 1):
            outputs.append(x.detach())
            x = self.layer(n, x, memory[n - 1])
        last = f"layer{LAYERS}.logits"
        weight = p.get(f"{last}.weight", p["word.embedding.weight"])
        logits = x @ weight.T + p[f"{last}.bias"]
        loss = torch.nn.functional.cross_entropy(
            logits, torch.tensor(label).long(), reduction="none"
        )
        return loss, logits, outputs


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_segments_are_as_in_pytorch(executor: str, tied: bool) -> None:
    torch = pytest.importorskip("torch")
    function = make(tied=tied)
    reference = Reference(torch, function)
    model = cavs.compile(function, executor=executor, dtype="float64")
    streams, words, most = 2, 4, 5
    memory, remembered = empty(), [[torch.zeros(0, SIZE).double()] * LAYERS] * streams
    for segment in range(3):
        m = min(segment * words, most)
        graphs = cavs.batch([data.segment_graph(words, m, LAYERS)] * streams)
        inputs = drawn(streams, words, segment)
        out = model(graphs, memory=memory, **inputs)
        model.zero_grad()
        out["loss"].sum().backward()
        memory = function.next_memory(memory, out["memory"], streams, most)
        losses, logits = [], []
        for s in range(streams):
            at = slice(s * words, (s + 1) * words)
            given = inputs["word"][at], inputs["label"][at]
            loss, logit, outputs = reference.segment(*given, remembered[s])
            losses.append(loss)
            logits.append(logit)
            remembered[s] = [
                torch.cat(both)[-most:] for both in zip(remembered[s], outputs, strict=True)
            ]
        wanted = torch.cat(losses)
        for p in reference.p.values():
            p.grad = None
        wanted.sum().backward()
        np.testing.assert_allclose(out["logits"], torch.cat(logits).detach(), rtol=0, atol=1e-10)
        np.testing.assert_allclose(out["loss"], wanted.detach(), rtol=0, atol=1e-10)
        expected = torch.stack([row for rows in remembered for layer in rows for row in layer])
        np.testing.assert_allclose(memory, expected, rtol=0, atol=1e-10)
        for name, parameter in function.named_parameters():
            grad = reference.p[name].grad
            np.testing.assert_allclose(
                np.asarray(parameter.grad), grad, rtol=0, atol=1e-9, err_msg=name
            )


def test_memory_of_all_words_is_as_one_long_segment() -> None:
    function = make()
    model = cavs.compile(function, dtype="float64")
    inputs = drawn(1, CONTEXT)
    whole = model(data.segment_graph(CONTEXT, 0, LAYERS), memory=empty(), **inputs)
    memory, found = empty(), []
    for begin in range(0, CONTEXT, 4):
        part = {name: x[begin : begin + 4] for name, x in inputs.items()}
        out = model(data.segment_graph(4, begin, LAYERS), memory=memory, **part)
        memory = function.next_memory(memory, out["memory"], 1, CONTEXT)
        found.append(out["logits"].numpy())
    np.testing.assert_allclose(np.concatenate(found), whole["logits"].numpy(), atol=1e-12)


def test_memory_is_read_and_gets_no_gradient_unless_asked() -> None:
    function = make()
    model = cavs.compile(function, dtype="float64")
    graph = data.segment_graph(3, 2, LAYERS)
    memory = cavs.Tensor(np.random.default_rng(0).standard_normal((2 * LAYERS, SIZE)))
    before = model(graph, memory=memory, **drawn(1, 3))["loss"]
    before.sum().backward()
    assert memory.grad is None
    other = model(graph, memory=memory * 2.0, **drawn(1, 3))["loss"]
    assert not np.allclose(other.numpy(), before.numpy())
    # The losses of the words before do not see a later word.
    late = drawn(1, 3)
    late["word"][2] = (late["word"][2] + 1) % WORDS
    after = model(graph, memory=memory, **late)["loss"].numpy()
    np.testing.assert_array_equal(after[:2], before.numpy()[:2])
    assert after[2] != before.numpy()[2]


def test_rows_of_memory_are_the_last_of_each_layer() -> None:
    function = make()
    rows = np.arange(2 * LAYERS * 5 * SIZE, dtype=float).reshape(2, LAYERS, 5, SIZE)
    old, new = rows[:, :, :2].reshape(-1, SIZE), rows[:, :, 2:].reshape(-1, SIZE)
    for most in (0, 1, 4, 5, 9):
        wanted = rows[:, :, max(5 - most, 0) :].reshape(-1, SIZE)
        np.testing.assert_array_equal(function.next_memory(old, new, 2, most), wanted)
    with pytest.raises(ShapeError, match=r"\[models\] expected output as rows of 8 for 2 graphs"):
        function.next_memory(old, new[1:], 2, 4)


def test_a_segment_lists_memory_before_words() -> None:
    graph = data.segment_graph(2, 3, 2)
    m, w = (lambda n: [f"memory{n}"] * 3), (lambda name: [name] * 2)
    assert graph.types == [*m(0), *w("word"), *m(1), *w("layer1"), *w("layer2")]
    none = [[]] * 3
    of_first, of_second = [[0, 1, 2, 3], [0, 1, 2, 3, 4]], [[5, 6, 7, 8], [5, 6, 7, 8, 9]]
    assert graph.children == [*none, [], [], *none, *of_first, *of_second]
    assert data.segment_graph(2, 3, 2) is graph
    with pytest.raises(InputError, match=r"\[data\] expected an integer length >= 1, got 0"):
        data.segment_graph(0, 3, 2)


def test_sizes_must_fit() -> None:
    with pytest.raises(ShapeError, match=r"size as a multiple of num_heads, got 8 and 3"):
        TransformerXL(5, 8, 1, 3)
    with pytest.raises(ShapeError, match="context"):
        TransformerXL(5, 8, 1, 2, context=0)
    model = cavs.compile(TransformerXL(WORDS, SIZE, 1, 2, context=3))
    with pytest.raises(cavs.CavsError, match=r"3|context|columns|places"):
        model(data.segment_graph(4, 0, 1), memory=np.zeros((0, SIZE), "f"), **drawn(1, 4))


def test_dropout_is_drawn_in_training_alone() -> None:
    function = make("float32", dropout=0.4, attention_dropout=0.3)
    model = cavs.compile(function)
    given = data.segment_graph(4, 0, LAYERS), {"memory": np.zeros((0, SIZE), "f"), **drawn(1, 4)}
    first, second = (model(given[0], **given[1])["loss"].numpy() for _ in range(2))
    assert not np.allclose(first, second)
    model.eval()
    first, second = (model(given[0], **given[1])["loss"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
