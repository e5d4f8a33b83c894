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

    First stand, word by word, its characters, if it is read by these, as a chain of type
    ``char_before`` from the first to the last and one of type ``char_after`` from the last to the
    first, and then a vertex of type ``word``, whose children are the ends of both chains. Then each
    word has a vertex of type ``before``, whose children are that of the word before it and the
    word's; one of type ``after``, the same with the word behind it; and one of type ``tag``, whose
    children are these two.

    Args:
      lengths: how many characters a chain of each word has; 0 for a word without chains.

    Raises:
      InputError: a length is no integer, or below 0.
    """
    given = items("data", "lengths", lengths, object, "integers")
    sizes = [integer("data", "length", size, 0) for size in given]
    children: list[list[int]] = []
    types: list[str] = []
    words: list[int] = []
    for size in sizes:
        ends = []
        for name in _READERS if size else ():
            begin = len(children)
            children += [[], *([v] for v in range(begin, begin + size - 1))]
            types += [name] * size
            ends.append(begin + size - 1)
        words.append(len(children))
        children.append(ends)
        types.append("word")
    before = len(children)
    after = before + len(words)
    last = len(words) - 1
    children += [[*([before + i - 1] if i else []), word] for i, word in enumerate(words)]
    children += [[*([after + i + 1] if i < last else []), word] for i, word in enumerate(words)]
    children += [[before + i, after + i] for i in range(len(words))]
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

    A word that is not in `words` is read by its characters, with ``<w>`` at both ends; without
    `characters` it reads as unknown.

    Inputs: ``word``, a row for each vertex of type ``word``, -1 if it is read by characters; with
    `characters` also ``character``, a row for each of type ``char_before`` or ``char_after``;
    ``label`` (the tag), a row for each of type ``tag``, -1 where a tag is None.

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
    graphs, spelled = [], []
    read: list[str | None] = []
    for sentence in given:
        lengths = []
        for word in sentence.words:
            if characters is None or (word in words and word != words.unknown):
                read.append(word)
                lengths.append(0)
                continue
            ends = [WORD_BOUNDARY, *word, WORD_BOUNDARY]
            spelled += [*ends, *reversed(ends)]
            read.append(None)
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
