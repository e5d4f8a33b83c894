"""Damaged data files for every reader: each must be read, or be refused by an error of one line
that names the file.

The changes: bytes; words, which are doubled, moved or replaced; in .npz files the members, their
headers, and their packing. Data that were read are used, and trees are written and read again.
"""

from __future__ import annotations

import importlib.util
import io
import random
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import runs

from cavs import data
from cavs.errors import CavsError, DataError

#: The bytes of memory that reading a file may take: TIMES its size, and LEAST more.
TIMES, LEAST = 2_000, 32 << 20

TREES = (
    "(3 (2 It) (4 (2 's) (4 lovely)))\n\n(1 (1 bad\\/good) (2 f\u00a0ilm))\n(9 MAX (2 2) (-1 9))\n"
)
TEXT = "no it was n't black monday\nbut <unk> N <eos>\n\n the\u00a0new york  stock\n"
PARENTS = "4 4 5 5 0\n0\n3 3 0\n2 0 2 -1\n"
TAGGED = "In|IN an|DT a|b|NN\n\nOct.|NNP 19|CD\n"
LATTICES = "2\n3\n0 1 2\n0\n1 0 5\n2 1 6 0 7\n\n1\n4\n0\n"
LISTOPS = "[MAX 2 9 [MIN 4 7 ] 0 ]\n3\n[SM 1 [MED 2 3 4 ] ]\n"
PENN = "( (S (NP-SBJ-1 (DT The) (NN cat))\n (VP (VBD sat) (NP (-NONE- *-1)) (RB still) (. .))))\n"
CONLLU = (
    "# text = The cat sat\n1-2\tThecat\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n2\tcat\tcat\tNOUN\tNN\t_\t3\tnsubj\t_\t_\n"
    "3\tsat\tsit\tVERB\tVBD\t_\t0\troot\t_\t_\n\n"
)
SNLI = (
    '{"gold_label": "neutral", "sentence1_binary_parse": "( ( A man ) sings )", '
    '"sentence2_binary_parse": "( A cat )"}\n'
)
SICK = (
    "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set\n"
    "1\tA man sings\tA man is singing\tENTAILMENT\t4.9\tTRAIN\n"
)
VECTORS = "3 2\nthe 0.5 -1\n. . 1 2\ncat 3 4e-1\n"
COLUMNS = "Source\tTarget\n( ( ( [MAX 2 ) 9 ) ] )\t9\n"
#: Replacements of a word.
WORDS = (
    *("(", ")", "[", "]", "()", "|", "a|", "|a", "\\", "\\/", "\\*", "(1", "(-1", "(99999999999"),
    *("0", "-1", "-2", "+3", "1_0", "2147483647", "2147483648", "9" * 30, "9" * 5000, "1e3", "nan"),
    *(
        "\u0663",
        "\u00a0",
        "\u2028",
        "\x00",
        "\x85",
        "\ufeff",
        "a" * 10_000,
        "<unk>",
        "<eos>",
        "MAX",
    ),
    *("[MAX", "[", "(" * 3000, ")" * 3000, "[MAX " * 3000, "(1 " * 3000),
)
HEADERS = (
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 98), }",
    "{'descr': '|u1', 'fortran_order': True, 'shape': (3, 98), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3, 98), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 98), }",
    "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (3, 98), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-3, 98), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': 3, }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (3, 98), }",
    "{'descr': '|u1', 'shape': (3, 98), }",
    "__import__('os').abort()",
    "(" * 5000,
    "[" * 200,
    "x" * 20_000,
    "{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 98L), }",
    r"{'descr': '\d', 'fortran_order': False, 'shape': (3, 98), }",
    "{",
    "",
)

Reader = Callable[[Path], Any]


def _trees(path: Path) -> None:
    trees = data.read_trees(path)
    for tree in trees:
        again = data.parse_tree(data.format_tree(tree))
        if again != tree:
            raise AssertionError(f"{tree} is read again as {again}")
    data.tree_dataset(trees, data.tree_vocabulary(trees)).batch(np.arange(len(trees)))


def _treebank(path: Path) -> None:
    for name in ("train", "dev", "test"):
        shutil.copy(path, path.parent / f"{name}.txt")
    corpus = data.load_sst(path.parent)
    data.transition_dataset(corpus.train, data.tree_vocabulary(corpus.train))


def _text(path: Path) -> None:
    for name in ("train", "valid", "test"):
        shutil.copy(path, path.parent / f"{name}.txt")
    corpus = data.load_ptb(path.parent)
    vocabulary = corpus.vocabulary()
    data.language_model_dataset(corpus.train, vocabulary).batch([0])
    data.running_text_dataset(corpus.test, vocabulary, 2, 3).batch([0])


def _parents(path: Path) -> None:
    data.Dataset(data.read_parents(path)).batch([0])


def _tagged(path: Path) -> None:
    sentences = data.read_tagged(path)
    words = data.Vocabulary.from_tokens(word for s in sentences for word in s.words)
    data.tagging_dataset(sentences, words, data.tag_vocabulary(sentences)).batch([0])


def _lattices(path: Path) -> None:
    for name in ("train", "dev"):
        shutil.copy(path, path.parent / f"{name}.txt")
    corpus = data.load_lattices(path.parent)
    if corpus.train:
        data.lattice_dataset(corpus.train).batch([0])


def _listops(path: Path) -> None:
    trees = data.read_listops(path)
    for tree in trees:
        if data.parse_listops(data.format_listops(tree)) != tree:
            raise AssertionError(f"{tree} is read again as another")
    data.production_dataset(trees, data.production_vocabulary(trees)).batch([0])


def _penn(path: Path) -> None:
    for how in (None, "left", "right", "head"):
        trees = data.read_penn(path, binarize=how)
        data.annotated_dataset(trees, data.annotated_vocabularies(trees)[0])


def _conllu(path: Path) -> None:
    trees = data.read_conllu(path)
    words, _, relations = data.annotated_vocabularies(trees)
    data.annotated_dataset(trees, words, relations=relations)


def _pairs(pairs: list[data.SentencePair]) -> None:
    data.pair_dataset(pairs, data.pair_vocabulary(pairs)).batch(np.arange(len(pairs)))


def _stanford(path: Path) -> None:
    shutil.copy(path, path.parent / "parents.txt")
    lines = path.read_bytes().count(b"\n")
    (path.parent / "sents.toks").write_text("a b\n" * lines)
    data.load_stanford(path.parent)


def _images(path: Path) -> None:
    corpus = data.load_binarized_mnist(path)
    data.image_dataset(corpus.test, 2).batch([0])


READERS: dict[str, tuple[str, Reader]] = {
    "trees": (TREES, _trees),
    "treebank": ("\n".join(runs.TREEBANK), _treebank),
    "text": (TEXT, _text),
    "parents": (PARENTS, _parents),
    "tags": (TAGGED, _tagged),
    "lattices": (LATTICES, _lattices),
    "listops": (LISTOPS, _listops),
    "columns": (COLUMNS, data.read_listops_tsv),
    "penn": (PENN, _penn),
    "conllu": (CONLLU, _conllu),
    "snli": (SNLI, lambda path: _pairs(data.read_snli(path))),
    "sick": (SICK, lambda path: _pairs(data.load_sick(path).train)),
    "stanford": (PARENTS, _stanford),
    "vectors": (VECTORS, lambda path: data.load_vectors(path, data.Vocabulary(["the"], None))),
}


def draw_text(rng: random.Random, text: str) -> bytes:
    """A text file with something wrong in it."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        parts = text.split(" ") if rng.random() < 0.7 else text.split("\n")
        by = " " if " ".join(parts) == text else "\n"
        place = rng.randrange(len(parts))
        way = rng.choice(["other", "drop", "twice", "swap", "within", "lines"])
        if way == "other":
            parts[place] = rng.choice(WORDS)
        elif way == "drop":
            del parts[place]
        elif way == "twice":
            parts.insert(place, parts[rng.randrange(len(parts))])
        elif way == "swap":
            other = rng.randrange(len(parts))
            parts[place], parts[other] = parts[other], parts[place]
        elif way == "within":
            at = rng.randrange(len(parts[place]) + 1)
            parts[place] = parts[place][:at] + rng.choice(WORDS) + parts[place][at:]
        else:
            parts[place] += rng.choice(["\r\n", "\r", "\n\n", "\v", "\f", "\u2028"])
        text = by.join(parts)
    return text.encode() if rng.random() < 0.7 else _spoilt(rng, text.encode())


def _spoilt(rng: random.Random, content: bytes) -> bytes:
    """The content with bytes cut off, changed or put in."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not changed:
            break
        place = rng.randrange(len(changed))
        way = rng.choice(["cut", "change", "change", "change", "insert", "drop"])
        if way == "cut":
            del changed[place:]
        elif way == "change":
            changed[place] = rng.randrange(256)
        elif way == "insert":
            changed[place:place] = rng.randbytes(rng.randrange(1, 9))
        else:
            del changed[place : place + rng.randrange(1, 9)]
    return bytes(changed)


def draw_images(rng: random.Random) -> bytes:
    """An .npz file with something wrong in it."""
    way = rng.choice(["bytes", "bytes", "bytes", "header", "method", "names", "array", "bomb"])
    if way == "bytes":
        return _spoilt(rng, Path(runs.images()).read_bytes())
    members = {name: _npy(np.zeros((3, 98), np.uint8)) for name in ("train", "valid", "test")}
    name = rng.choice(list(members))
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    if way == "header":
        text = rng.choice(HEADERS).encode()
        version = rng.choice([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9)])
        length = struct.pack("<H" if version[0] == 1 else "<I", rng.choice([len(text), 65535]))
        members[name] = b"\x93NUMPY" + bytes(version) + length + text + bytes(294)
    elif way == "method":
        method = rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    elif way == "names":
        del members[name]
    elif way == "array":
        shape = rng.choice([(0, 98), (3,), (3, 98, 1), (3, 97), ()])
        dtype = rng.choice(["u1", "i1", "f4", "c8", "U3", "M8[s]", ">u2"])
        members[name] = _npy(np.zeros(shape, dtype))
    else:
        method, members[name] = zipfile.ZIP_DEFLATED, _npy(np.zeros((1 << 18, 98), np.uint8))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(f"{member}.npy", content)
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def said_badly(read: Reader, path: Path) -> str | None:
    """The fault in the reading of a file; None if it is read, or refused well."""
    size = path.stat().st_size
    tracemalloc.start()
    try:
        read(path)
    except DataError as error:
        text = str(error)
        if "\n" in text or len(text) > 1000:
            return f"not one line: {text[:500]!r}"
    except CavsError as error:
        return f"{type(error).__name__}, and no DataError: {error}"[:500]
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:500]
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if peak > TIMES * size + LEAST:
        return f"{peak >> 20} MiB of memory for {size} bytes"
    return None


def check(seed: int) -> str | None:
    """Tries one changed file by its reader; returns the fault, or None."""
    rng = random.Random(f"data {seed}")
    installed = importlib.util.find_spec("conllu") is not None
    kind = rng.choice([kind for kind in READERS if kind != "conllu" or installed] + ["images"] * 2)
    if kind == "images":
        content, read = draw_images(rng), _images
    else:
        text, read = READERS[kind]
        content = draw_text(rng, text)
    found = runs.with_file(seed, kind, content, lambda path: said_badly(read, path))
    return None if found is None else f"seed {seed}: {kind}: {found}"
