"""Tagged sentences: ``word|TAG`` separated by blanks, one sentence on a line."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cavs._arguments import instance, items
from cavs.data._repr import Corpus, Printed, first_words
from cavs.data._text import WORD, PathLike, as_path, fail, find_file, quoted, read_lines
from cavs.data.chains import chain_graph
from cavs.data.dataset import Dataset
from cavs.data.vocabulary import Vocabulary
from cavs.errors import InputError

_BEGIN, _END = ("B", "S", "U"), ("E", "L", "S", "U")  # marks of a name's first and last word


@dataclass(frozen=True, repr=False)
class TaggedSentence(Printed):
    """A sentence and the tag of each of its words, None where it is not known."""

    words: tuple[str, ...]
    tags: tuple[str | None, ...]

    def _summary(self) -> str:
        pairs = zip(self.words, self.tags, strict=True)
        tagged = first_words(f"{word}|{tag}" for word, tag in pairs)
        return f"of {len(self.words)} words: {tagged}"


def read_tagged(path: PathLike) -> list[TaggedSentence]:
    """Read a file of tagged sentences, one on a line, as ``word|TAG`` parted by blanks.

    Blank lines are skipped. The tag is what follows the last ``|``, so that words may contain one.

    Raises:
      DataError: a word without a tag (names line and column), or as for any file.
    """
    sentences = []
    for number, line in enumerate(
        read_lines(path, "sentences of word|TAG, one on a line"), start=1
    ):
        words, tags = [], []
        for match in WORD.finditer(line):
            word, _, tag = match.group().rpartition("|")
            if not word or not tag:
                message = (
                    f"expected word|TAG, got {quoted(match.group())}; write the tag behind the word"
                )
                fail(str(path), message, line=number, column=match.start() + 1)
            words.append(word)
            tags.append(tag)
        if words:
            sentences.append(TaggedSentence(tuple(words), tuple(tags)))
    return sentences


@dataclass(frozen=True, repr=False)
class TaggedCorpus(Corpus):
    """Training, development and test sentences with their tags."""

    name: str
    train: list[TaggedSentence]
    dev: list[TaggedSentence]
    test: list[TaggedSentence]

    _unit = "sentences"


def load_tagged(path: PathLike) -> TaggedCorpus:
    """Read train.txt, dev.txt and test.txt of a folder, or a file and split it.

    The sentences of a file are shuffled, the same each time; a tenth of them is the test set, the
    next tenth the development set (one sentence each, at least), and all others are for training.

    Raises:
      DataError: a file is missing or malformed, or a file to split has fewer than 3 sentences.
    """
    place = as_path(path)
    try:
        place, is_file = place.resolve(), place.is_file()
    except (OSError, ValueError, RuntimeError):
        is_file = False  # the search in it will raise the error
    if not is_file:
        expected = "a file of word|TAG sentences, or a folder with train.txt, dev.txt and test.txt"
        parts = ("train", "dev", "test")
        files = [find_file(path, [f"{part}.txt"], expected) for part in parts]
        return TaggedCorpus(place.name, *map(read_tagged, files))
    sentences = read_tagged(path)
    if len(sentences) < 3:
        fail(
            str(path),
            f"expected 3 sentences or more to split, got {len(sentences)}; add some, or give a "
            "folder with train.txt, dev.txt and test.txt",
        )
    random.Random(0).shuffle(sentences)
    tenth = max(1, len(sentences) // 10)
    return TaggedCorpus(
        place.stem, sentences[2 * tenth :], sentences[tenth : 2 * tenth], sentences[:tenth]
    )


def name_spans(tags: Iterable[str]) -> set[tuple[int, int, str]]:
    """The names that the tags of a sentence mark, as (first word, one behind the last, kind).

    A tag is a mark and a kind, as in ``B-PER``; a tag of another form, such as ``O``, is outside of
    names. Words of one kind that follow each other are a name; within them one begins at B, S and
    U, and ends at E, L, S and U. So tags of IOB (Ramshaw and Marcus 1995, with B where a name
    follows one of its kind, or at each name) are read, IOBES and BILOU.

    Raises InputError for anything but tags.
    """
    found, open_at, kind, last = set(), 0, "", ""
    given = items("data", "tags", tags, str, "tags")
    for place, tag in enumerate([*given, "O"]):
        mark, own = _parts(tag)
        if kind and (own != kind or mark in _BEGIN or last in _END):
            found.add((open_at, place, kind))
            kind = ""
        if own and not kind:
            open_at, kind = place, own
        last = mark
    return found


def _parts(tag: str) -> tuple[str, str]:
    """Mark and kind of a tag, both empty outside of names."""
    mark, dash, kind = tag.partition("-")
    return (mark, kind) if dash and kind and mark in ("I", *_BEGIN, *_END) else ("", "")


def name_f1(found: Iterable[Sequence[str]], gold: Iterable[Sequence[str]]) -> float:
    """The F1 of names (`name_spans`) over all sentences together, in 0..1, as the shared task of
    CoNLL 2003 counts it: a name is right if words and kind are; 1 if there are no names.

    Args:
      found, gold: the tags of each sentence.

    Raises:
      InputError: not lists of tags, or not as many.
    """
    right = total = 0
    mine, its = (
        items("data", "tags", tags, (list, tuple), "lists of tags") for tags in (found, gold)
    )
    if len(mine) != len(its):
        raise InputError(
            f"[data] expected tags of as many sentences as gold ones, got {len(mine)} and "
            f"{len(its)}; give those of each"
        )
    for own, true in zip(map(name_spans, mine), map(name_spans, its), strict=True):
        right += len(own & true)
        total += len(own) + len(true)
    return 2 * right / total if total else 1.0


def tag_vocabulary(sentences: Iterable[TaggedSentence]) -> Vocabulary:
    """The tags; it has no unknown token, so a tag that training never saw is an error."""
    given = items("data", "sentences", sentences, TaggedSentence, "tagged sentences")
    tags = (tag for sentence in given for tag in sentence.tags)
    return Vocabulary.from_tokens(tags, specials=(), unknown=None)


def tagging_dataset(
    sentences: Sequence[TaggedSentence], words: Vocabulary, tags: Vocabulary
) -> Dataset:
    """Sentences as chains with the vertex inputs `word` and `label` (the tag), both int32."""
    sentences = items("data", "sentences", sentences, TaggedSentence, "tagged sentences")
    for name, vocabulary in (("words", words), ("tags", tags)):
        instance("data", name, vocabulary, Vocabulary, "a Vocabulary")
    return Dataset(
        [chain_graph(len(sentence.words)) for sentence in sentences],
        vertex={
            "word": words.encode(word for sentence in sentences for word in sentence.words),
            "label": tags.encode(tag for sentence in sentences for tag in sentence.tags),
        },
    )
