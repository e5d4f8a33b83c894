"""The Penn Treebank for language models: one sentence on a line, words separated by blanks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cavs.data._text import WORD, PathLike, find_file, read_lines
from cavs.data.chains import chain_graph
from cavs.data.dataset import Dataset
from cavs.data.vocabulary import UNKNOWN, Vocabulary

END_OF_SENTENCE = "<eos>"


@dataclass(frozen=True)
class TextCorpus:
    """Training, development and test sentences, each a list of words."""

    name: str
    train: list[list[str]]
    dev: list[list[str]]
    test: list[list[str]]


def read_sentences(path: PathLike) -> list[list[str]]:
    """Read a file with one sentence on a line; blank lines are skipped.

    Raises `DataError` for a file that is missing, empty or not UTF-8.
    """
    lines = read_lines(path, "sentences, one on a line")
    return [words for line in lines if (words := WORD.findall(line))]


def load_ptb(directory: PathLike) -> TextCorpus:
    """Read train.txt, valid.txt and test.txt, or the same with the prefix ``ptb.``.

    Raises `DataError` if the directory or a file is missing.
    """
    expected = "a directory with train.txt, valid.txt and test.txt (one sentence on a line)"
    train, dev, test = (
        read_sentences(find_file(directory, [f"{name}.txt", f"ptb.{name}.txt"], expected))
        for name in ("train", "valid", "test")
    )
    return TextCorpus("ptb", train, dev, test)


def language_model_vocabulary(
    sentences: Iterable[Sequence[str]], *, min_count: int = 1
) -> Vocabulary:
    """`<unk>`, `<eos>`, then the words of the sentences."""
    return Vocabulary.from_tokens(
        (word for sentence in sentences for word in sentence),
        min_count=min_count,
        specials=(UNKNOWN, END_OF_SENTENCE),
    )


def language_model_dataset(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Dataset:
    """Sentences for next-word prediction, with the vertex inputs `word` and `label`, both int32.

    A sentence of n words is a chain of n + 1 vertices: vertex 0 reads `<eos>` and vertex i word i;
    the label of each is the word that follows, that of the last is `<eos>`.
    """
    end = [END_OF_SENTENCE]
    words = vocabulary.encode(word for sentence in sentences for word in [*end, *sentence])
    labels = vocabulary.encode(word for sentence in sentences for word in [*sentence, *end])
    graphs = [chain_graph(len(sentence) + 1) for sentence in sentences]
    return Dataset(graphs, vertex={"word": words, "label": labels})
