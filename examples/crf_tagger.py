"""A linear-chain CRF over a bidirectional LSTM, which tags names.

The model of Huang, Xu and Yu, *Bidirectional LSTM-CRF Models for Sequence Tagging* (2015), with the
field of Lafferty, McCallum and Pereira, *Conditional Random Fields* (ICML 2001). Its recursions are
vertex functions: the sum over all tag sequences and the best one run up the chain, back-pointers
are followed down the reversed chain.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy import typing as npt

import cavs
from cavs import data, nn, ops
from cavs.models import BiLSTMTagger

NAMES = ("Lincoln", "Jordan", "Paris", "Florence", "Chester", "Austin")  # of people and places
OTHERS = ("the", "old", "king", "once", "again", "quietly")


class CRF(cavs.VertexFunction):
    """score(y) = start[y_1] + sum_t emission_t[y_t] + sum_t transition[y_t, y_{t-1}] + end[y_n].

    Inputs: ``emission`` (tags,), ``label`` int32. Outputs: ``log_z``, the log of the sum of exp
    score(y) over all y up to a vertex; ``loss``, which is log_z less the score of the labels; and
    ``best`` (tags,), the greatest score, less end, of those that have a tag at the vertex. The last
    vertex has those of the whole chain.
    """

    def __init__(self, tags: int) -> None:
        self.tags = tags
        self.start = nn.Parameter(np.zeros(tags, np.float32))
        self.end = nn.Parameter(np.zeros(tags, np.float32))
        self.transition = nn.Parameter(np.zeros((tags, tags), np.float32))  # [to, from]
        self.one_hot = nn.Parameter(np.eye(tags, dtype=np.float32), requires_grad=False)

    def forward(self, v: cavs.Vertex) -> None:
        emission = v.pull("emission", self.tags)
        label = ops.embedding(self.one_hot, v.pull("label", dtype="int32"))
        # The vertex before; at the first one zeros, `inside` among them.
        before = v.gather(0, total=self.tags, best=self.tags, label=self.tags, gold=(), inside=())
        total = ops.logsumexp(before.total + self.transition)
        best = ops.max(before.best + self.transition, axis=-1)
        step = ops.matmul(self.transition, before.label)
        total, best, step = (
            emission + ops.where(before.inside, x, self.start) for x in (total, best, step)
        )
        gold = before.gold + ops.sum(label * step)
        v.scatter(total=total, best=best, label=label, gold=gold, inside=1.0)
        log_z = ops.logsumexp(total + self.end)
        v.push(log_z=log_z, loss=log_z - gold - ops.sum(label * self.end), best=best)


class Viterbi(cavs.VertexFunction):
    """The best tag of each vertex, as ``tag`` (tags,), one-hot; over the reversed chain."""

    def __init__(self, crf: CRF) -> None:
        self.tags, self.end, self.transition = crf.tags, crf.end, crf.transition

    def forward(self, v: cavs.Vertex) -> None:
        after = v.gather(0, tag=self.tags, inside=())
        onwards = ops.where(after.inside, ops.matmul(after.tag, self.transition), self.end)
        tag = ops.one_hot_max(v.pull("best", self.tags) + onwards)
        v.scatter(tag=tag, inside=1.0)
        v.push(tag=tag)


def compile_tagger(words: int, tags: int, size: int) -> cavs.Program:
    lstm, crf = BiLSTMTagger(words, size, size, tags), CRF(tags)
    functions = {"before": lstm.before, "after": lstm.after, "crf": crf, "viterbi": Viterbi(crf)}
    return cavs.compile(cavs.VertexProgram(functions))


def emissions(program: cavs.Program, graphs: cavs.GraphBatch, word: npt.ArrayLike) -> cavs.Tensor:
    h = program["before"](graphs, word=word)["h"]
    after = program["after"](graphs.reverse(), outputs=["logits"], word=word, before=h)
    return after["logits"]


def decode(
    program: cavs.Program, graphs: cavs.GraphBatch, emission: cavs.Tensor
) -> npt.NDArray[np.int64]:
    """The tag of each vertex in the best sequence of its chain."""
    with cavs.no_grad():
        best = program["crf"](graphs, outputs=["best"], emission=emission)["best"]
        tag = program["viterbi"](graphs.reverse(), best=best)["tag"]
    return tag.numpy().argmax(axis=1)


def sentence(rng: np.random.Generator) -> data.TaggedSentence:
    """People speak, and places are where something is: names themselves do not tell which."""
    tagged: list[tuple[str, str]] = []
    for _ in range(rng.integers(1, 4)):
        tagged += [(str(word), "O") for word in rng.choice(OTHERS, rng.integers(1, 4))]
        name = [str(word) for word in rng.choice(NAMES, rng.integers(1, 3))]
        kind = str(rng.choice(["PER", "LOC"]))
        if kind == "LOC":
            tagged.append((str(rng.choice(["in", "near"])), "O"))
        tagged += [(word, f"{'I' if t else 'B'}-{kind}") for t, word in enumerate(name)]
        if kind == "PER":
            tagged.append((str(rng.choice(["says", "asks"])), "O"))
    words, tags = zip(*tagged, strict=True)
    return data.TaggedSentence(words, tags)


def names(tags: list[str]) -> set[tuple[int, int, str]]:
    """(begin, end, kind) of each name, in tags with B- where a name begins, or without."""
    found, begin = set(), 0
    for t, (tag, following) in enumerate(zip(tags, [*tags[1:], "O"], strict=True)):
        if following != tag.replace("B-", "I-"):  # the run of this tag ends here
            if tag != "O":
                found.add((begin, t + 1, tag[2:]))
            begin = t + 1
    return found


def f1(program: cavs.Program, loader: data.Loader, tags: data.Vocabulary) -> float:
    """Of whole names, in percent."""
    right = found = expected = 0
    for graphs, inputs in loader:
        predicted = decode(program, graphs, emissions(program, graphs, inputs["word"]))
        for begin, end in zip(graphs.ptr[:-1], graphs.ptr[1:], strict=True):
            ours, theirs = (
                names(tags.decode(ids[begin:end])) for ids in (predicted, inputs["label"])
            )
            right += len(ours & theirs)
            found += len(ours)
            expected += len(theirs)
    return 100 * 2 * right / max(1, found + expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a file of word|TAG sentences (default: generated ones)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=300, help="generated ones to train on")
    parser.add_argument("--hidden-size", type=int, default=32)
    options = parser.parse_args()

    if options.data:
        sentences = data.read_tagged(options.data)
    else:
        rng = np.random.default_rng(0)
        sentences = [sentence(rng) for _ in range(options.sentences * 5 // 4)]
    cut = len(sentences) * 4 // 5
    known = (word for x in sentences[:cut] for word in x.words)
    words = data.Vocabulary.from_tokens(known, min_count=2)
    tags = data.tag_vocabulary(sentences)
    train, dev = (
        data.tagging_dataset(part, words, tags) for part in (sentences[:cut], sentences[cut:])
    )
    loader = data.Loader(train, 16, shuffle=True)
    dev_loader = data.Loader(dev, 64, cache=True)

    program = compile_tagger(len(words), len(tags), options.hidden_size)
    optimizer = cavs.optim.Adam(program.parameters(), lr=1e-2)
    for epoch in range(options.epochs):
        total = 0.0
        for graphs, inputs in loader:
            emission = emissions(program, graphs, inputs["word"])
            out = program["crf"](graphs, outputs=["loss"], emission=emission, label=inputs["label"])
            loss = cavs.readout(graphs, out["loss"]).sum()
            optimizer.zero_grad()
            (loss * (1 / graphs.num_graphs)).backward()
            cavs.optim.clip_grad_norm(program.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        print(
            f"epoch {epoch + 1}: loss {total / len(train):.3f} per sentence, "
            f"of names in unseen ones F1 {f1(program, dev_loader, tags):.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
