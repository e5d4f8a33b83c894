"""Sentences as graphs of types, names in tags, and how files of tags are split."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cavs.data import (
    TaggedSentence,
    Vocabulary,
    character_vocabulary,
    load_tagged,
    name_f1,
    name_spans,
    read_tagged,
    tag_vocabulary,
    tagger_dataset,
    tagger_graph,
)
from cavs.errors import DataError, InputError

WORDS, TAGS = Vocabulary(["<unk>", "it"]), Vocabulary(["O", "X"], unknown=None)


def test_a_graph_by_hand() -> None:
    graph = tagger_graph([0, 2])
    chars = ["char_before"] * 2 + ["char_after"] * 2
    others = ["before", "before", "after", "after", "tag", "tag"]
    assert graph.types == ["word", *chars, "word", *others]
    words = [[], [], [1], [], [3], [2, 4]]
    before, after = [[0], [6, 5]], [[9, 0], [5]]
    assert graph.children == [*words, *before, *after, [6, 8], [7, 9]]
    assert tagger_graph([]).num_vertices == 0
    with pytest.raises(InputError, match="expected an integer length >= 0, got -1"):
        tagger_graph([-1])


@given(st.lists(st.integers(0, 5), max_size=6))
def test_each_word_is_read_once_each_way(lengths: list[int]) -> None:
    graph = tagger_graph(lengths)
    types, children = list(graph.types or ()), graph.children
    for name, inner in (("before", 1), ("after", -1)):
        places = [v for v, own in enumerate(types) if own == name]
        assert len(places) == len(lengths)
        for i, v in enumerate(places):
            of_own = [child for child in children[v] if types[child] == name]
            neighbour = i - inner
            assert of_own == ([places[neighbour]] if 0 <= neighbour < len(places) else [])
            assert [types[child] for child in children[v] if child not in of_own] == ["word"]
    assert types.count("char_before") == types.count("char_after") == sum(lengths)
    words = [[types[c] for c in children[v]] for v, own in enumerate(types) if own == "word"]
    assert words == [["char_before", "char_after"] if n else [] for n in lengths]
    tags = [[types[c] for c in children[v]] for v, own in enumerate(types) if own == "tag"]
    assert tags == [["before", "after"]] * len(lengths)


def test_inputs_have_rows_of_their_types() -> None:
    sentences = [TaggedSentence(("it", "ab"), ("O", "X")), TaggedSentence(("<unk>",), (None,))]
    characters = character_vocabulary(["ab", "b"])
    assert characters.tokens == ("<unk>", "<w>", "b", "a")
    samples = tagger_dataset(sentences, WORDS, TAGS, characters)
    assert samples.flat("word").tolist() == [1, -1, -1]
    assert samples.flat("label").tolist() == [0, 1, -1]
    spelled = [1, 3, 2, 1, 1, 2, 3, 1]
    unknown = [1, *[0] * 5, 1]
    assert samples.flat("character").tolist() == [*spelled, *unknown, *unknown]
    plain = tagger_dataset(sentences, WORDS, TAGS)
    assert plain.names == ("word", "label")
    assert plain.flat("word").tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["it"], WORDS, TAGS), "expected tagged sentences as sentences, got 'it' at 0"),
        (([], WORDS, None), "expected a Vocabulary as tags, got None"),
        (([], WORDS, TAGS, "ab"), "expected a Vocabulary as characters, got 'ab'"),
        (([], WORDS, TAGS, WORDS), "expected <w> among the characters, got none"),
        (
            ([TaggedSentence(("it",), ("Y",))], WORDS, TAGS),
            "expected one of the 2 tokens O, X, got 'Y'",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tagger_dataset(*arguments)


NAMES = {(1, 3, "PER"), (3, 4, "PER"), (4, 5, "LOC"), (6, 7, "LOC")}


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ("O I-PER I-PER B-PER I-LOC O I-LOC", NAMES),
        ("O B-PER I-PER B-PER B-LOC O B-LOC", NAMES),
        ("O B-PER E-PER S-PER S-LOC O S-LOC", NAMES),
        ("O B-PER L-PER U-PER U-LOC O U-LOC", NAMES),
        ("O I-PER E-PER I-PER I-LOC DET I-LOC", NAMES),
        ("NN PRP-X -PER B- X-PER", set()),
        ("I-A-B I-A-B", {(0, 2, "A-B")}),
        ("", set()),
    ],
)
def test_names_in_tags(tags: str, names: set[tuple[int, int, str]]) -> None:
    assert name_spans(tags.split()) == names


def test_f1_of_names() -> None:
    gold = [["B-A", "I-A", "O"], ["B-B"]]
    assert name_f1(gold, gold) == 1
    assert name_f1([["B-A", "O", "O"], ["B-B"]], gold) == pytest.approx(0.5)
    assert name_f1([["O"] * 3, ["O"]], gold) == 0
    assert name_f1([["O"]], [["O"]]) == 1
    with pytest.raises(InputError, match="as many sentences as gold ones, got 1 and 2"):
        name_f1(gold[:1], gold)
    with pytest.raises(InputError, match="expected lists of tags as tags, got 'O' at 0"):
        name_f1(["O"], [["O"]])  # type: ignore[list-item]


def test_a_file_is_split_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "tags.txt"
    path.write_text("".join(f"w{i}|O\n" for i in range(25)))
    corpus = load_tagged(path)
    assert [len(part) for part in (corpus.train, corpus.dev, corpus.test)] == [21, 2, 2]
    whole = [*corpus.train, *corpus.dev, *corpus.test]
    assert sorted(s.words for s in whole) == sorted(s.words for s in read_tagged(path))
    assert [s.words[0] for s in corpus.test] == ["w14", "w0"]
    assert load_tagged(path) == corpus
    path.write_text("a|O\nb|O\nc|X\n")
    small = load_tagged(path)
    assert [len(part) for part in (small.train, small.dev, small.test)] == [1, 1, 1]
    path.write_text("a|O\nb|O\n")
    with pytest.raises(DataError, match="expected 3 sentences or more to split, got 2"):
        load_tagged(path)


def test_a_folder_has_its_own_split(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text(f"{name}|O\n")
    corpus = load_tagged(tmp_path)
    assert [s.words for s in (*corpus.train, *corpus.dev, *corpus.test)] == [
        ("train",),
        ("dev",),
        ("test",),
    ]
    assert corpus.name == tmp_path.name
    (tmp_path / "dev.txt").write_text("a|O\nb\n")
    with pytest.raises(DataError, match=r"dev\.txt, line 2, column 1: expected word\|TAG, got 'b'"):
        load_tagged(tmp_path)
    (tmp_path / "dev.txt").unlink()
    with pytest.raises(DataError, match=r"got a directory without dev\.txt"):
        load_tagged(tmp_path)
    for path in (tmp_path / "none", "x" * 5000, "\0"):
        with pytest.raises(DataError, match="expected a file of word"):
            load_tagged(path)


def test_tags_that_are_not_known_have_no_label() -> None:
    sentence = TaggedSentence(("a", "b"), ("O", None))
    assert tag_vocabulary([sentence]).tokens == ("O",)
