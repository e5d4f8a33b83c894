"""Sentences as chains: language-model text and tagged text."""

from dataclasses import replace
from pathlib import Path

import pytest

from cavs.data import (
    TaggedSentence,
    TextCorpus,
    Vocabulary,
    chain_graph,
    language_model_dataset,
    language_model_vocabulary,
    load_ptb,
    read_sentences,
    read_tagged,
    tag_vocabulary,
    tagging_dataset,
)
from cavs.errors import DataError, InputError


def test_chains() -> None:
    assert chain_graph(4).children == [[], [0], [1], [2]]
    assert chain_graph(1).children == [[]]
    assert chain_graph(0).num_vertices == 0
    assert chain_graph(4) is chain_graph(4)


def test_language_model(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(" the cat \n\n the\N{NO-BREAK SPACE}dog ran\n", encoding="utf-8")
    sentences = read_sentences(path)
    assert sentences == [["the", "cat"], ["the\N{NO-BREAK SPACE}dog", "ran"]]
    vocabulary = language_model_vocabulary([["the", "cat", "<unk>"]])
    assert vocabulary.tokens == ("<unk>", "<eos>", "cat", "the")
    dataset = language_model_dataset(sentences, vocabulary)
    assert [graph.num_vertices for graph in dataset.graphs] == [3, 3]
    assert dataset.flat("word").tolist() == [1, 3, 2, 1, 0, 0]
    assert dataset.flat("label").tolist() == [3, 2, 1, 0, 0, 1]


def test_only_a_text_with_unknown_words_stands_for_them() -> None:
    assert language_model_vocabulary([["b", "a", "a"]]).tokens == ("<eos>", "a", "b")
    rare = language_model_vocabulary([["b", "a", "a"]], min_count=2)
    assert rare.tokens == ("<unk>", "<eos>", "a")
    assert rare["b"] == rare.unknown_id == 0
    corpus = TextCorpus("letters", [["a", "b"]], [["b"]], [["a"], ["b", "z"]])
    with pytest.raises(
        DataError, match=r"letters: expected words of the training .*'z' in the test text"
    ):
        corpus.vocabulary()
    assert replace(corpus, test=[["b"]]).vocabulary().unknown is None
    assert replace(corpus, train=[["a", "<unk>"]]).vocabulary()["z"] == 0


def test_both_names_of_the_files(tmp_path: Path) -> None:
    for name in ("ptb.train.txt", "ptb.valid.txt"):
        (tmp_path / name).write_text("a b\n")
    with pytest.raises(DataError, match=r"a directory without test.txt or ptb.test.txt"):
        load_ptb(tmp_path)
    (tmp_path / "test.txt").write_text("c\n")
    assert load_ptb(tmp_path).test == [["c"]]


def test_tagged(tmp_path: Path) -> None:
    path = tmp_path / "dev.txt"
    path.write_text("a|O b|c|I-PER\n\n d|O\n")
    sentences = read_tagged(path)
    assert sentences[0] == TaggedSentence(("a", "b|c"), ("O", "I-PER"))
    words, tags = Vocabulary(["<unk>", "a"]), tag_vocabulary(sentences)
    assert tags.tokens == ("O", "I-PER")
    dataset = tagging_dataset(sentences, words, tags)
    assert dataset.flat("word").tolist() == [1, 0, 0]
    assert dataset.flat("label").tolist() == [0, 1, 0]
    assert dataset.graphs[0].children == [[], [0]]
    with pytest.raises(InputError, match="one of the 1 tokens O, got 'I-PER'"):
        tagging_dataset(sentences, words, Vocabulary(["O"], unknown=None))


@pytest.mark.parametrize("token", ["b", "b|", "|O"])
def test_words_without_a_tag(tmp_path: Path, token: str) -> None:
    path = tmp_path / "dev.txt"
    path.write_text(f"a|O\nbb|O {token} c|O\n")
    with pytest.raises(DataError) as error:
        read_tagged(path)
    assert str(error.value) == (
        f"[data] {path}, line 2, column 6: expected word|TAG, got {token!r}; write the tag behind "
        "the word"
    )


def test_penn_treebank(ptb_dir: Path) -> None:
    corpus = load_ptb(ptb_dir)
    assert [len(part) for part in (corpus.train, corpus.dev, corpus.test)] == [42_068, 3_370, 3_761]
    assert sum(map(len, corpus.train)) == 887_521
    assert len(language_model_vocabulary(corpus.train)) == 10_000


def test_wikiner(tags_dir: Path) -> None:
    sentences = read_tagged(tags_dir / "dev.txt")
    assert len(sentences) == 1_696
    assert set(tag_vocabulary(sentences)) == {"O", "I-PER", "I-LOC", "I-ORG", "I-MISC"}
