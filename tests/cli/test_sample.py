"""``cavs sample``: images and sentences, and what it cannot do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.cli import main
from cavs.cli.sample import write_images
from cavs.data import language_model_vocabulary
from cavs.errors import InputError
from cavs.models import VAE, ChildSumTreeLSTM, LSTMLanguageModel
from cavs.training import Checkpoint, sample_images, sample_text, save_checkpoint

VOCABULARY = language_model_vocabulary([["a", "b", "c", "<unk>"]])
LM = {"vocab_size": len(VOCABULARY), "hidden_size": 6, "num_layers": 1}
IMAGES = {"image_size": 16, "hidden_size": 5, "latent_size": 2}


def save(path: Path, name: str) -> Path:
    kinds: dict[str, tuple[type[cavs.VertexFunction], dict[str, Any]]] = {
        "lm": (LSTMLanguageModel, LM),
        "vae": (VAE, IMAGES),
        "tree-lstm": (
            ChildSumTreeLSTM,
            {"vocab_size": 3, "embedding_size": 2, "hidden_size": 2, "num_classes": 2},
        ),
    }
    kind, arguments = kinds[name]
    cavs.nn.init.manual_seed(3)
    function = kind(**arguments)
    if name == "lm":
        function.next_word.weight.data[...] *= 20
    vocabulary = None if name == "vae" else VOCABULARY
    save_checkpoint(path, Checkpoint(name, arguments, vocabulary, function.state_dict()))
    return path


def test_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save(tmp_path / "lm.safetensors", "lm")
    assert main(["sample", str(file), "-n", "5", "--max-words", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(len(line.split()) <= 7 for line in lines)
    assert {word for line in lines for word in line.split()} <= {"a", "b", "c"}
    assert main(["sample", str(file), "-n", "2", "--max-words", "7"]) == 0
    assert capsys.readouterr().out.splitlines() == lines[:2]
    output = tmp_path / "samples.txt"
    assert main(["sample", str(file), "-n", "3", "--seed", "1", "--output", str(output)]) == 0
    assert len(output.read_text().splitlines()) == 3


def test_a_low_temperature_takes_the_likeliest_words() -> None:
    cavs.nn.init.manual_seed(3)
    function = LSTMLanguageModel(**LM)
    function.next_word.weight.data[...] *= 20
    cold = sample_text(function, VOCABULARY, 6, temperature=1e-4, max_words=5)
    assert all(sentence == cold[0] for sentence in cold)
    state, word, greedy = np.zeros((1, function.state_size), np.float32), 1, []
    model = cavs.compile(function, outputs=["logits", "state"])
    for _ in range(5):
        given = {"word": np.int32([word]), "first": np.float32([1])}
        out = model(cavs.InputGraph([[]]), state=state, **given)
        logits, state = out["logits"].data[0], out["state"].data
        logits[VOCABULARY.unknown_id] = -np.inf
        word = int(logits.argmax())
        if word == 1:
            break
        greedy.append(VOCABULARY.decode([word])[0])
    assert cold[0] == greedy
    hot = sample_text(function, VOCABULARY, 30, temperature=100.0, max_words=5)
    assert len({tuple(sentence) for sentence in hot}) > 10


def test_words_come_as_often_as_they_should() -> None:
    """First words of 4,000 sentences, at two temperatures."""
    cavs.nn.init.manual_seed(5)
    function = LSTMLanguageModel(**LM, init_scale=1.0)
    model = cavs.compile(function, outputs=["logits", "state"])
    given = {"word": np.int32([1]), "first": np.float32([1])}
    state = np.zeros((1, function.state_size), np.float32)
    logits = model(cavs.InputGraph([[]]), state=state, **given)["logits"].data[0]
    for temperature in (1.0, 0.5):
        p = np.exp(logits / temperature)
        p[VOCABULARY.unknown_id] = 0
        p /= p.sum()
        drawn = sample_text(function, VOCABULARY, 4000, temperature=temperature, max_words=1)
        for word in ("a", "b", "c"):
            share = np.mean([sentence == [word] for sentence in drawn])
            assert share == pytest.approx(p[VOCABULARY[word]], abs=0.03)
        assert np.mean([s == [] for s in drawn]) == pytest.approx(p[1], abs=0.03)


def test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    file = save(tmp_path / "vae.safetensors", "vae")
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(file), "-n", "5"]) == 0
    from matplotlib import image

    grid = image.imread(tmp_path / "samples.png")
    assert grid.shape[:2] == (2 * 5 - 1, 3 * 5 - 1)
    cavs.nn.init.manual_seed(3)
    expected = 1 - sample_images(VAE(**IMAGES), 5)[4].reshape(4, 4)
    np.testing.assert_allclose(grid[5:9, 5:9, 0], expected, atol=1.1 / 255)


def test_more_images_do_not_change_the_first() -> None:
    cavs.nn.init.manual_seed(3)
    vae = VAE(**IMAGES)
    np.testing.assert_allclose(sample_images(vae, 9)[:4], sample_images(vae, 4), rtol=1e-6)
    assert np.abs(sample_images(vae, 4, seed=1) - sample_images(vae, 4)).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "tree-lstm",
            [],
            "expected a generative model (vae, iwae, sbn, rbm, dbn, dbm, nade, made, pixelcnn, ",
        ),
        ("vae", ["--temperature", "0.5"], "expected --temperature for text only"),
        ("vae", ["--max-words", "5"], "expected --max-words for text only"),
    ],
)
def test_what_it_cannot_do(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    message: str,
) -> None:
    file = save(tmp_path / "file.safetensors", name)
    assert main(["sample", str(file), *options]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "nan"])
def test_a_temperature_is_above_zero(capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert main(["sample", "file", "--temperature", value]) == 2
    assert "expected a number above 0" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"\[sample\] expected a finite temperature > 0"):
        sample_text(LSTMLanguageModel(**LM), VOCABULARY, 1, temperature=float(value))


def test_images_are_square(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected square images, got ones of 12 pixels"):
        write_images(tmp_path / "file.png", np.zeros((2, 12)))
