"""Every model of `cavs.models` as a small training that is the same on any device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import model_cases
import numpy as np

import cavs
from cavs import models
from cavs.data import (
    Vocabulary,
    chain_graph,
    generate_listops,
    language_model_dataset,
    language_model_vocabulary,
    parse_tree,
    production_dataset,
    production_vocabulary,
    transition_dataset,
)
from cavs.data.listops_generator import ListOpsGenerator
from cavs.nn.estimators import importance_weighted_bound, nvil, vimco
from cavs.training.tasks.expressions import ExpressionSource, TreeBound
from cavs.training.tasks.parser import Parsing
from cavs.training.tasks.sentences import SentenceBound, SentenceSource

Values = dict[str, np.ndarray]
#: A call of a model: the batch and its inputs.
Given = tuple[cavs.GraphBatch, dict[str, Any]]


@dataclass
class Training:
    """A model, or some that are trained together, with data.

    Attributes:
        module: holds the parameters.
        compiled: the models or programs.
        loss: the loss of one more call.
        outputs: all outputs of one more call.
        step: the loss of `Model.step` with an optimizer and a norm to clip by, where one model
            makes the loss.
    """

    module: cavs.VertexFunction | cavs.VertexProgram | cavs.nn.Module
    compiled: list[Any]
    loss: Callable[[], cavs.Tensor]
    outputs: Callable[[], dict[str, cavs.Tensor]]
    step: Callable[[Any, float], cavs.Tensor] | None = None
    samples: Callable[[], Any] = field(default=tuple)

    def parameters(self) -> Values:
        """Copies of the parameters, on the host."""
        return {name: p.numpy().copy() for name, p in self.module.named_parameters()}

    def evaluate(self) -> Values:
        """Outputs in evaluation mode without gradients, on the host."""
        for model in self.compiled:
            model.eval()
        with cavs.no_grad():
            found = {name: np.array(y.numpy()) for name, y in self.outputs().items()}
        for model in self.compiled:
            model.train()
        return found


Maker = Callable[..., Training]
MAKERS: dict[str, Maker] = {}


def _listed(name: str) -> Callable[[Maker], Maker]:
    def enter(maker: Maker) -> Maker:
        MAKERS[name] = maker
        return maker

    return enter


def _of_one(model: cavs.Model, given: Given, loss: str = "loss", scale: float = 1.0) -> Training:
    graphs, inputs = given
    return Training(
        model.function,
        [model],
        lambda: model(graphs, **inputs)[loss].sum() * scale,
        lambda: model(graphs, **inputs),
        lambda optimizer, norm: model.step(
            graphs, optimizer, loss=loss, scale=scale, clip_norm=norm, **inputs
        ),
    )


def _case(case: model_cases.Case) -> Maker:
    def make(dtype: str, device: str, **rates: Any) -> Training:
        cavs.nn.init.manual_seed(0)
        kind: Any = case.function
        if case.function is models.DAGRNN:
            rates.pop("embedding_dropout_by", None)
        function = kind(*case.sizes, **case.options, **rates)
        model = cavs.compile(function, dtype=dtype, device=device, seed=3)
        return _of_one(model, model_cases.together(case.samples()))

    return make


MAKERS.update({name: _case(case) for name, case in model_cases.CASES.items()})


@_listed("bilstm")
def _bilstm(dtype: str, device: str, **rates: Any) -> Training:
    cavs.nn.init.manual_seed(1)
    tagger = models.BiLSTMTagger(
        model_cases.VOCABULARY, model_cases.EMBEDDING, model_cases.HIDDEN, 3, **rates
    )
    compiled = [
        cavs.compile(function, dtype=dtype, device=device, seed=seed)
        for seed, function in enumerate((tagger.before, tagger.after))
    ]
    graphs = cavs.batch([cavs.InputGraph(children=graph) for graph in model_cases.CHAINS])
    rng = np.random.default_rng(0)
    words, labels = rng.integers(-1, 3, (2, graphs.num_vertices)).astype(np.int32)

    def outputs() -> dict[str, cavs.Tensor]:
        before, after = compiled
        h = before(graphs, word=words)["h"]
        out: dict[str, cavs.Tensor] = after(graphs.reverse(), before=h, word=words, label=labels)
        return out

    return Training(tagger, compiled, lambda: outputs()["loss"].sum(), outputs)


@_listed("lstm-lm")
def _language_model(dtype: str, device: str, **rates: Any) -> Training:
    cavs.nn.init.manual_seed(4)
    function = models.LSTMLanguageModel(11, 5, 2, init_scale=0.5, **rates)
    model = cavs.compile(function, dtype=dtype, device=device, seed=1)
    lengths = [4, 1, 6]
    rng, count = np.random.default_rng(2), sum(lengths)
    first = np.zeros(count)
    first[np.cumsum([0, *lengths[:-1]])] = 1
    words, labels = rng.integers(0, 11, (2, count)).astype(np.int32)
    state = rng.normal(size=(len(lengths), 20))
    graphs = cavs.batch([chain_graph(n) for n in lengths])
    return _of_one(
        model, (graphs, {"word": words, "label": labels, "first": first, "state": state})
    )


def _images(pixels: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (4, pixels)).astype(np.float64)


@_listed("vae")
def _vae(dtype: str, device: str) -> Training:
    cavs.nn.init.manual_seed(2)
    model = cavs.compile(models.VAE(9, 6, 2), dtype=dtype, device=device, seed=11)
    given = cavs.batch([cavs.InputGraph([[]] * 3)] * 4), {"image": _images(9)}
    training = _of_one(model, given, "log_weight", -1.0)

    def loss() -> cavs.Tensor:
        weights = model(given[0], **given[1])["log_weight"].reshape(4, 3)
        return -importance_weighted_bound(weights).sum()

    training.loss = loss
    return training


def _sbn(estimator: Any) -> Maker:
    def make(dtype: str, device: str) -> Training:
        cavs.nn.init.manual_seed(6)
        function = models.SigmoidBeliefNetwork(7, 3)
        model = cavs.compile(function, dtype=dtype, device=device, seed=5)
        dream = cavs.compile(models.SBNDream(function), dtype=dtype, device=device, seed=1)
        graphs, x = cavs.batch([cavs.InputGraph([[]] * 4)] * 4), _images(7)
        dreams = cavs.batch([cavs.InputGraph([[]])] * 50)

        def loss() -> cavs.Tensor:
            out = model(graphs, image=x)
            parts = [out[name].reshape(4, 4) for name in ("log_joint", "log_q")]
            dreamt: cavs.Tensor = dream(dreams)["log_q"].mean()
            return dreamt - estimator(*parts).surrogate.mean()

        training = _of_one(model, (graphs, {"image": x}), "log_weight", -1.0)
        training.loss = loss
        training.compiled = [model, dream]
        training.samples = lambda: dream(dreams)["image"].numpy().tolist()
        return training

    return make


MAKERS.update({"sbn-nvil": _sbn(nvil), "sbn-vimco": _sbn(vimco)})


def _of_program(program: cavs.Program, objective: Any, given: Given) -> Training:
    def loss() -> cavs.Tensor:
        value: cavs.Tensor = objective.loss(program, *given)[0]
        return value

    return Training(program.program, [program], loss, lambda: {"loss": loss()})


@_listed("sentence-vae")
def _sentences(dtype: str, device: str) -> Training:
    sentences = [["a", "b", "c"], ["b"], ["c", "c", "a", "b"], ["a", "a"]]
    vocabulary = language_model_vocabulary([*sentences, ["<unk>"]])
    cavs.nn.init.manual_seed(9)
    vae = models.SentenceVAE(len(vocabulary), 4, 5, 3)
    vae.decoder.next_word.weight.data[...] *= 8
    vae.decoder.w_z.weight.data[...] *= 8
    program = cavs.compile(vae, dtype=dtype, device=device, seed=3)
    source = SentenceSource("text", kl_steps=0, kl_weight=0.7, word_dropout=0.3)
    given = language_model_dataset(sentences, vocabulary).batch([0, 2, 3])
    training = _of_program(program, SentenceBound(source), given)
    z = np.random.default_rng(1).normal(size=(6, 3)).astype(dtype)

    def samples() -> Any:
        from cavs.training import decode_sentences, sample_sentences

        likeliest = decode_sentences(program, vocabulary, z, max_words=6)
        drawn = sample_sentences(program, vocabulary, 5, temperature=1.0, max_words=6)
        return likeliest, drawn

    training.samples = samples
    return training


@_listed("tree-vae")
def _trees(dtype: str, device: str) -> Training:
    trees = generate_listops(10, ListOpsGenerator(1, max_depth=4))
    vocabulary = production_vocabulary(trees)
    cavs.nn.init.manual_seed(9)
    vae = models.TreeVAE(len(vocabulary), 5, embedding_size=4, hidden_size=6, latent_size=3)
    vae.decoder.out.weight.data[...] *= 4
    vae.decoder.w_z.weight.data[...] *= 4
    program = cavs.compile(vae, dtype=dtype, device=device, seed=3)
    source = ExpressionSource(kl_steps=0, kl_weight=0.7)
    given = production_dataset(trees, vocabulary).batch([1, 4, 6])
    training = _of_program(program, TreeBound(source, vocabulary), given)
    z = np.random.default_rng(1).normal(size=(4, 3)).astype(dtype)

    def samples() -> Any:
        from cavs.training import decode_trees, sample_trees

        likeliest = decode_trees(program, vocabulary, z, max_vertices=20)
        drawn = sample_trees(program, vocabulary, 4, temperature=1.0, max_vertices=20)
        return [[t.graph.children for t in made] for made in (likeliest, drawn)]

    training.samples = samples
    return training


@_listed("parser")
def _parser(dtype: str, device: str, **rates: Any) -> Training:
    texts = ("(1 (1 a) (1 (1 (1 b) (1 c)) (1 d)))", "(1 (1 (1 d) (1 a)) (1 b))", "(1 c)")
    vocabulary = Vocabulary(["<unk>", "a", "b", "c", "d"])
    cavs.nn.init.manual_seed(9)
    parser = models.ShiftReduceParser(len(vocabulary), 4, 6, **rates)
    program = cavs.compile(parser, dtype=dtype, device=device, seed=3)
    given = transition_dataset([parse_tree(text) for text in texts], vocabulary).batch([0, 1, 2])
    training = _of_program(program, Parsing(vocabulary), given)

    def samples() -> Any:
        from cavs.training import parse

        return [str(tree) for tree in parse(program, vocabulary, [list("abcd"), ["c"]])]

    training.samples = samples
    return training


#: Those that take rates of dropout.
DROPPING = [name for name in MAKERS if not name.startswith(("vae", "sbn", "sent", "tree-vae"))]
