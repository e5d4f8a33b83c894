"""Sentences as graphs of types whose rare words are read character by character."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cavs._arguments import instance, integer, items
from cavs.data.dataset import Dataset
from cavs.data.tags import TaggedSentence
from cavs.data.vocabulary import UNKNOWN, Vocabulary
from cavs.errors import InputError
from cavs.scheduler import InputGraph

WORD_BOUNDARY = "<w>"
_READERS = ("char_before", "char_after")


def character_vocabulary(words: Iterable[str]) -> Vocabulary:
    """The characters of words: ``<unk>``, ``<w>`` for either end of a word, then by falling count.

    Raises InputError for anything but words.
    """
    given = items("data", "words", words, str, "words")
    characters = (character for word in given for character in word)
    return Vocabulary.from_tokens(characters, specials=(UNKNOWN, WORD_BOUNDARY))


def tagger_graph(lengths: Sequence[int]) -> InputGraph:
    """The graph of a sentence for :class:`cavs.models.CharacterTagger`, with types.

    First stand the vertices that read words, word by word: one of type ``word``, or two chains of
    characters, of type ``char_before`` from the first to the last one and of type ``char_after``
    from the last to the first. Then each word has a vertex of type ``before``, whose children are
    that of the word before it and what ends the reading of the word itself; one of type ``after``,
    the same with the word behind it; and one of type ``tag``, whose children are these two.

    Args:
      lengths: of each word 0 for a vertex of type ``word``, else how many characters a chain has.

    Raises:
      InputError: a length is no integer, or below 0.
    """
    given = items("data", "lengths", lengths, object, "integers")
    sizes = [integer("data", "length", size, 0) for size in given]
    children: list[list[int]] = []
    types: list[str] = []
    reads: list[list[int]] = []  # of each word the vertices that end its reading
    for size in sizes:
        start = len(children)
        if size:
            for name in _READERS:
                begin = len(children)
                children += [[], *([v] for v in range(begin, begin + size - 1))]
                types += [name] * size
            reads.append([start + size - 1, start + 2 * size - 1])
        else:
            children.append([])
            types.append("word")
            reads.append([start])
    count, before = len(sizes), len(children)
    after = before + count
    children += [[*([before + i - 1] if i else []), *own] for i, own in enumerate(reads)]
    children += [[*([after + i + 1] if i + 1 < count else []), *own] for i, own in enumerate(reads)]
    children += [[before + i, after + i] for i in range(count)]
    types += [name for name in ("before", "after", "tag") for _ in sizes]
    return InputGraph(children, types=types)


def tagger_dataset(
    sentences: Iterable[TaggedSentence],
    words: Vocabulary,
    tags: Vocabulary,
    characters: Vocabulary | None = None,
) -> Dataset:
    """Sentences as graphs of types (`tagger_graph`) with int32 inputs, for
    :class:`cavs.models.CharacterTagger`.

    A word that is in `words` is a vertex of type ``word``. Any other is read by its characters,
    with ``<w>`` at both ends; without `characters` it is a vertex that reads as unknown.

    Inputs: ``word``, a row for each vertex of type ``word``; with `characters` also ``character``,
    a row for each of type ``char_before`` or ``char_after``; ``label`` (the tag), a row for each of
    type ``tag``, -1 where a tag is None.

    Args:
      sentences: the tagged sentences.
      words: the frequent words.
      tags: as `tag_vocabulary` makes it.
      characters: as `character_vocabulary` makes it; None reads no characters.

    Raises:
      InputError: no tagged sentences, no vocabularies, ``<w>`` is missing in `characters`, or a
        word, tag or character is not in a vocabulary without an unknown token.
    """
    given = items("data", "sentences", sentences, TaggedSentence, "tagged sentences")
    for name, vocabulary in (("words", words), ("tags", tags), ("characters", characters)):
        if vocabulary is not None or name != "characters":
            instance("data", name, vocabulary, Vocabulary, "a Vocabulary")
    if characters is not None and WORD_BOUNDARY not in characters:
        raise InputError(
            f"[data] expected {WORD_BOUNDARY} among the characters, got none; make them by "
            "cavs.data.character_vocabulary"
        )
    graphs, read, spelled = [], [], []
    for sentence in given:
        lengths = []
        for word in sentence.words:
            if characters is None or (word in words and word != words.unknown):
                read.append(word)
                lengths.append(0)
                continue
            ends = [WORD_BOUNDARY, *word, WORD_BOUNDARY]
            spelled += [*ends, *reversed(ends)]
            lengths.append(len(ends))
        graphs.append(tagger_graph(lengths))
    vertex = {
        "word": words.encode(read),
        "label": tags.encode(tag for sentence in given for tag in sentence.tags),
    }
    of: dict[str, str | list[str]] = {"word": "word", "label": "tag"}
    if characters is not None:
        vertex["character"] = characters.encode(spelled)
        of["character"] = list(_READERS)
    return Dataset(graphs, vertex=vertex, of=of)
