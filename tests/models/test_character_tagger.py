"""The tagger of types against PyTorch, a sentence and a word at a time, and the reference."""

from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import (
    Dataset,
    TaggedSentence,
    Vocabulary,
    character_vocabulary,
    tag_vocabulary,
    tagger_dataset,
)
from cavs.errors import ShapeError
from cavs.models import CharacterTagger

SENTENCES = [
    TaggedSentence(("it", "rains", "in", "Oslo"), ("O", "O", "O", "LOC")),
    TaggedSentence(("Jansson",), ("PER",)),
    TaggedSentence(("it",), ("O",)),
    TaggedSentence((), ()),
    TaggedSentence(("Zoe", "is", "in", "it", "é"), ("PER", "O", "O", None, "O")),
]
WORDS = Vocabulary(["<unk>", "in", "is", "it"])
CHARACTERS = character_vocabulary(["rains", "Oslo", "Jansson"])
TAGS = tag_vocabulary(SENTENCES[:2])
SIZES = {"embedding_size": 3, "character_size": 2, "character_hidden_size": 3, "hidden_size": 4}
STEP = 1e-5


def dataset(characters: bool = True) -> Dataset:
    return tagger_dataset(SENTENCES, WORDS, TAGS, CHARACTERS if characters else None)


def make(characters: bool = True, executor: str = "native", **dropout: Any) -> cavs.Model:
    cavs.nn.init.manual_seed(1)
    size = len(CHARACTERS) if characters else 0
    function = CharacterTagger(
        vocab_size=len(WORDS), alphabet_size=size, num_classes=len(TAGS), **SIZES, **dropout
    )
    return cavs.compile(function, dtype="float64", seed=3, executor=executor)


def gradients(model: cavs.Model) -> dict[str, Any]:
    return {name: np.array(p.grad) for name, p in model.named_parameters() if p.grad is not None}


def torch_loss(torch: Any, p: dict[str, Any], sentence: TaggedSentence) -> tuple[Any, Any]:
    """Logits and loss of a sentence: torch.nn.LSTM by words, and by characters where there are."""

    def run(layer: str, gates: Any) -> Any:
        """The states of an LSTM whose products with inputs are there."""
        u, size = p[f"{layer}.u.weight"], p[f"{layer}.u.weight"].shape[1]
        identity = torch.eye(4 * size, dtype=torch.float64)
        bias = p.get(f"{layer}.u.bias", torch.zeros(4 * size, dtype=torch.float64))
        lstm = torch.nn.LSTM(4 * size, size, dtype=torch.float64)
        weights = {"weight_ih_l0": identity, "weight_hh_l0": u, "bias_ih_l0": bias}
        weights["bias_hh_l0"] = torch.zeros_like(bias)
        return torch.func.functional_call(lstm, weights, (gates,))[0]

    def spelled(word: str) -> Any:
        ids = torch.tensor(CHARACTERS.encode(["<w>", *word, "<w>"]), dtype=torch.int64)
        ends = []
        for layer, order in (("char_before", ids), ("char_after", ids.flip(0))):
            x = p["char_before.characters.weight"][order]
            w, b = (p[f"{layer}.w.{name}"] for name in ("weight", "bias"))
            ends.append(run(layer, torch.nn.functional.linear(x, w, b))[-1])
        return torch.cat(ends)

    def read(word: str, layer: str) -> Any:
        if word in WORDS or "char_before.w.weight" not in p:
            return p[f"word.w_{layer}.weight"] @ p["word.embedding.weight"][WORDS[word]]
        return p[f"word.v_{layer}.weight"] @ spelled(word)

    before = run("before", torch.stack([read(word, "before") for word in sentence.words]))
    turned = [read(word, "after") for word in reversed(sentence.words)]
    both = torch.cat([before, run("after", torch.stack(turned)).flip(0)], dim=1)
    logits = torch.nn.functional.linear(both, p["tag.classifier.weight"], p["tag.classifier.bias"])
    labels = torch.tensor(TAGS.encode(sentence.tags), dtype=torch.int64)
    loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    return logits, loss


@pytest.mark.parametrize("characters", [True, False])
def test_values_and_gradients_equal_those_of_torch(characters: bool) -> None:
    torch = pytest.importorskip("torch")
    model = make(characters)
    batch, inputs = dataset(characters).batch(range(len(SENTENCES)))
    out = model(batch, **inputs)
    out["loss"].sum().backward()
    p = {
        name: torch.tensor(values.copy(), requires_grad=True)
        for name, values in model.state_dict().items()
    }
    found = [torch_loss(torch, p, sentence) for sentence in SENTENCES if sentence.words]
    logits = torch.cat([own for own, _ in found])
    sum(loss for _, loss in found).backward()
    np.testing.assert_allclose(out["logits"].numpy(), logits.detach().numpy(), rtol=1e-10)
    losses = sum(float(loss.detach()) for _, loss in found)
    np.testing.assert_allclose(out["loss"].numpy().sum(), losses, rtol=1e-10)
    mine = gradients(model)
    assert set(mine) == set(p)
    for name, values in p.items():
        np.testing.assert_allclose(mine[name], values.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("characters", [True, False])
def test_a_sentence_has_the_same_bits_alone_and_in_a_batch(characters: bool) -> None:
    model, samples = make(characters), dataset(characters)
    batch, inputs = samples.batch(range(len(SENTENCES)))
    together = cavs.unbatch(batch, model(batch, **inputs)["logits"].numpy(), of="tag")
    for number, rows in enumerate(together):
        graph, own = samples.batch([number])
        np.testing.assert_array_equal(model(graph, **own)["logits"].numpy(), rows)


DROPOUTS = [
    {},
    {"dropout": 0.3, "embedding_dropout": 0.3},
    {"dropout": 0.3, "embedding_dropout": 0.3, "embedding_dropout_by": "id"},
]


@pytest.mark.parametrize("dropout", DROPOUTS, ids=["none", "vertex", "id"])
def test_the_reference_gives_the_same(dropout: dict[str, Any]) -> None:
    batch, inputs = dataset().batch(range(len(SENTENCES)))
    native, reference = (make(executor=name, **dropout) for name in ("native", "reference"))
    for model in (native, reference):
        model(batch, **inputs)["loss"].sum().backward()
    mine, its = gradients(native), gradients(reference)
    assert set(mine) == set(its)
    for name, values in its.items():
        np.testing.assert_allclose(mine[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("dropout", DROPOUTS, ids=["none", "vertex", "id"])
def test_gradients_equal_central_differences(dropout: dict[str, Any]) -> None:
    model = make(**dropout)
    batch, inputs = dataset().batch(range(len(SENTENCES)))
    state = model.random_state()
    model(batch, **inputs)["loss"].sum().backward()
    found = gradients(model)
    for name, parameter in model.named_parameters():
        places = list(np.ndindex(parameter.shape))
        for place in places[:: max(1, len(places) // 12)]:
            before, values = parameter.data[place], []
            for sign in (1, -1):
                parameter.data[place] = before + sign * STEP
                model.set_random_state(state)
                with cavs.no_grad():
                    values.append(model(batch, **inputs)["loss"].sum().item())
            parameter.data[place] = before
            numeric = (values[0] - values[1]) / (2 * STEP)
            np.testing.assert_allclose(found[name][place], numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("policy", ["depth", "agenda", "bound", "serial"])
def test_all_policies_give_the_same_bits(policy: str) -> None:
    batch, inputs = dataset().batch(range(len(SENTENCES)))
    expected = make()(batch, **inputs)["logits"].numpy()
    cavs.nn.init.manual_seed(1)
    function = make().function
    other = cavs.compile(function, dtype="float64", policy=policy)
    np.testing.assert_array_equal(other(batch, **inputs)["logits"].numpy(), expected)


def test_equal_words_are_computed_once_and_characters_have_one_table() -> None:
    model = make()
    assert "unique:word" in model.explain()
    names = [name for name, _ in model.named_parameters()]
    assert [n for n in names if "characters" in n] == ["char_before.characters.weight"]
    assert not [n for n in make(False).state_dict() if "char" in n or ".v_" in n]


@pytest.mark.parametrize("name", ["vocab_size", "hidden_size", "character_size", "alphabet_size"])
def test_wrong_sizes_are_refused(name: str) -> None:
    sizes = {"vocab_size": 2, "alphabet_size": 3, "num_classes": 2, **SIZES, name: -1}
    with pytest.raises(ShapeError, match=f"an integer {name} >= 1, got -1"):
        CharacterTagger(**sizes)
