"""All models of cavs.models on a GPU beside the CPU: training steps to rounding, samples."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import every_model
import numpy as np
import pytest
from every_model import MODELS, PIXELS, SENTENCES, TREES, WORDS
from model_runs import some_graphs

import cavs
from cavs import models, ops
from cavs._native import core
from cavs.data import Vocabulary, production_vocabulary
from cavs.training import (
    decode_sentences,
    parse,
    sample_images,
    sample_pixels,
    sample_text,
    sample_trees,
    write_sentences,
)

pytestmark = pytest.mark.gpu

STEPS = 3
TOLERANCES: dict[str, dict[str, float]] = {
    "float32": {"rtol": 2e-4, "atol": 2e-6},
    "float64": {"rtol": 1e-9, "atol": 1e-11},
}


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    """In float32 levels go together in one launch, in float64 each instruction has its own."""
    before = core.cuda.persistent_levels()
    core.cuda.set_persistent_levels(request.param == "float32")
    yield request.param
    core.cuda.set_persistent_levels(before)


@pytest.mark.parametrize("name", MODELS)
def test_training_steps_are_those_of_the_cpu(name: str, dtype: str) -> None:
    here = every_model.make(name, dtype=dtype)
    there = every_model.make(name, dtype=dtype, device="cuda")
    expected, found = here.train(STEPS), there.train(STEPS)
    assert len(set(expected)) == STEPS
    np.testing.assert_allclose(found, expected, rtol=TOLERANCES[dtype]["rtol"])
    named = zip(here.model.named_parameters(), there.model.parameters(), strict=True)
    for (parameter, p), q in named:
        assert (q.device, q.dtype) == ("cuda:0", dtype)
        np.testing.assert_allclose(q.numpy(), p.numpy(), err_msg=parameter, **TOLERANCES[dtype])


def test_no_model_is_left_out() -> None:
    """A model of cavs.models needs a line in MODELS, or is what one of these draws with."""
    found: set[type] = {models.VAESampler, models.SBNDream, models.DBNDream}
    found |= {models.RBMChain, models.AnnealedRBM, models.ClampedRBM, models.DirectedLayer}
    found |= {models.MADESampler, models.DecodedPrior}
    found |= {models.NADEChain, models.NADEInOrder, models.NADESampler}
    found |= {models.PixelCNNGrid, models.PixelCNNSampler, models.FlowSampler}
    found.add(models.ImageClassifier)  # what a MeanFieldClassifier adds to is this one
    for name in MODELS:
        model = every_model.make(name).model
        found.add(type(model.function))
        if isinstance(model, cavs.Program):
            found |= {type(function) for function in model.function.functions().values()}
    found.add(models.BiLSTMTagger)  # two functions, of classes of its own
    public = [getattr(models, name) for name in models.__all__]
    assert {x for x in public if inspect.isclass(x)} <= found


class Draws(cavs.VertexFunction):
    """Random numbers of vertices, edges and graphs, and choices by them."""

    def forward(self, v: cavs.Vertex) -> None:
        one, h = v.pull("one", 7), v.gather(h=7).h
        v.scatter(h=one)
        topic, word = v.pull_graph("topic", 7), v.pull("word", dtype="int32")
        v.push(
            uniform=v.uniform(7),
            edge=ops.uniform_like(h),
            graph=ops.uniform_like(topic),
            dropped=ops.dropout(one, 0.4),
            edge_dropped=ops.dropout(h, 0.4),
            dropped_by_id=ops.dropout(ops.one_hot(word, 5) + 1.0, 0.4, by="id"),
            bernoulli=ops.bernoulli(one * 0.3),
            normal=v.normal(7),
            scaled=ops.normal(one, 0.5),
            categorical=ops.categorical(one * 0.5),
            gumbel=ops.gumbel_softmax(topic, 0.7),
        )


def test_random_numbers_have_the_bits_of_the_cpu(dtype: str) -> None:
    """Uniform numbers, masks and choices in both dtypes. Normal numbers in float32, whose
    logarithms are the CPU's formulas; in float64 they are within 16 units in the last place."""
    graphs = some_graphs()
    rng = np.random.default_rng(2)
    inputs = {
        "one": np.ones((graphs.num_vertices, 7)),
        "topic": np.ones((len(graphs), 7)),
        "word": rng.integers(0, 5, graphs.num_vertices).astype(np.int32),
    }
    outputs = []
    for device in ("cpu", "cuda"):
        model = cavs.compile(Draws(), dtype=dtype, device=device, extra_children="ignore")
        model.set_random_state({"seed": 11, "step": 2**33 + 5})
        outputs.append({name: y.numpy() for name, y in model(graphs, **inputs).items()})
    for name, expected in outputs[0].items():
        found = outputs[1][name]
        if dtype == "float64" and name in ("normal", "scaled"):
            np.testing.assert_array_max_ulp(found, expected, 16)
        elif name == "gumbel":  # a softmax
            np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-13)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=name)


def drawn_by(kind: type[cavs.VertexFunction], function: Any, device: str) -> dict[str, np.ndarray]:
    given: Any = kind
    model = cavs.compile(given(function), dtype="float32", device=device, seed=3).eval()
    graphs = cavs.batch([cavs.InputGraph([[]])] * 50)
    return {name: y.numpy() for name, y in model(graphs).items()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vae-of-two-layers", models.VAESampler),
        ("sbn-of-two-layers", models.SBNDream),
    ],
)
def test_images_are_those_of_the_cpu(name: str, kind: type[cavs.VertexFunction]) -> None:
    """Sampled pixels bit for bit, their probabilities to the rounding of products."""
    results = []
    for device in ("cpu", "cuda"):
        function = every_model.make(name, device=device).model.function
        results.append((drawn_by(kind, function, device), sample_images(function, 5, seed=4)))
    (expected, some), (found, others) = results
    assert found["image"].shape == (50, PIXELS)
    assert set(np.unique(found["image"])) == {0.0, 1.0}
    np.testing.assert_array_equal(found["image"], expected["image"])
    np.testing.assert_allclose(others, some, rtol=1e-5)
    for other in expected.keys() - {"image"}:
        np.testing.assert_allclose(found[other], expected[other], rtol=1e-5)


def sampled(name: str, device: str) -> Any:
    """Sentences or trees, drawn or the likeliest, of a model whose logits are far apart."""
    model: Any = every_model.make(name, device="cpu").model
    for parameter in model.parameters():
        with parameter.writing() as values:
            values *= 3.0
    if name == "lstm-lm":
        return sample_text(model.to(device).function, WORDS, 12, max_words=9, seed=2)
    if name in ("made", "nade", "pixelcnn"):
        return sample_pixels(model.to(device).function, 12, seed=2).tolist()
    program = cavs.compile(model.function, device=device)
    rng = np.random.default_rng(2)
    if name == "sentence-vae":
        z = rng.normal(size=(12, 3)).astype(np.float32)
        options: list[dict[str, Any]] = [{}, {"temperature": 1.0, "seed": 5}]
        return [decode_sentences(program, WORDS, z, max_words=9, **more) for more in options]
    if name == "shift-reduce":
        words = Vocabulary(["<unk>", "a", "b", "c", "d"])
        return parse(program, words, [list("abcde"), ["c"], list("dda"), list("bacadab")])
    if name == "seq2seq":
        found = write_sentences(program, WORDS, SENTENCES, beam=2, max_words=5)
        return [[x.words for x in kept] for kept in found]
    return sample_trees(program, production_vocabulary(TREES), 12, max_depth=5, seed=2)


@pytest.mark.parametrize(
    "name",
    ["lstm-lm", "made", "nade", "pixelcnn", "sentence-vae", "tree-vae", "shift-reduce", "seq2seq"],
)
def test_sentences_and_trees_are_those_of_the_cpu(name: str) -> None:
    expected = sampled(name, "cpu")
    assert len({str(each) for each in expected}) > 1
    assert sampled(name, "cuda") == expected
