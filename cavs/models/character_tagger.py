"""Bidirectional LSTM tagger whose rare words are read by characters, as one function of types."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes, lstm


class CharacterTagger(cavs.TypedFunction):
    """Labels every word of a sentence; words that are rare in training are read by characters.

    Two LSTMs read a sentence from both ends, and both states of a word are classified. A frequent
    word is its row e of an embedding. Of a rare one, two LSTMs read the characters from both ends,
    and s> and s< are their last states (Ling et al. 2015, section 2.2)::

        i, f, g, o = W e + U h' + b           of a frequent word
        i, f, g, o = V [s>; s<] + U h' + b    of a rare word
        c = sigmoid(f) * c' + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        logits = A [h>; h<] + a

    with h', c' of the word before, for h>, or of the word behind, for h<, which has W, V, U, b of
    its own. A graph (:func:`cavs.data.tagger_graph`) has vertices of six types: ``char_before`` and
    ``char_after`` read characters, ``word`` computes W e, once for equal words, or V [s>; s<], for
    both directions, ``before`` and ``after`` read words, and ``tag`` classifies. With an
    `alphabet_size` of 0 there are no characters, and these two types are missing; a rare word then
    reads as unknown.

    `dropout` drops both states before the classifier, `embedding_dropout` the embeddings of words
    and of characters, by vertex or by id (:func:`cavs.ops.dropout`).

    Inputs: ``word``: int32 per vertex of type ``word``, -1 if its characters are read;
    ``character``: int32 per vertex of type ``char_before`` or ``char_after``; ``label``: int32 per
    vertex of type ``tag``; -1 for none.
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
        spelled = character_hidden_size if alphabet_size else 0
        functions: dict[str, cavs.VertexFunction] = {
            "word": _Word(nn.Embedding(vocab_size, embedding_size), drop, spelled, hidden_size)
        }
        if alphabet_size:
            table = nn.Embedding(alphabet_size, character_size)
            for name in ("char_before", "char_after"):
                functions[name] = _Characters(name, table, drop, character_hidden_size)
        for name in ("before", "after"):
            functions[name] = _Words(name, hidden_size)
        functions["tag"] = _Tag(hidden_size, num_classes, dropout)
        super().__init__(functions)


class _Word(cavs.VertexFunction):
    """A word: what it adds to the gates of either direction; without characters if
    `character_hidden_size` is 0."""

    def __init__(
        self,
        embedding: nn.Embedding,
        embedding_dropout: nn.Dropout,
        character_hidden_size: int,
        hidden_size: int,
    ) -> None:
        self.embedding = embedding
        self.embedding_dropout = embedding_dropout
        self.character_hidden_size = character_hidden_size
        size = embedding.weight.shape[1]
        self.w_before = nn.Linear(size, 4 * hidden_size, bias=False)
        self.w_after = nn.Linear(size, 4 * hidden_size, bias=False)
        if character_hidden_size:
            ends = 2 * character_hidden_size
            self.v_before = nn.Linear(ends, 4 * hidden_size, bias=False)
            self.v_after = nn.Linear(ends, 4 * hidden_size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        # Of a word one of both is zeros: a rare one has no id, a frequent one no characters.
        e = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        to_before, to_after = self.w_before(e), self.w_after(e)
        if self.character_hidden_size:
            s = ops.concat(
                [
                    v.gather(0, of=name, s=self.character_hidden_size).s
                    for name in ("char_before", "char_after")
                ]
            )
            to_before, to_after = to_before + self.v_before(s), to_after + self.v_after(s)
        v.scatter(to_before=to_before, to_after=to_after)


class _Characters(cavs.VertexFunction):
    """The LSTM that reads the characters of a rare word one way."""

    def __init__(
        self, name: str, characters: nn.Embedding, embedding_dropout: nn.Dropout, hidden_size: int
    ) -> None:
        self.name, self.hidden_size = name, hidden_size
        self.characters = characters
        self.embedding_dropout = embedding_dropout
        self.w = nn.Linear(characters.weight.shape[1], 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(self.characters(v.pull("character", dtype="int32")))
        last = v.gather(0, of=self.name, s=self.hidden_size, s_cell=self.hidden_size)
        s, s_cell = lstm(self.w(x) + self.u(last.s), last.s_cell)
        v.scatter(s=s, s_cell=s_cell)


class _Words(cavs.VertexFunction):
    """The LSTM that reads the words of a sentence one way."""

    def __init__(self, name: str, hidden_size: int) -> None:
        self.name, self.hidden_size = name, hidden_size
        self.u = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, v: cavs.Vertex) -> None:
        state = f"to_{self.name}"
        word = vars(v.gather(0, of="word", **{state: 4 * self.hidden_size}))[state]
        last = v.gather(0, of=self.name, h=self.hidden_size, c=self.hidden_size)
        h, c = lstm(word + self.u(last.h), last.c)
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
