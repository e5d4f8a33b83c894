"""The Penn Treebank for language models: one sentence on a line, words separated by blanks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import instance, integer, items
from cavs._arrays import Array
from cavs.data._repr import Corpus
from cavs.data._text import WORD, PathLike, find_file, folder_within, quoted, read_lines
from cavs.data.chains import chain_graph
from cavs.data.dataset import Dataset
from cavs.data.vocabulary import UNKNOWN, Vocabulary
from cavs.errors import DataError

END_OF_SENTENCE = "<eos>"


@dataclass(frozen=True, repr=False)
class TextCorpus(Corpus):
    """Training, development and test sentences, each a list of words."""

    name: str
    train: list[list[str]]
    dev: list[list[str]]
    test: list[list[str]]

    _unit = "sentences"

    def vocabulary(self) -> Vocabulary:
        """The words of training, for all sentences.

        Raises `DataError` if the other sentences have a word that the training sentences lack, and
        `<unk>` is missing too.
        """
        vocabulary = language_model_vocabulary(self.train)
        if vocabulary.unknown is not None:
            return vocabulary
        for name, sentences in (("valid", self.dev), ("test", self.test)):
            for word in chain.from_iterable(sentences):
                if word not in vocabulary:
                    raise DataError(
                        f"[data] {self.name}: expected words of the training text, got "
                        f"{quoted(word)} in the {name} text; write {UNKNOWN} for rare words in all "
                        "texts"
                    )
        return vocabulary


def read_sentences(path: PathLike) -> list[list[str]]:
    """Read a file with one sentence on a line; blank lines are skipped.

    Raises `DataError` for a file that is missing, empty or not UTF-8.
    """
    lines = read_lines(path, "sentences, one on a line")
    return [words for line in lines if (words := WORD.findall(line))]


def load_ptb(directory: PathLike) -> TextCorpus:
    """Read train.txt, valid.txt and test.txt, or the same with the prefix ``ptb.``, from the
    directory or its folder ``ptb``.

    Raises `DataError` if the directory or a file is missing.
    """
    expected = "a directory with train.txt, valid.txt and test.txt (one sentence on a line)"
    directory = folder_within(directory, "ptb", ["train.txt", "ptb.train.txt"])
    train, dev, test = (
        read_sentences(find_file(directory, [f"{name}.txt", f"ptb.{name}.txt"], expected))
        for name in ("train", "valid", "test")
    )
    return TextCorpus("ptb", train, dev, test)


def check_sentences(sentences: Iterable[Sequence[str]]) -> list[list[str]]:
    """A list of lists of words; raises InputError for anything else."""
    given: list[Any] = items("data", "sentences", sentences, object, "lists of words")
    return [items("data", "a sentence", sentence, str, "words") for sentence in given]


def language_model_vocabulary(
    sentences: Iterable[Sequence[str]], *, min_count: int = 1
) -> Vocabulary:
    """`<unk>`, `<eos>`, then the words of the sentences.

    `<unk>` is missing if it is not among the words and no word is left out for being rare: a model
    would learn nothing about it.
    """
    sentences = check_sentences(sentences)
    min_count = integer("data", "min_count", min_count, 1)
    words = Counter(word for sentence in sentences for word in sentence)
    known = UNKNOWN not in words and min(words.values(), default=1) >= min_count
    return Vocabulary.from_tokens(
        words.elements(),
        min_count=min_count,
        specials=(END_OF_SENTENCE,) if known else (UNKNOWN, END_OF_SENTENCE),
        unknown=None if known else UNKNOWN,
    )


def language_model_dataset(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Dataset:
    """Sentences for next-word prediction, with the vertex inputs `word` and `label`, both int32.

    A sentence of n words is a chain of n + 1 vertices: vertex 0 reads `<eos>` and vertex i word i;
    the label of a vertex is the next word, and `<eos>` at the last one.
    """
    sentences = check_sentences(sentences)
    instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    end = [END_OF_SENTENCE]
    words = vocabulary.encode(word for sentence in sentences for word in [*end, *sentence])
    labels = vocabulary.encode(word for sentence in sentences for word in [*sentence, *end])
    graphs = [chain_graph(len(sentence) + 1) for sentence in sentences]
    return Dataset(graphs, vertex={"word": words, "label": labels})


def running_text_dataset(
    sentences: Sequence[Sequence[str]], vocabulary: Vocabulary, streams: int, length: int
) -> Dataset:
    """Text without breaks, for truncated back-propagation: all sentences, `<eos>` after each, cut
    into `streams` parts of one length, which are read side by side. Each part is cut into pieces.

    Samples ``i * streams`` to ``(i + 1) * streams - 1`` are piece i of each stream: batches of
    `streams` samples in this order go on where the batch before ended. The last words of the text,
    at most `streams`, are left out.

    Inputs of vertices: ``word`` and ``label``, the next word, int32; ``first``, float32, 1 at the
    first word of a piece. Inputs of graphs: ``goes_on``, float32, 0 for the first piece of a
    stream.

    Raises:
        InputError: fewer than 1 stream or word in a piece; DataError: too little text.
    """
    text = cut_text(sentences, vocabulary, streams, length)
    graphs = [chain_graph(size) for size in text.sizes for _ in range(streams)]
    first = np.concatenate([np.eye(1, g.num_vertices, dtype=np.float32)[0] for g in graphs])
    return Dataset(
        graphs,
        vertex={"word": text.words, "label": text.labels, "first": first},
        graph={"goes_on": text.goes_on},
    )


class CutText(NamedTuple):
    """Text in `streams` parts that are read side by side, each cut into pieces.

    Attributes:
        sizes: the words of each piece of a stream.
        words, labels: of piece 0 of each stream, of piece 1 of each, and so on; int32.
        goes_on: of each piece, 0 for the first of a stream, else 1; float32.
    """

    sizes: list[int]
    words: Array
    labels: Array
    goes_on: Array


def cut_text(
    sentences: Sequence[Sequence[str]], vocabulary: Vocabulary, streams: int, length: int
) -> CutText:
    """Text as :func:`running_text_dataset` cuts it.

    Raises:
        InputError: fewer than 1 stream or word in a piece; DataError: too little text.
    """
    streams = integer("data", "streams", streams, 1)
    length = integer("data", "length", length, 1)
    sentences = check_sentences(sentences)
    instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    text = vocabulary.encode(word for s in sentences for word in [*s, END_OF_SENTENCE])
    count = (len(text) - 1) // streams  # the last word is a label only
    if count < 1:
        raise DataError(
            f"[data] expected text of {streams + 1} words or more for {streams} streams, got "
            f"{len(text)}; give more text, or fewer streams (--batch-size of `cavs train`)"
        )
    words = text[: streams * count].reshape(streams, count)
    labels = text[1 : streams * count + 1].reshape(streams, count)
    begins = range(0, count, length)
    pieces = [slice(begin, min(begin + length, count)) for begin in begins]
    return CutText(
        [piece.stop - piece.start for piece in pieces],
        np.concatenate([words[:, piece].ravel() for piece in pieces]),
        np.concatenate([labels[:, piece].ravel() for piece in pieces]),
        np.repeat(np.float32(np.arange(len(pieces)) > 0), streams),
    )
