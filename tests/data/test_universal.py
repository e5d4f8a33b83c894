"""Dependency trees in CoNLL-U: what is read of the format, and what is said of bad files."""

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cavs.data import annotated_dataset, annotated_vocabularies, read_conllu
from cavs.errors import DataError, InputError


def line(
    number: Any, form: str, tag: str = "_", head: Any = "_", relation: str = "_", more: str = "_"
) -> str:
    return "\t".join(
        [str(number), form, form.lower(), tag, "_", "_", str(head), relation, more, "_"]
    )


FILE = [
    "# sent_id = 1",
    "# text = Vámonos al mar.",
    line("1-2", "Vámonos"),
    line(1, "Vamos", "VERB", 0, "root"),
    line(2, "nos", "PRON", 1, "obj"),
    line("3-4", "al"),
    line(3, "a", "ADP", 5, "case"),
    line(4, "el", "DET", 5, "det"),
    line(5, "mar", "NOUN", 1, "obl", "1:obl:a"),
    line("5.1", "ido", "VERB"),
    line(6, ".", "PUNCT", 1, "punct"),
    "",
    "",
    "# text = _",
    line(1, "_", "X", 0, "root"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.conllu"
    path.write_text("\n".join(FILE) + "\n\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("progress", [False, True])
def test_words_heads_and_relations(path: Path, progress: bool) -> None:
    pytest.importorskip("conllu")
    first, second = read_conllu(path, progress=progress)
    assert first.tokens == ("Vamos", "nos", "a", "el", "mar", ".")
    assert first.graph.children == [[1, 4, 5], [], [], [], [2, 3], []]
    assert first.root == 0
    assert first.labels == ("VERB", "PRON", "ADP", "DET", "NOUN", "PUNCT")
    assert first.relations == ("root", "obj", "case", "det", "obl", "punct")
    assert first.edge_relations() == ["obj", "obl", "punct", "case", "det"]
    assert (second.tokens, second.labels, second.num_vertices) == (("_",), ("X",), 1)


def test_relations_are_inputs_of_edges(path: Path) -> None:
    pytest.importorskip("conllu")
    trees = read_conllu(path)
    words, labels, relations = annotated_vocabularies(trees)
    dataset = annotated_dataset(trees, words, labels=labels, relations=relations)
    assert dataset.names == ("word", "label", "relation")
    graphs, inputs = dataset.batch([1, 0])
    assert relations.decode(inputs["relation"]) == trees[0].edge_relations()
    assert words.decode(inputs["word"]) == ["_", *trees[0].tokens]
    assert inputs["relation"].shape == (graphs.num_edges,)
    assert all(values.dtype == np.int32 for values in inputs.values())


@pytest.mark.parametrize(
    ("lines", "number", "text"),
    [
        ([line(1, "a", head=0), line(3, "b", head=1)], 2, "expected word 2 .*, got number 3"),
        ([line(1, "a", head=0), line(2, "b", head=3)], 2, r"expected a head in 0\.\.2, got 3"),
        ([line(1, "a", head=0), line(2, "b")], 2, "expected the number of a head, got none"),
        ([line(1, "a", head=0), line(2, "b", head=0)], 2, "expected one word of head 0.* got 2"),
        ([line(1, "a", head=2), line(2, "b", head=1)], 1, "expected one word of head 0.* got 0"),
        (
            [line(1, "a", head=0), line(2, "b", head=3), line(3, "c", head=2)],
            2,
            "expected a tree, got word 2",
        ),
        ([line(1, "a", head=0), line("x", "b", head=1)], 2, "expected a word in CoNLL-U"),
        ([line(1, "a", head="b")], 1, "expected a word in CoNLL-U"),
        (["1\ta\t0"], 1, "expected 10 columns parted by tabs, got 3"),
        (["1 a _ _ _ _ 0 root _ _"], 1, "expected 10 columns"),
        ([line("1-2", "a")], 1, "a sentence without any"),
    ],
)
def test_errors_name_file_and_line(
    tmp_path: Path, lines: list[str], number: int, text: str
) -> None:
    pytest.importorskip("conllu")
    path = tmp_path / "broken.conllu"
    path.write_text("\n".join([*FILE, "", "# comment", *lines]) + "\n", encoding="utf-8")
    at = len(FILE) + 2 + number
    with pytest.raises(DataError, match=rf"\[data\] {path}, line {at}: .*{text}"):
        read_conllu(path)


def test_a_missing_package_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "conllu":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "conllu", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    text = r"\[data\] expected package conllu, got none; pip install 'cavs-nn\[data\]'"
    with pytest.raises(InputError, match=text):
        read_conllu(path)
