"""SICK and SNLI: files in the published formats, and pairs as a data set."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import (
    Loader,
    PairCorpus,
    SentencePair,
    load_sick,
    load_snli,
    pair_dataset,
    pair_vocabulary,
    parse_binary_tree,
    read_snli,
    right_branching,
    sentence_tree,
)
from cavs.errors import DataError, InputError

NEW = (
    "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tentailment_AB\t"
    "SemEval_set"
)
OLD = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"
ROWS = [
    "1\tA man is singing\tA man sings\tENTAILMENT\t4.9\tA_entails_B\tTRAIN",
    "2\tDogs run\tNo dog is running\tCONTRADICTION\t3.5\tA_contradicts_B\tTRIAL",
    "3\tDogs run\tRain falls\tNEUTRAL\t1\tA_neutral_B\tTEST",
]


def _file(path: Path, *lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _check_sick(corpus: PairCorpus) -> None:
    (pair,) = corpus.train
    assert pair.left.words() == ["A", "man", "is", "singing"]
    assert pair.right.graph == cavs.InputGraph([[], [0], [1]])
    assert (pair.label, pair.score) == ("ENTAILMENT", 4.9)
    assert [p.label for p in (*corpus.dev, *corpus.test)] == ["CONTRADICTION", "NEUTRAL"]
    assert corpus.labels == ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")


@pytest.mark.parametrize("progress", [False, True])
def test_sick_in_one_file(tmp_path: Path, progress: bool) -> None:
    path = _file(tmp_path / "sick" / "SICK.txt", NEW, *ROWS)
    for given in (path, path.parent, tmp_path):
        _check_sick(load_sick(given, progress=progress))


def test_sick_of_semeval(tmp_path: Path) -> None:
    files = ("SICK_train.txt", "SICK_trial.txt", "SICK_test_annotated.txt")
    for name, row in zip(files, ROWS, strict=True):
        number, left, right, label, score, *_ = row.split("\t")
        _file(tmp_path / name, OLD, "\t".join([number, left, right, score, label]))
    _check_sick(load_sick(tmp_path))
    (tmp_path / "SICK_trial.txt").unlink()
    with pytest.raises(DataError, match=r"a directory without SICK_trial\.txt"):
        load_sick(tmp_path)


def test_sick_takes_any_structure(tmp_path: Path) -> None:
    path = _file(tmp_path / "SICK.txt", NEW, *ROWS)
    corpus = load_sick(path, structure=right_branching)
    assert corpus.train[0].left == right_branching(["A", "man", "is", "singing"])
    with pytest.raises(InputError, match="a tree as what structure gives, got 3"):
        load_sick(path, structure=lambda words: 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(InputError, match="expected a function as structure, got 3"):
        load_sick(path, structure=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "row", "text"),
    [
        (NEW, "1\ta\tb\tENTAILMENT\t5.5\t_\tTRAIN", "line 2: .* from 1 to 5, got '5.5'"),
        (NEW, "1\ta\tb\tENTAILMENT\tx\t_\tTRAIN", "line 2: .* from 1 to 5, got 'x'"),
        (NEW, "1\ta\tb\tMAYBE\t5\t_\tTRAIN", "line 2: expected a label among .* got 'MAYBE'"),
        (NEW, "1\ta\tb\tENTAILMENT\t5\t_\tDEV", "line 2: expected a SemEval_set among .* 'DEV'"),
        (NEW, "1\ta\t \tENTAILMENT\t5\t_\tTEST", "line 2: expected two sentences, got an empty"),
        (NEW, "1\ta\tb", "line 2: expected 7 columns parted by tabs, got 3"),
        (OLD, "1\ta\tb\t3\tNEUTRAL", "line 1: expected a column SemEval_set"),
        ("a\tb", "1\t2", "line 1: expected a column sentence_A, got 'a, b'"),
    ],
)
def test_errors_of_sick_name_file_and_line(tmp_path: Path, head: str, row: str, text: str) -> None:
    path = _file(tmp_path / "SICK.txt", head, row)
    with pytest.raises(DataError, match=rf"\[data\] {path}, {text}"):
        load_sick(path)


# --- SNLI -----------------------------------------------------------------------------------------


def _row(label: str = "neutral", left: str = "( ( A man ) sleeps )", right: str = "Rain") -> str:
    return json.dumps(
        {
            "annotator_labels": [label],
            "gold_label": label,
            "sentence1": "...",
            "sentence1_binary_parse": left,
            "sentence2_binary_parse": right,
        }
    )


def test_snli(tmp_path: Path) -> None:
    folder = tmp_path / "snli_1.0"
    rows = [_row(), _row("-"), _row("entailment", "( It ( -LRB- ( is so ) ) )", "( a b )")]
    for part in ("train", "dev", "test"):
        _file(folder / f"snli_1.0_{part}.jsonl", *rows)
    corpus = load_snli(tmp_path, progress=True)
    assert corpus.labels == ("contradiction", "neutral", "entailment")
    assert [len(part) for part in (corpus.train, corpus.dev, corpus.test)] == [2, 2, 2]
    first, second = read_snli(folder / "snli_1.0_dev.jsonl")
    assert first == corpus.dev[0]
    assert first.left.graph.children == [[], [], [0, 1], [], [2, 3]]
    assert first.left.tokens == ("A", "man", None, "sleeps", None)
    assert (first.right.tokens, first.label, first.score) == (("Rain",), "neutral", None)
    assert second.left.words() == ["It", "-LRB-", "is", "so"]
    (folder / "snli_1.0_dev.jsonl").unlink()
    with pytest.raises(DataError, match=r"without snli_1\.0_dev\.jsonl or"):
        load_snli(tmp_path)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("{", "expected an object of JSON"),
        ("[1]", r"expected an object of JSON, got '\[1\]'"),
        ("[" * 100_000, "expected an object of JSON"),
        ("{}", "expected text as 'gold_label', got None"),
        (_row("maybe"), "expected a gold_label among .* got 'maybe'"),
        (_row(left="( a b"), "got 1 brackets not closed"),
        (_row(left="( a b c )"), "expected two parts .* got 3 in one"),
        (_row(left="( a )"), "got 1 in one"),
        (_row(right="a b"), "expected one tree .* got 2 trees"),
        (_row(right=""), "got 0 trees"),
        (_row(right="a )"), "without a"),
        (
            '{"gold_label": "neutral", "sentence1_binary_parse": 3}',
            "sentence1_binary_parse', got 3",
        ),
    ],
)
def test_errors_of_snli_name_file_and_line(tmp_path: Path, row: str, text: str) -> None:
    path = _file(tmp_path / "broken.jsonl", _row(), row)
    with pytest.raises(DataError, match=rf"\[data\] {path}, line 2: .*{text}"):
        read_snli(path)


def test_files_that_cannot_be_read_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + _row().encode() + b"\r\n\n" + _row("entailment").encode())
    assert [pair.label for pair in read_snli(path)] == ["neutral", "entailment"]
    path.write_bytes(_row().encode() + b"\n{\xff}\n")
    with pytest.raises(
        DataError, match=r"line 2, column 2: expected UTF-8 text, got the byte 0xff"
    ):
        read_snli(path)
    path.write_bytes(b"\n \n")
    with pytest.raises(DataError, match="got an empty file"):
        read_snli(path)
    for wrong in (tmp_path / "none", tmp_path, "a\0b"):
        with pytest.raises(DataError, match="expected pairs of sentences"):
            read_snli(wrong)


def test_deep_trees_need_no_recursion() -> None:
    depth = 30_000
    tree = parse_binary_tree("( a " * depth + "b" + " )" * depth)
    assert tree.graph.depth == depth


# --- as a data set --------------------------------------------------------------------------------

PAIRS = [
    SentencePair(sentence_tree(["a", "b"]), parse_binary_tree("( a c )"), "no", 1.5),
    SentencePair(sentence_tree(["c"]), sentence_tree(["d", "a"]), "yes", 2.0),
]


def test_pairs_become_a_data_set() -> None:
    words = pair_vocabulary(PAIRS)
    assert words.tokens == ("<unk>", "a", "c", "b", "d")
    dataset = pair_dataset(PAIRS, words, labels=["yes", "no"])
    ((graphs, inputs),) = Loader(dataset, 2)
    assert graphs.num_graphs == 4
    assert words.decode(inputs["word"]) == ["a", "b", "a", "c", None, "c", "d", "a"]
    assert (inputs["label"].tolist(), inputs["label"].dtype) == ([1, 0], np.int32)
    assert (inputs["score"].tolist(), inputs["score"].dtype) == ([1.5, 2.0], np.float32)
    unscored = [SentencePair(PAIRS[0].left, PAIRS[0].right)]
    assert pair_dataset(unscored, words).names == ("word",)
    assert pair_dataset(unscored, words, labels=["no"]).flat("label").tolist() == [-1]
    assert len(pair_dataset([], words, labels=["no"])) == 0
    with pytest.raises(InputError, match="got 'no', and there is no unknown token"):
        pair_dataset(PAIRS, words, labels=["yes"])
    for wrong in (3, [3]):
        with pytest.raises(InputError, match="expected sentence pairs"):
            pair_dataset(wrong, words)  # type: ignore[arg-type]
    bad: Any = "a"
    with pytest.raises(InputError, match="a tree with words as left, got 'a'"):
        SentencePair(bad, bad)
