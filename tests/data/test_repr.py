"""What data print of themselves: one short line, however much they hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cavs import data

MANY = 3000
LONGEST = 300


def _chain(count: int) -> Any:
    return data.chain_graph(count)


def _tree(words: int = 500, word: str = "film") -> data.LabelledTree:
    builder = data.TreeBuilder()
    vertex = builder.add(2, word)
    for _ in range(words - 1):
        vertex = builder.add(3, None, (vertex, builder.add(2, word)))
    return builder.build()


def _annotated() -> data.AnnotatedTree:
    return data.sentence_tree(["film\n"] * MANY)


def _dataset(count: int = MANY, names: int = 1) -> data.Dataset:
    inputs = {f"word{i}": np.zeros(2 * count, np.int32) for i in range(names)}
    return data.Dataset([_chain(2)] * count, vertex=inputs, graph={"score": np.zeros((count, 3))})


def _lattice() -> data.Lattice:
    some = np.zeros(MANY, np.int32)
    return data.Lattice(_chain(MANY), some, some[1:], some[1:] > 0)


class _Backwards(data.Sampler):
    def __len__(self) -> int:
        return MANY

    def order(self, epoch: int) -> list[int]:
        return list(range(MANY))[::-1]


def _builder() -> data.TreeBuilder:
    builder = data.TreeBuilder()
    for _ in range(MANY):
        builder.add(1, "film")
    return builder


def _pairs() -> data.PairDataset:
    return data.PairDataset(_dataset(), _dataset(), pair={"label": np.zeros(MANY, np.int32)})


# Maps each class to what makes one that holds much, and what it then prints among other things.
CASES: dict[type, tuple[Callable[[], Any], list[str]]] = {
    data.AnnotatedTree: (_annotated, [f"{MANY} vertices", "film\\n film\\n", "..."]),
    data.Dataset: (
        _dataset,
        ["3000 samples", "6000 vertices", "word0 int32", "score float64 (3,)"],
    ),
    data.ImageCorpus: (
        lambda: data.ImageCorpus("m", 4, 5, *[np.zeros((n, 20), np.uint8) for n in (9, 8, 7)]),
        ["'m'", "9 train", "8 dev", "7 test images", "4 x 5 pixels"],
    ),
    data.LabelledImageCorpus: (
        lambda: data.LabelledImageCorpus(
            *("m", 4, 5, *[np.zeros((n, 20), np.uint8) for n in (9, 8, 7)]),
            *[np.zeros(n, np.int32) for n in (9, 8, 7)],
            num_classes=3,
            levels=1,
        ),
        ["'m'", "9 train", "8 dev", "7 test images", "4 x 5 pixels in 3 classes"],
    ),
    data.LabelledTree: (_tree, ["999 vertices", "root label 3", "film film"]),
    data.Lattice: (_lattice, [f"{MANY} vertices", f"{MANY - 1} edges"]),
    data.LatticeCorpus: (
        lambda: data.LatticeCorpus("msra", [_lattice()] * 70, [_lattice()] * 6, [], 5, 40, 30),
        ["'msra'", "70 train", "6 dev", "0 test lattices", "5 tags", "40 characters", "30 words"],
    ),
    data.ListOpsGenerator: (lambda: data.ListOpsGenerator(7, 2), ["seed 7", "stream 2"]),
    data.Loader: (
        lambda: data.Loader(_dataset(), 256, shuffle=True),
        ["12 batches of 256", "shuffled", "epoch 0", "3000 samples"],
    ),
    data.PairCorpus: (
        lambda: data.PairCorpus("snli", [data.SentencePair(_tree(), _tree())] * 50, [], [], ("a",)),
        ["'snli'", "50 train", "0 dev", "0 test pairs", "labels a"],
    ),
    data.PairDataset: (_pairs, ["3000 pairs", "12000 vertices", "label int32"]),
    data.PairGraph: (
        lambda: data.pair_graph(_chain(60), _chain(50)),
        ["60 encoder", "50 decoder vertices", "edges"],
    ),
    data.Sampler: (_Backwards, [f"_Backwards of {MANY} samples"]),
    data.SentencePair: (
        lambda: data.SentencePair(_tree(), _tree(word="plot"), "neutral", 3.5),
        ["'neutral'", "3.5", "film film", "plot plot"],
    ),
    data.StanfordCorpus: (
        lambda: data.StanfordCorpus("sst", [_annotated()] * 4, [], []),
        ["'sst'", "4 train", "0 test trees"],
    ),
    data.TaggedCorpus: (
        lambda: data.TaggedCorpus("tags", [data.TaggedSentence(("a",), ("O",))] * MANY, [], []),
        ["'tags'", f"{MANY} train", "0 test sentences"],
    ),
    data.TaggedSentence: (
        lambda: data.TaggedSentence(("Ada",) * MANY, ("PER",) * MANY),
        [f"{MANY} words", "Ada|PER Ada|PER"],
    ),
    data.TextCorpus: (
        lambda: data.TextCorpus("ptb", [["a"] * 50] * MANY, [["b"]], [["c"]]),
        ["'ptb'", f"{MANY} train", "1 dev", "1 test sentences"],
    ),
    data.TreeBuilder: (_builder, [f"{MANY} vertices"]),
    data.TreeCorpus: (
        lambda: data.TreeCorpus("sst", [_tree()] * 85, [_tree()] * 11, [_tree()] * 22, 5),
        ["'sst'", "85 train", "11 dev", "22 test trees", "5 classes"],
    ),
    data.Vocabulary: (
        lambda: data.Vocabulary([*map(str, range(MANY)), "u" * MANY], "u" * MANY),
        [f"{MANY + 1} tokens"],
    ),
    data.WeightedSampler: (
        lambda: data.WeightedSampler(np.ones(MANY), 100, replacement=False),
        ["100 samples", f"of {MANY}", "without replacement"],
    ),
    data.WordVectors: (
        lambda: data.WordVectors(np.zeros((MANY, 300), np.float32), np.arange(MANY) < 40),
        [f"({MANY}, 300)", f"40 of {MANY} words"],
    ),
}


def test_all_classes_are_here() -> None:
    public = {value for name in data.__all__ if isinstance(value := getattr(data, name), type)}
    assert public == set(CASES)


@pytest.mark.parametrize("cls", CASES, ids=lambda cls: cls.__name__)
def test_prints_one_short_line(cls: type) -> None:
    make, expected = CASES[cls]
    value = make()
    printed = repr(value)
    assert len(printed) <= LONGEST
    assert printed.isprintable()
    assert type(value).__name__ in printed
    for part in expected:
        assert part in printed
    assert repr([value]) == f"[{printed}]"


@pytest.mark.parametrize("cls", [data.Dataset, data.Loader, data.TreeCorpus, data.LabelledTree])
def test_one_without_fields_prints_too(cls: type) -> None:
    """As a debugger meets it before it is complete."""
    assert cls.__name__ in repr(object.__new__(cls))


def test_fields_of_other_kinds_print_too() -> None:
    wrong: Any = None
    assert "TreeCorpus" in repr(data.TreeCorpus(wrong, wrong, wrong, wrong, wrong))
    long = data.TreeCorpus("n" * MANY, [], [], [], 5)
    assert len(repr(long)) <= LONGEST


def test_many_inputs_long_names_and_short_sentences() -> None:
    assert len(repr(_dataset(names=50))) <= 2 * LONGEST
    assert repr(_tree(2)) == "<LabelledTree of 3 vertices, root label 3: film film>"
    tree = _tree(2, word="\n" * 500)
    assert repr(tree).isprintable()
    assert len(repr(tree)) <= LONGEST
    assert str(_tree(2)) == "(3 (2 film) (2 film))"


def test_equality_stays() -> None:
    assert _tree(3) == _tree(3)
    assert data.TaggedSentence(("a",), ("T",)) == data.TaggedSentence(("a",), ("T",))
    assert hash(data.TaggedSentence(("a",), ("T",))) == hash(data.TaggedSentence(("a",), ("T",)))
