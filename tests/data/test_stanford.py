"""The folders that the published Tree-LSTM code makes of SST and SICK."""

from pathlib import Path
from typing import Any

import pytest

import cavs
from cavs.data import (
    PairCorpus,
    StanfordCorpus,
    Vocabulary,
    annotated_dataset,
    load_stanford,
    pair_dataset,
    pair_vocabulary,
    tree_dataset,
    tree_vocabulary,
)
from cavs.errors import DataError, InputError

# "It 's lovely ." Words are vertices 1 to 4: (((It ('s lovely)) .)
SST = {
    "sents.toks": ["It 's lovely .", "Rain"],
    "parents.txt": ["6 5 5 7 6 7 0", "0"],
    "labels.txt": ["0 0 2 0 1 2 2", "-1"],
    "dparents.txt": ["3 3 0 -1", "0"],
    "dlabels.txt": ["0 # 2 0", "-1"],
    "rels.txt": ["nsubj cop root punct", "root"],
}
SICK = {
    "a.toks": ["Dogs run fast", "Rain"],
    "a.parents": ["2 0 2", "0"],
    "a.rels": ["nsubj root advmod", "root"],
    "b.toks": ["It rains", "Sun"],
    "b.parents": ["2 0", "0"],
    "b.rels": ["nsubj root", "root"],
    "sim.txt": ["1.5", "4"],
}


def _write(folder: Path, files: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def sst(tmp_path: Path) -> Path:
    for part in ("train", "dev", "test"):
        _write(tmp_path / "sst" / part, SST)
    return tmp_path / "sst"


@pytest.mark.parametrize("progress", [False, True])
def test_constituency_trees(sst: Path, progress: bool) -> None:
    corpus = load_stanford(sst, progress=progress)
    assert isinstance(corpus, StanfordCorpus)
    assert (corpus.name, len(corpus.train), len(corpus.dev), len(corpus.test)) == ("sst", 2, 2, 2)
    first, second = corpus.train
    assert first.graph.children == [[], [], [], [], [1, 2], [0, 4], [5, 3]]
    assert first.tokens == ("It", "'s", "lovely", ".", None, None, None)
    assert first.labels == ("0", "0", "2", "0", "1", "2", "2")
    assert first.root == 6
    assert (second.tokens, second.labels) == (("Rain",), ("-1",))
    classes = Vocabulary(["-2", "-1", "0", "1", "2"], unknown=None)
    trees = [tree.labelled(classes) for tree in corpus.train]
    assert str(trees[0]) == "(4 (4 (2 It) (3 (2 's) (4 lovely))) (2 .))"
    assert tree_dataset(trees, tree_vocabulary(trees)).flat("label").tolist()[-1] == 1
    assert load_stanford(sst.parent) == corpus


def test_dependency_trees_lack_what_is_in_no_tree(sst: Path) -> None:
    corpus = load_stanford(sst, trees="dependency")
    assert isinstance(corpus, StanfordCorpus)
    first, second = corpus.dev
    assert first.graph.children == [[], [], [0, 1]]
    assert first.tokens == ("It", "'s", "lovely")
    assert first.labels == ("0", None, "2")
    assert first.relations == ("nsubj", "cop", "root")
    assert first.edge_relations() == ["nsubj", "cop"]
    words = Vocabulary.from_tokens(first.tokens + second.tokens)
    relations = Vocabulary(["nsubj", "cop", "root"], unknown=None)
    dataset = annotated_dataset(corpus.dev, words, relations=relations)
    assert dataset.flat("relation").tolist() == [0, 1]


def test_one_folder_and_missing_labels(sst: Path) -> None:
    for name in ("labels.txt", "dlabels.txt", "rels.txt"):
        (sst / "dev" / name).unlink()
    corpus = load_stanford(sst / "dev")
    assert (len(corpus.train), corpus.dev, corpus.test) == (2, [], [])
    tree: Any = corpus.train[0]
    assert tree.labels == (None,) * 7


def test_pairs_of_sick(tmp_path: Path) -> None:
    for part in ("train", "dev", "test"):
        _write(tmp_path / "sick" / part, SICK)
    _write(tmp_path / "sick" / "dev", {"ent.txt": ["NEUTRAL", "entailment"]})
    corpus = load_stanford(tmp_path / "sick")
    assert isinstance(corpus, PairCorpus)
    first, second = corpus.train
    assert (first.label, first.score, second.score) == (None, 1.5, 4.0)
    assert first.left.graph == cavs.InputGraph([[], [0, 2], []])
    assert (first.left.tokens, first.right.tokens) == (("Dogs", "run", "fast"), ("It", "rains"))
    assert [pair.label for pair in corpus.dev] == ["NEUTRAL", "ENTAILMENT"]
    dataset = pair_dataset(corpus.dev, pair_vocabulary(corpus.train), labels=corpus.labels)
    assert dataset.flat("label").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "lines", "text"),
    [
        ("parents.txt", ["6 5 5 7 6 7 0"], "expected 2 lines, one for each sentence, got 1"),
        ("parents.txt", ["6 5 5 7 6 7 0", "2"], "line 2, column 1: expected a parent"),
        ("parents.txt", ["2 0", "0"], "line 1: expected a vertex for each of 4 words, got 2"),
        ("labels.txt", ["0 0 2 0 1 2 2", "0 0"], "line 2: expected 1 values, .* got 2"),
        ("labels.txt", ["0 0 2 0 1 2 2"], "expected 2 lines"),
    ],
)
def test_errors_name_file_and_line(sst: Path, name: str, lines: list[str], text: str) -> None:
    _write(sst / "test", {name: lines})
    with pytest.raises(DataError, match=rf"\[data\] {sst / 'test' / name}.*{text}"):
        load_stanford(sst)


@pytest.mark.parametrize(
    ("name", "lines", "text"),
    [
        ("sim.txt", ["1.5", "x"], "line 2: expected a score, a number, got 'x'"),
        ("sim.txt", ["1.5", "nan"], "line 2: expected a score"),
        ("b.toks", ["It rains"], "b.parents: expected 1 lines, one for each sentence, got 2"),
        ("sim.txt", ["1.5"], "expected 2 lines"),
        (
            "ent.txt",
            ["NEUTRAL", "maybe"],
            "ent.txt, line 2: expected a label among .*, got 'MAYBE'",
        ),
    ],
)
def test_errors_of_pairs_name_file_and_line(
    tmp_path: Path, name: str, lines: list[str], text: str
) -> None:
    _write(tmp_path, {**SICK, name: lines})
    with pytest.raises(DataError, match=text):
        load_stanford(tmp_path)


def test_other_arguments(sst: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trees among 'constituency', 'dependency', got 'x'"):
        load_stanford(sst, trees="x")
    with pytest.raises(DataError, match=r"without sents\.toks|no such directory"):
        load_stanford(tmp_path / "none")
    (sst / "dev" / "sents.toks").unlink()
    with pytest.raises(DataError, match=r"a directory without sents\.toks"):
        load_stanford(sst)
