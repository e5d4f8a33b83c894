"""Every model of cavs.models, small, with a loss on graphs that suit it: a line of MODELS each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import model_cases
import numpy as np

import cavs
from cavs import models
from cavs.data import (
    TaggedSentence,
    Vocabulary,
    chain_graph,
    character_vocabulary,
    generate_listops,
    language_model_dataset,
    language_model_vocabulary,
    parse_tree,
    production_dataset,
    production_vocabulary,
    segments_dataset,
    seq2seq_dataset,
    tag_vocabulary,
    tagger_dataset,
    transition_dataset,
)
from cavs.data.listops_generator import ListOpsGenerator
from cavs.nn.estimators import importance_weighted_bound, nvil, reweighted_wake_sleep
from cavs.training.autoencoding import AdversarialReconstruction
from cavs.training.tasks.expressions import ExpressionSource, TreeBound
from cavs.training.tasks.parser import Parsing
from cavs.training.tasks.sentences import SentenceBound, SentenceSource

__all__ = ["MODELS", "PIXELS", "SENTENCES", "TREES", "WORDS", "Trained", "make"]

PIXELS, SAMPLES = 9, 3
WORDS = language_model_vocabulary([["a", "b", "c"], ["<unk>"]])
SENTENCES = [["a", "b", "c"], ["b"], ["c", "c", "a", "b"], ["a", "a"]]
TREES = generate_listops(12, ListOpsGenerator(1, max_depth=4))
PARSED = [
    parse_tree("(1 (1 a) (1 (1 (1 b) (1 c)) (1 d)))"),
    parse_tree("(1 (1 (1 d) (1 a)) (1 (1 b) (1 (1 e) (1 a))))"),
    parse_tree("(1 c)"),
]


@dataclass
class Trained:
    """A model, and its loss on a batch of its own, (), which a step lowers."""

    model: cavs.Model | cavs.Program
    loss: Callable[[], cavs.Tensor]

    def train(self, steps: int) -> list[float]:
        """The loss of each step."""
        optimizer = cavs.optim.SGD(self.model.named_parameters(), 0.01, momentum=0.9)
        losses = []
        for _ in range(steps):
            loss = self.loss()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses


Make = Callable[..., Trained]


def make(name: str, **options: Any) -> Trained:
    """The model with the same parameters every time; options of cavs.compile."""
    cavs.nn.init.manual_seed(sum(map(ord, name)))
    return MODELS[name](seed=5, **options)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, (count, PIXELS)).astype(np.float64)


def _classifier(case: model_cases.Case, **options: Any) -> Trained:
    """Dropout, too, where there are ids or not."""
    kind: Any = case.function
    function = kind(*case.sizes, **case.options, dropout=0.3, embedding_dropout=0.4)
    model = cavs.compile(function, **options)
    batch, inputs = model_cases.together(case.samples())
    return Trained(model, lambda: model(batch, **inputs)["loss"].sum() * 0.1)


def _tagger(**options: Any) -> Trained:
    tagger = models.BiLSTMTagger(7, 4, 5, 3, dropout=0.3)
    parts = {"before": tagger.before, "after": tagger.after}
    program = cavs.compile(cavs.VertexProgram(parts), **options)
    batch = cavs.batch([chain_graph(n) for n in (4, 1, 2)])
    rng = np.random.default_rng(0)
    word, label = (rng.integers(-1, n, 7).astype(np.int32) for n in (7, 3))

    def loss() -> cavs.Tensor:
        before = program["before"](batch, word=word)["h"]
        out = program["after"](batch.reverse(), before=before, word=word, label=label)
        value: cavs.Tensor = out["loss"].sum()
        return value

    return Trained(program, loss)


def _character_tagger(**options: Any) -> Trained:
    sentences = [
        TaggedSentence(("a", "bac", "a"), ("X", "Y", "Z")),
        TaggedSentence(("abba",), ("Y",)),
        TaggedSentence(("a", "a"), ("X", "X")),
    ]
    words, characters = Vocabulary(["<unk>", "a"]), character_vocabulary(["abc"])
    samples = tagger_dataset(sentences, words, tag_vocabulary(sentences), characters)
    function = models.CharacterTagger(
        2, len(characters), 4, 3, 4, 5, 3, dropout=0.3, embedding_dropout=0.3
    )
    model = cavs.compile(function, **options)
    batch, inputs = samples.batch(range(3))
    return Trained(model, lambda: model(batch, **inputs)["loss"].sum())


def _language_model(**options: Any) -> Trained:
    function = models.LSTMLanguageModel(len(WORDS), 5, 2, init_scale=0.5, dropout=0.3)
    model = cavs.compile(function, **options)
    batch, inputs = language_model_dataset(SENTENCES, WORDS).batch(range(4))
    first = np.zeros(batch.num_vertices)
    first[batch.ptr[:-1]] = 1
    state = np.random.default_rng(1).normal(size=(4, 20))
    return Trained(model, lambda: model(batch, first=first, state=state, **inputs)["loss"].sum())


def _segments(**options: Any) -> Trained:
    function = models.TransformerXL(
        len(WORDS), 4, 2, 2, context=5, dropout=0.3, attention_dropout=0.2
    )
    model = cavs.compile(function, **options)
    batch, inputs = segments_dataset(SENTENCES, WORDS, 2, 3, 2, 2).batch([2, 3])
    del inputs["goes_on"]
    memory = np.random.default_rng(1).normal(size=(2 * 2 * 2, 4))
    return Trained(model, lambda: model(batch, memory=memory, **inputs)["loss"].sum())


def _images(function: Any, bound: Callable[[dict[str, Any]], Any], **options: Any) -> Trained:
    model = cavs.compile(function(PIXELS, 6), **options)
    batch = cavs.batch([cavs.InputGraph([[]] * SAMPLES)] * 4)
    x = images(4)

    def loss() -> cavs.Tensor:
        out = model(batch, image=x)
        rows = {name: y.reshape(4, SAMPLES) for name, y in out.items() if y.ndim == 1}
        value: cavs.Tensor = -bound(rows).sum()
        return value

    return Trained(model, loss)


def _boltzmann(function: Any, **options: Any) -> Trained:
    model, x = cavs.compile(function(), **options), images(4)
    batch = cavs.batch([cavs.InputGraph([[]])] * 4)
    return Trained(model, lambda: model(batch, image=x)["loss"].sum())


def _one_for_an_image(make_function: Callable[[], Any], given: Any, **options: Any) -> Trained:
    """A vertex for each image, and inputs of the function beside it."""
    function = make_function()
    model = cavs.compile(function, **options)
    batch, x = cavs.batch([cavs.InputGraph([[]])] * 4), images(4)
    inputs = given(function)
    return Trained(model, lambda: model(batch, image=x, **inputs)["loss"].sum())


def _adversarial(**options: Any) -> Trained:
    program = cavs.compile(models.AdversarialAutoencoder(PIXELS, (5,), 3, "tanh"), **options)
    batch, x = cavs.batch([cavs.InputGraph([[]])] * 4), images(4)
    objective = AdversarialReconstruction(0.0, 0.25, weight=1.0, lr=0.01)
    objective.prepare(program)
    inputs = {"image": x, **objective.inputs(program)}
    return Trained(program, lambda: objective.loss(program, batch, inputs)[0])


def _glow(**options: Any) -> Trained:
    model = cavs.compile(models.Flow("glow", 16, 4, None, num_layers=1, hidden_size=3), **options)
    batch = cavs.batch([cavs.InputGraph([[]])] * 4)
    x = np.random.default_rng(3).normal(size=(4, 16))
    return Trained(model, lambda: model(batch, image=x)["loss"].sum())


def _weighted(rows: dict[str, Any]) -> Any:
    return importance_weighted_bound(rows["log_weight"])


def _scored(rows: dict[str, Any]) -> Any:
    estimate = nvil(rows["log_joint"], rows["log_q"], rows["baseline"])
    return estimate.surrogate - estimate.baseline_loss


def _reweighted(rows: dict[str, Any]) -> Any:
    return reweighted_wake_sleep(rows["log_joint"], rows["log_q"]).surrogate


def _sentences(**options: Any) -> Trained:
    program = cavs.compile(models.SentenceVAE(len(WORDS), 4, 5, 3), **options)
    bound = SentenceBound(SentenceSource("text", kl_steps=0, word_dropout=0.4))
    batch, inputs = language_model_dataset(SENTENCES, WORDS).batch(range(4))
    return Trained(program, lambda: bound.loss(program, batch, inputs)[0])


def _trees(**options: Any) -> Trained:
    vocabulary = production_vocabulary(TREES)
    program = cavs.compile(models.TreeVAE(len(vocabulary), 5, 4, 6, 3), **options)
    bound = TreeBound(ExpressionSource(kl_steps=0), vocabulary)
    batch, inputs = production_dataset(TREES, vocabulary, num_slots=5).batch([0, 3, 5])
    return Trained(program, lambda: bound.loss(program, batch, inputs)[0])


def _parser(**options: Any) -> Trained:
    vocabulary = Vocabulary(["<unk>", "a", "b", "c", "d"])
    program = cavs.compile(models.ShiftReduceParser(5, 4, 6, dropout=0.2), **options)
    batch, inputs = transition_dataset(PARSED, vocabulary).batch(range(3))
    objective = Parsing(vocabulary)
    return Trained(program, lambda: objective.loss(program, batch, inputs)[0])


def _seq2seq(**options: Any) -> Trained:
    model = cavs.compile(models.Seq2Seq(len(WORDS), 4, 5), **options)
    targets = [x[::-1] for x in SENTENCES]
    batch, inputs = seq2seq_dataset(SENTENCES, targets, WORDS).batch(range(4))
    return Trained(model, lambda: model(batch, **inputs)["loss"].sum())


MODELS: dict[str, Make] = {
    **{name: partial(_classifier, case) for name, case in model_cases.CASES.items()},
    "bilstm": _tagger,
    "character-tagger": _character_tagger,
    "lstm-lm": _language_model,
    "transformer-xl": _segments,
    "vae": partial(_images, models.VAE, _weighted),
    "vae-of-two-layers": partial(_images, partial(models.VAE, stochastic_layers=2), _weighted),
    "sbn": partial(_images, models.SigmoidBeliefNetwork, _scored),
    "sbn-of-two-layers": partial(
        _images, partial(models.SigmoidBeliefNetwork, layers=2), _reweighted
    ),
    "rbm": partial(_boltzmann, lambda: models.RBM(PIXELS, 6, steps=2)),
    "dbm": partial(_boltzmann, lambda: models.DBM(PIXELS, 6, 5, updates=3)),
    "dbn": partial(_boltzmann, lambda: models.DBN(PIXELS, (6, 4), 5, steps=2, up_down=True)),
    "classifier": partial(
        _one_for_an_image,
        lambda: models.MeanFieldClassifier(PIXELS, (6, 5), 3, updates=3),
        lambda _: {"label": np.int32([0, 2, 1, 2])},
    ),
    "made": partial(
        _one_for_an_image,
        lambda: models.MADE(PIXELS, 6, 2, num_masks=3, orders="many"),
        lambda made: made.in_order(2),
    ),
    "nade": partial(_one_for_an_image, lambda: models.NADE(PIXELS, 6), lambda _: {}),
    "nade-of-many-orders": partial(
        _one_for_an_image, lambda: models.NADE(PIXELS, 6, "many"), lambda _: {}
    ),
    "pixelcnn": partial(_one_for_an_image, lambda: models.PixelCNN(PIXELS, 3, 4, 2), lambda _: {}),
    "autoencoder": partial(
        _one_for_an_image,
        lambda: models.Autoencoder(PIXELS, (6, 5), 3),
        lambda _: {"flipped": np.float32(0.25)},
    ),
    "adversarial-autoencoder": _adversarial,
    "flow-realnvp": partial(
        _one_for_an_image,
        lambda: models.Flow("realnvp", PIXELS, 3, 1, num_layers=2, hidden_size=5),
        lambda _: {},
    ),
    "flow-glow": _glow,
    "sentence-vae": _sentences,
    "tree-vae": _trees,
    "shift-reduce": _parser,
    "seq2seq": _seq2seq,
}
