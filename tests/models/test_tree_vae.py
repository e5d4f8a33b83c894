"""The autoencoder of trees: against its equations, joined, and growing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cavs
from cavs.data import (
    arities,
    generate_listops,
    production_dataset,
    production_vocabulary,
)
from cavs.data.listops_generator import ListOpsGenerator
from cavs.models import TreeVAE
from cavs.training import decode_trees, sample_trees
from cavs.training.tasks.expressions import (
    ExpressionSource,
    TreeBound,
    _compare,
    shape_of,
)

TREES = generate_listops(30, ListOpsGenerator(1, max_depth=4))
VOCABULARY = production_vocabulary(TREES)
DATA = production_dataset(TREES, VOCABULARY, num_slots=5)
SIZES = {"embedding_size": 4, "hidden_size": 6, "latent_size": 3}


def make(dtype: str = "float64", scale: float = 1.0) -> cavs.Program:
    cavs.nn.init.manual_seed(9)
    vae = TreeVAE(len(VOCABULARY), 5, **SIZES)
    for decoder in (vae.decoder.leaf, vae.decoder.phrase):
        decoder.out.weight.data[...] *= scale
        decoder.w_z.weight.data[...] *= scale
    return cavs.compile(vae, dtype=dtype, seed=3)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def row(table: np.ndarray, number: int) -> np.ndarray:
    return table[number] if number >= 0 else np.zeros(table.shape[1])


def test_the_encoder_equals_its_equations() -> None:
    program = make()
    p = {n: x.data for n, x in program["encoder"].named_parameters()}
    graphs, inputs = DATA.batch([3, 8])
    out = program["encoder"](graphs, production=inputs["production"])["h"].data
    begin, expected = 0, []
    for tree in (TREES[3], TREES[8]):
        h, c = {}, {}
        for v, children in enumerate(tree.graph.children):
            production = inputs["production"][begin + v]
            if not children:
                h[v] = np.tanh(p["leaf.h.weight"][production])
                c[v] = p["leaf.c.weight"][production]
                continue
            x = p["phrase.w.weight"] @ p["phrase.embedding.weight"][production]
            x = x + p["phrase.w.bias"]
            parts = [p[f"phrase.u.{k}.weight"] @ h[child] for k, child in enumerate(children)]
            i, o, u = np.split(x[:18] + sum(part[:18] for part in parts), 3)
            c[v] = sigmoid(i) * np.tanh(u)
            for part, child in zip(parts, children, strict=True):
                c[v] = c[v] + sigmoid(x[18:] + part[18:]) * c[child]
            h[v] = sigmoid(o) * np.tanh(c[v])
            expected.append(h[v])
        begin += tree.num_vertices
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-12)


def test_the_decoder_equals_its_equations() -> None:
    program = make()
    p = {n: x.data for n, x in program["decoder"].named_parameters()}
    graphs, inputs = DATA.batch([5, 2])
    z = np.random.default_rng(0).normal(size=(2, 3))
    out = program["decoder"](graphs.reverse(), z=z, **inputs)
    begin, opens = 0, []
    for number, tree in enumerate((TREES[5], TREES[2])):
        said, cells = {-1: np.zeros((5, 6))}, {-1: np.zeros(6)}
        lists = tree.graph.children
        parents = {k: v for v, children in enumerate(lists) for k in children}
        losses, logits = out["loss"].data[begin:], out["logits"].data[begin:]
        found = {}
        for v in reversed(range(tree.num_vertices)):
            kind, parent = "phrase" if lists[v] else "leaf", parents.get(v, -1)
            slot, production = inputs["slot"][begin + v], inputs["production"][begin + v]
            x = row(p[f"{kind}.embedding.weight"], inputs["above"][begin + v])
            gates = p[f"{kind}.w.weight"] @ x + p[f"{kind}.w.bias"]
            gates = gates + p[f"{kind}.w_z.weight"] @ z[number]
            gates = gates + p[f"{kind}.u.weight"] @ row(said[parent], slot)
            if lists[v]:
                i, f, g, o = np.split(gates, 4)
                cells[v] = sigmoid(f) * cells[parent] + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(cells[v])
                to_children = p["phrase.down.weight"] @ h + p["phrase.down.bias"]
                said[v] = np.tanh(to_children).reshape(5, 6)
            else:
                h = np.tanh(gates)
            expected = p[f"{kind}.out.weight"] @ h + p[f"{kind}.out.bias"]
            np.testing.assert_allclose(logits[v], expected, rtol=1e-9)
            loss = np.logaddexp.reduce(expected) - expected[production]
            if lists[v]:
                found[v] = p["phrase.phrases.weight"] @ h + p["phrase.phrases.bias"]
                for logit, child in zip(found[v], lists[v], strict=False):
                    loss += np.logaddexp(0, -logit if lists[child] else logit)
            np.testing.assert_allclose(losses[v], loss, rtol=1e-9)
        opens += [found[v] for v in sorted(found)]
        begin += tree.num_vertices
    np.testing.assert_allclose(out["phrase_logits"].data, opens, rtol=1e-9)


def objective() -> TreeBound:
    return TreeBound(ExpressionSource(kl_steps=0, kl_weight=0.7), VOCABULARY)


def test_gradients_of_the_bound_equal_central_differences() -> None:
    program = make()
    batch, inputs = DATA.batch([1, 4, 6])

    def loss() -> cavs.Tensor:
        program.set_random_state({"seed": 3, "step": 5})
        return objective().loss(program, batch, inputs)[0]

    loss().backward()
    rng = np.random.default_rng(0)
    for name, p in program.named_parameters():
        direction, values, before = rng.normal(size=p.shape), [], p.data.copy()
        for step in (1e-5, -1e-5):
            p.data[...] = before + step * direction
            values.append(loss().item())
        p.data[...] = before
        found = float((np.asarray(p.grad) * direction).sum())
        assert found == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7), name


def test_a_batch_equals_its_graphs_alone() -> None:
    program, chosen = make(), [1, 4, 6, 9]
    batch, inputs = DATA.batch(chosen)
    program.set_random_state({"seed": 3, "step": 5})
    together = objective().loss(program, batch, inputs)[1]
    alone = 0.0
    for number in chosen:
        program.set_random_state({"seed": 3, "step": 5})
        alone += objective().loss(program, *DATA.batch([number]))[1]
    assert together == pytest.approx(alone, rel=1e-10)


@pytest.mark.parametrize("seed", [None, 4])
def test_decoding_says_what_the_decoder_says(seed: int | None) -> None:
    """Trees that grew, run once more as graphs: each production opens as many children as it says,
    and without a generator is the likeliest; and trees grow the same in any company."""
    program = make("float32", scale=4.0)
    z = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
    generator = None if seed is None else cavs.Generator(seed)
    trees = decode_trees(program, VOCABULARY, z, max_depth=7, generator=generator)
    complete = [tree for tree in trees if tree is not None]
    assert len({str(tree.tokens) for tree in complete}) > 1
    opens = arities(VOCABULARY)
    for number, tree in enumerate(trees):
        if tree is None:
            continue
        data = production_dataset([tree], VOCABULARY, num_slots=5)
        graphs, inputs = data.batch([0])
        out = program["decoder"](graphs.reverse(), z=z[number : number + 1], **inputs)
        if seed is None:
            is_phrase = opens[inputs["production"]] > 0
            fits = (opens > 0) == is_phrase[:, None]
            likeliest = np.where(fits, out["logits"].data, -np.inf).argmax(axis=-1)
            np.testing.assert_array_equal(likeliest, inputs["production"])
            said, right = out["phrase_logits"].data > 0, inputs["phrases"]
            np.testing.assert_array_equal(said[right >= 0], right[right >= 0] > 0)
        np.testing.assert_array_equal(
            opens[inputs["production"]], [len(c) for c in tree.graph.children]
        )
    if seed is None:
        for number in range(5):
            part = z[number : number + 1]
            (alone,) = decode_trees(program, VOCABULARY, part, max_depth=7)
            assert alone == trees[number]
    else:
        fewer = decode_trees(
            program, VOCABULARY, z[:5], max_depth=7, generator=cavs.Generator(seed)
        )
        assert fewer == trees[:5]


def test_what_is_deeper_is_not_opened() -> None:
    program = make("float32")
    phrase = program["decoder"].function.phrase
    phrase.out.bias.data[opening()] = phrase.phrases.bias.data[...] = 50.0
    assert sample_trees(program, VOCABULARY, 4, max_depth=3) == [None] * 4


def opening() -> int:
    return int(arities(VOCABULARY).argmax())


def test_shapes() -> None:
    tree = next(t for t in TREES if t.num_vertices > 8)
    depth, arity = shape_of([tree])
    inner = [len(c) for c in tree.graph.children if c]
    assert arity == pytest.approx(np.mean(inner))

    def deepest(v: int) -> int:
        return 1 + max((deepest(c) for c in tree.graph.children[v]), default=0)

    assert depth == deepest(tree.root)
    assert shape_of([]) == (0.0, 0.0)


def test_scores_count_what_comes_back() -> None:
    """All of a tree, its shape alone, another shape, and none."""
    chosen = [0, 1, 2, 3]
    batch, inputs = DATA.batch(chosen)
    digits = tuple("9" if t in tuple("0123456789") else t for t in TREES[1].tokens)
    assert digits != TREES[1].tokens
    other = replace(TREES[1], tokens=digits)
    found = [TREES[0], other, next(t for t in TREES if t.graph != TREES[2].graph), None]
    assert _compare(batch, inputs, VOCABULARY, found) == (2, 1)


def test_judging_leaves_training_as_it_is() -> None:
    program = make("float32")
    before = program.random_state()
    scores = objective().evaluate(program, [DATA.batch([0, 1])], lambda: False)
    assert scores is not None
    assert scores["nats"] > scores["kl"] >= 0
    assert objective().evaluate(program, [DATA.batch([0])], lambda: True) is None
    assert program.training
    assert program.random_state() == before
