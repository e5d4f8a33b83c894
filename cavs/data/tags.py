"""Tagged sentences: ``word|TAG`` separated by blanks, one sentence on a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cavs._arguments import instance, items
from cavs.data._repr import Printed, first_words
from cavs.data._text import WORD, PathLike, fail, quoted, read_lines
from cavs.data.chains import chain_graph
from cavs.data.dataset import Dataset
from cavs.data.vocabulary import Vocabulary


@dataclass(frozen=True, repr=False)
class TaggedSentence(Printed):
    """A sentence and the tag of each of its words."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

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
