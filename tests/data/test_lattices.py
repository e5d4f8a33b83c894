"""Word lattices: the format, what its numbers mean, and bad files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cavs.data import lattice_dataset, load_lattices, parse_lattices, read_lattices
from cavs.errors import DataError, InputError

GOOD = """2
3
0 5 3
0 
1 0 20
2 1 21 0 14

1
0
0 
"""


def write(tmp_path: Path, text: str, name: str = "train.txt") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_an_example(tmp_path: Path) -> None:
    first, second = read_lattices(write(tmp_path, GOOD))
    assert first.graph.children == [[], [0], [1, 0]]
    assert first.tags.tolist() == [0, 5, 3]
    assert first.ids.tolist() == [20, 21, 14]
    assert first.is_word.tolist() == [False, False, True]
    assert first.tags.dtype == np.int32
    assert first.ids.dtype == np.int32
    assert second.graph.children == [[]]
    assert second.ids.shape == (0,)


def test_dataset(tmp_path: Path) -> None:
    lattices = read_lattices(write(tmp_path, GOOD))
    dataset = lattice_dataset([lattices[1], lattices[0]])
    alone, graph = dataset.graphs
    assert (alone.children, alone.types) == ([[]], ["char"])
    assert graph.children == [[], [0], [0], [1, 2]]
    assert graph.types == ["char", "char", "word", "char"]
    assert dataset.flat("label").tolist() == [-1, -1, 5, 3]
    assert dataset.flat("character").tolist() == [-1, -1, 20, 21]
    assert dataset.flat("word").tolist() == [14]
    assert {dataset.flat(name).dtype for name in dataset.names} == {np.dtype(np.int32)}
    assert len(lattice_dataset([])) == 0


def test_a_place_without_a_character_has_words_alone(tmp_path: Path) -> None:
    text = "1\n3\n0 5 3\n0\n1 0 20\n1 0 7\n"
    (graph,) = lattice_dataset(read_lattices(write(tmp_path, text))).graphs
    assert graph.children == [[], [0], [0], [2]]
    assert graph.types == ["char", "char", "word", "char"]


def test_lattices_come_as_soon_as_their_lines_are_read() -> None:
    def lines() -> Iterator[str]:
        yield from GOOD.splitlines()[:6]
        raise RuntimeError("too far")

    found = parse_lattices(lines(), "here")
    assert next(found).tags.tolist() == [0, 5, 3]
    with pytest.raises(RuntimeError, match="too far"):
        next(found)
    with pytest.raises(DataError, match=r"\[data\] here, line 2: expected the number of vertices"):
        list(parse_lattices(["1\n", "x\n"], "here"))
    with pytest.raises(InputError, match="expected lines in a list or a file, got '1"):
        list(parse_lattices("1\n", "here"))


def test_a_test_set_may_be_there(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        write(tmp_path, GOOD, f"{name}.txt")
    assert load_lattices(tmp_path).test == []
    write(tmp_path, GOOD.replace("21 0 14", "21 0 33"), "test.txt")
    corpus = load_lattices(tmp_path)
    assert (len(corpus.test), corpus.num_words) == (2, 34)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("2\n3\n", "x\n3\n", 1, "expected the number of lattices, got 'x'"),
        ("2\n3\n", "2 3\n", 1, "the number of lattices alone on its line, got 2 numbers"),
        (
            "2\n3\n",
            "3\n3\n",
            11,
            "expected the number of vertices of a lattice, got the end of the file",
        ),
        ("2\n3\n", "1\n3\n", 8, "expected the end of the file after the last lattice, got '1'"),
        ("\n3\n", "\n0\n", 2, "at least one vertex, got 0"),
        ("0 5 3", "0 5", 3, "expected 3 tags, got 2"),
        ("0 5 3", "0 -5 3", 3, "all from 0 to"),
        ("1 0 20", "1 0", 5, "expected 1 pairs 'from id' after the 1 that begins the line, got 1"),
        ("1 0 20", "1 1 20", 5, "from the vertices before it, got one from 1"),
        ("1 0 20", "0", 5, "expected at least one in-edge of vertex 1, got none"),
        ("0 \n1 0", "1 0 2 \n1 0", 4, "expected no in-edge of vertex 0, got 1"),
        ("2 1 21 0 14", "2 1 21 1 14", 6, "at most one edge from vertex 1 to vertex 2, that of"),
        ("0 14", "0 9999999999", 6, "all from 0 to"),
        ("0 14", "0 1.5", 6, "expected the in-edges of vertex 2"),
    ],
)
def test_bad_files(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(DataError) as error:
        read_lattices(path)
    assert str(error.value).startswith(f"[data] {path}, line {line}: ")
    assert message in str(error.value)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"directory with train.txt and dev.txt"):
        load_lattices(tmp_path / "none")
    write(tmp_path, GOOD)
    with pytest.raises(DataError, match=r"a directory without dev.txt"):
        load_lattices(tmp_path)


def test_real_lattices(lattice_dir: Path) -> None:
    corpus = load_lattices(lattice_dir)
    assert (len(corpus.train), len(corpus.dev)) == (1_147, 113)
    assert (corpus.num_tags, corpus.num_characters, corpus.num_words) == (18, 2_256, 10_966)
    # The ids of words are what this module says they are if equal words read equal characters.
    spelling: dict[int, tuple[int, ...]] = {}
    for lattice in [*corpus.train, *corpus.dev]:
        characters = lattice.ids[~lattice.is_word].tolist()
        assert len(characters) == lattice.graph.num_vertices - 1
        edge = 0
        for vertex, origins in enumerate(lattice.graph.children):
            for origin in origins:
                word = tuple(characters[origin:vertex])
                if lattice.is_word[edge]:
                    assert spelling.setdefault(int(lattice.ids[edge]), word) == word
                edge += 1
    dataset = lattice_dataset(corpus.train)
    places, words = 50_618, 76_248 - (50_618 - 1_147)
    # An edge to each word, and one to the character that it ends with.
    assert (dataset.num_vertices, dataset.num_edges) == (places + words, 76_248 + words)
    assert len(dataset.flat("word")) == words
    assert dataset.flat("word").max() < corpus.num_words
    assert (dataset.flat("label") == -1).sum() == 1_147
    assert (dataset.flat("character") == -1).sum() == 1_147
