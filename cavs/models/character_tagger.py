"""Bidirectional LSTM tagger whose rare words are read by characters, as one function of types."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes, lstm


class CharacterTagger(cavs.TypedFunction):
    """Labels every word of a sentence; words that are rare in training are read by characters.

    The vector of a frequent word is its row of an embedding. That of a rare one comes from two
    LSTMs over its characters, one from the first to the last and one from the last to the first, of
    which c> and c< are the last states (Ling et al. 2015, section 2.2). Two LSTMs read the vectors
    of the sentence, from both ends, and both states of a word are classified::

        x_t = E[word_t]   or   J c>_t + J' c<_t
        h>_t = LSTM(x_t, h>_{t-1})        h<_t = LSTM'(x_t, h<_{t+1})
        logits_t = W [h>_t; h<_t] + b

    A graph has vertices of six types (:func:`cavs.data.tagger_graph`): ``word`` scatters x,
    ``char_before`` and ``char_after`` read characters, ``before`` and ``after`` words, and ``tag``
    classifies. With an `alphabet_size` of 0 there are no characters, and these two types are
    missing; a rare word is then one of type ``word`` whose id is that of an unknown word.

    `dropout` drops both states before the classifier, `embedding_dropout` the embeddings of words
    and of characters, by vertex or by id (:func:`cavs.ops.dropout`).

    Inputs: ``word``: int32 per vertex of type ``word``; ``character``: int32 per vertex of type
    ``char_before`` or ``char_after``; ``label``: int32 per vertex of type ``tag``; -1 for none.
    Outputs per vertex of type ``tag``: ``logits`` (num_classes,) and ``loss`` ().
    """

    def __init__(
        self,
        vocab_size: int,
        alphabet_size: int,
        embedding_size: int,
        character_size: int,
        character_hidden_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        sizes = {"character_size": character_size, "character_hidden_size": character_hidden_size}
        check_sizes(
            vocab_size=vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_classes=num_classes,
            **(sizes | {"alphabet_size": alphabet_size} if alphabet_size != 0 else {}),
        )
        drop = nn.Dropout(embedding_dropout, by=embedding_dropout_by)
        functions: dict[str, cavs.VertexFunction] = {
            "word": _Word(nn.Embedding(vocab_size, embedding_size), drop)
        }
        spelled = None
        if alphabet_size:
            table = nn.Embedding(alphabet_size, character_size)
            for name in ("char_before", "char_after"):
                functions[name] = _Characters(name, table, character_hidden_size, drop)
            spelled = _Spelled(character_hidden_size, embedding_size)
        for name in ("before", "after"):
            functions[name] = _Words(name, embedding_size, hidden_size, spelled)
        functions["tag"] = _Tag(hidden_size, num_classes, dropout)
        super().__init__(functions)


class _Word(cavs.VertexFunction):
    """A frequent word: its row of the embedding."""

    def __init__(self, embedding: nn.Embedding, embedding_dropout: nn.Dropout) -> None:
        self.embedding = embedding
        self.embedding_dropout = embedding_dropout

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(x=self.embedding_dropout(self.embedding(v.pull("word", dtype="int32"))))


class _Characters(cavs.VertexFunction):
    """The LSTM that reads the characters of a rare word one way."""

    def __init__(
        self, name: str, characters: nn.Embedding, hidden_size: int, embedding_dropout: nn.Dropout
    ) -> None:
        self.name, self.hidden_size = name, hidden_size
        self.characters = characters
        self.embedding_dropout = embedding_dropout
        self.w = nn.Linear(characters.weight.shape[1], 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(self.characters(v.pull("character", dtype="int32")))
        size = self.hidden_size
        last = v.gather(0, of=self.name, character_h=size, character_c=size)
        h, c = lstm(self.w(x) + self.u(last.character_h), last.character_c)
        v.scatter(character_h=h, character_c=c)


class _Spelled(cavs.Module):
    """The vector of a rare word from both readings of its characters; zeros of a frequent one."""

    def __init__(self, hidden_size: int, embedding_size: int) -> None:
        self.hidden_size = hidden_size
        self.join = nn.Linear(2 * hidden_size, embedding_size, bias=False)

    def __call__(self, v: cavs.Vertex) -> Any:
        both = [
            v.gather(0, of=name, character_h=self.hidden_size).character_h
            for name in ("char_before", "char_after")
        ]
        return self.join(ops.concat(both))


class _Words(cavs.VertexFunction):
    """The LSTM that reads the words of a sentence one way."""

    def __init__(
        self, name: str, embedding_size: int, hidden_size: int, spelled: _Spelled | None
    ) -> None:
        self.name, self.embedding_size, self.hidden_size = name, embedding_size, hidden_size
        self.spelled = spelled
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.gather(0, of="word", x=self.embedding_size).x
        if self.spelled is not None:
            x = x + self.spelled(v)
        last = v.gather(0, of=self.name, h=self.hidden_size, c=self.hidden_size)
        h, c = lstm(self.w(x) + self.u(last.h), last.c)
        v.scatter(h=h, c=c)


class _Tag(cavs.VertexFunction):
    """The classifier of a word's states."""

    def __init__(self, hidden_size: int, num_classes: int, dropout: float) -> None:
        self.hidden_size, self.dropout = hidden_size, dropout
        self.classifier = nn.Linear(2 * hidden_size, num_classes)

    def forward(self, v: cavs.Vertex) -> None:
        both = [v.gather(0, of=name, h=self.hidden_size).h for name in ("before", "after")]
        logits = self.classifier(ops.dropout(ops.concat(both), self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
