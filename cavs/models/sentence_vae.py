"""Recurrent variational autoencoder of sentences (Bowman et al. 2016)."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._shared import ChainReader, check_sizes, lstm


class SentenceEncoder(ChainReader):
    """An LSTM that reads a sentence to its end.

    Inputs per vertex: ``word``: int32.
    Outputs per vertex: ``h``: (hidden_size,); at the last vertex it stands for the sentence.
    """

    def __init__(self, embedding: nn.Embedding, size: int, hidden_size: int) -> None:
        check_sizes(size=size, hidden_size=hidden_size)
        super().__init__(embedding, size, hidden_size)


class SentenceDecoder(cavs.VertexFunction):
    """An LSTM language model that sees z at each word.

    Inputs: ``word``, -1 where the word is hidden, and ``label``, the next word: int32 per vertex;
    ``z``: (latent_size,) per graph.
    Outputs per vertex: ``logits``: (vocab_size,); ``loss``: () -log p(label).
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        vocab_size: int,
        size: int,
        hidden_size: int,
        latent_size: int,
    ) -> None:
        check_sizes(
            vocab_size=vocab_size, size=size, hidden_size=hidden_size, latent_size=latent_size
        )
        self.embedding, self.hidden_size, self.latent_size = embedding, hidden_size, latent_size
        self.w = nn.Linear(size, 4 * hidden_size)
        self.w_z = nn.Linear(latent_size, 4 * hidden_size, bias=False)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.next_word = nn.Linear(hidden_size, vocab_size)

    def forward(self, v: cavs.Vertex) -> None:
        before = v.gather(0, h=self.hidden_size, c=self.hidden_size)
        x = self.embedding(v.pull("word", dtype="int32"))
        z = v.pull_graph("z", self.latent_size)
        h, c = lstm(self.w(x) + self.w_z(z) + self.u(before.h), before.c)
        v.scatter(h=h, c=c)
        logits = self.next_word(h)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


class SentenceVAE(cavs.VertexProgram):
    """The encoder, the decoder, and between them q(z | sentence) = Normal(mean, exp(log_std)),
    computed from the encoder's last state; p(z) = Normal(0, 1). Both share the embedding."""

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 200,
        hidden_size: int = 200,
        latent_size: int = 16,
    ) -> None:
        check_sizes(
            vocab_size=vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            latent_size=latent_size,
        )
        self.latent_size = latent_size
        embedding = nn.Embedding(vocab_size, embedding_size)
        nn.init.normal_(embedding.weight, std=0.1)
        sizes = (embedding_size, hidden_size)
        super().__init__(
            {
                "encoder": SentenceEncoder(embedding, *sizes),
                "decoder": SentenceDecoder(embedding, vocab_size, *sizes, latent_size),
            }
        )
        self.posterior = nn.Linear(hidden_size, 2 * latent_size)
