"""Calls of data sets of any graphs: loaders, vocabularies, annotated trees, pairs."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

import cavs
from argument_cases.base import BATCH, EXTRA, GRAPH, WORD, WORDS, Case
from cavs import data


def data_cases() -> Iterator[Case]:
    word = np.int32([0, 1, -1])
    spaces = {"vertex": {"word": word}, "edge": {"e": [1.0, 2.0]}, "graph": {"g": [1.0]}}
    yield Case("Dataset", data.Dataset, {"graphs": [GRAPH], **spaces})
    one = lambda values: data.Dataset([GRAPH], vertex={"word": values})  # noqa: E731
    yield Case("Dataset: values", one, {"values": word})
    samples = {"samples": [(GRAPH, {"word": word})], "edge": (), "graph": ()}
    yield Case("Dataset.from_samples", data.Dataset.from_samples, samples)
    pair = lambda g, inputs: data.Dataset.from_samples([(g, inputs)])  # noqa: E731
    yield Case("Dataset.from_samples", pair, {"g": GRAPH, "inputs": {"word": word}})
    corpus = data.Dataset([GRAPH] * 3, vertex={"word": np.tile(word, 3)})
    for name in ("subset", "inputs", "batch"):
        yield Case(f"Dataset.{name}", getattr(corpus, name), {"indices": [0, 2]})
    yield Case("Dataset.select", corpus.select, {})
    yield Case("Dataset.select", lambda name: corpus.select(name), {"name": "word"})
    yield Case("Dataset.flat", corpus.flat, {"name": "word"})
    yield Case("Dataset[]", corpus.__getitem__, {"index": 1})
    options = {"shuffle": True, "seed": 1, "drop_last": False, "size_window": 2, "cache": False}
    options |= {"targets": ["word"], "workers": 1}

    def load(**given: Any) -> None:
        loader = data.Loader(**given)
        next(iter(loader), None)

    yield Case("Loader", load, {"dataset": corpus, "batch_size": 2, **options})
    yield Case("Loader", load, {"dataset": corpus, "batch_size": 2, "sampler": [0, 2, 2]})
    weighted = {"weights": [1.0, 0.0, 2.0], "num_samples": 2, "replacement": False, "seed": 1}

    def draw(epoch: int = 0, **given: Any) -> None:
        data.WeightedSampler(**given).order(epoch)

    yield Case("WeightedSampler", draw, weighted)
    yield Case("WeightedSampler.order", data.WeightedSampler([1.0]).order, {"epoch": 1})
    yield Case("class_weights", data.class_weights, {"labels": np.array([0, 1, 1, -1])})
    loader = data.Loader(corpus, 2)
    yield Case("Loader.set_epoch", loader.set_epoch, {"epoch": 1, "start": 1})
    yield Case("Loader.batch_indices", loader.batch_indices, {"epoch": 1})
    yield Case("Loader.load_state_dict", loader.load_state_dict, {"state": loader.state_dict()})
    at = lambda **place: loader.load_state_dict({**loader.state_dict(), **place})  # noqa: E731
    yield Case("Loader.load_state_dict", at, {"epoch": 0, "batch": 0})
    yield Case("Vocabulary", data.Vocabulary, {"tokens": ["<unk>", "a"], "unknown": "<unk>"})
    tokens = {"tokens": ["a", "b"], "min_count": 1, "specials": ("<unk>",), "unknown": "<unk>"}
    yield Case("Vocabulary.from_tokens", data.Vocabulary.from_tokens, tokens)
    known = data.Vocabulary(["<unk>", "a"])
    yield Case("Vocabulary[]", known.__getitem__, {"token": "a"})
    yield Case("Vocabulary in", known.__contains__, {"token": "a"})
    yield Case("Vocabulary.encode", known.encode, {"tokens": ["a", None]})
    yield Case("Vocabulary.encode", lambda t: known.encode([t]), {"t": "a"})
    yield Case("Vocabulary.decode", known.decode, {"ids": [0, -1]})
    yield Case("Vocabulary.decode", lambda i: known.decode([i]), {"i": 0})
    yield Case("chain_graph", data.chain_graph, {"length": 3})
    yield Case("grid_graph", data.grid_graph, {"rows": 2, "columns": 3})
    sizes: dict[str, object] = {"rows": 2, "columns": 3, "kernel_size": 3}
    yield Case("pixel_graph", data.pixel_graph, sizes)
    pair: dict[str, object] = {"encoder": GRAPH, "decoder": cavs.InputGraph([[], [0]]), "slots": 1}
    pair["names"] = ["a", "b"]
    yield Case("pair_graph", data.pair_graph, pair)
    yield Case("PairGraph", data.PairGraph, pair)
    sides = {"sources": [["a"]], "targets": [["a", "b"]]}
    of_both = data.Vocabulary(["<eos>", "a", "b"], unknown=None)
    yield Case("seq2seq_dataset", data.seq2seq_dataset, {**sides, "vocabulary": of_both})
    images = np.zeros((2, 4), np.uint8)
    yield Case("image_dataset", data.image_dataset, {"images": images, "samples": 2})


def annotated_cases() -> Iterator[Case]:
    tree = data.parse_penn("(S (A a) (B b))")
    fields = {"graph": GRAPH, "tokens": ["a", None, "b"], "labels": [None] * 3}
    yield Case("AnnotatedTree", data.AnnotatedTree, {**fields, "relations": [None] * 3})
    labels = data.Vocabulary(["<unk>", "S"])
    yield Case("AnnotatedTree.labelled", tree.labelled, {"labels": labels})
    yield Case("sentence_tree", data.sentence_tree, {"words": ["a", "b"]})
    vocabularies = {"trees": [tree], "min_count": 1}
    yield Case("annotated_vocabularies", data.annotated_vocabularies, vocabularies)
    given = {"trees": [tree], "words": labels, "labels": labels, "relations": labels}
    yield Case("annotated_dataset", data.annotated_dataset, given)
    options = {"keep_null": False, "functions": True, "binarize": "head", "marker": "@"}
    text = {"text": "(S (A a) (B b))", **options, "source": ""}
    yield Case("parse_penn", data.parse_penn, text)
    yield Case("head_child", data.head_child, {"parent": "NP", "children": ["DT", "NN"]})
    path = {"path": "/nowhere/at all", "progress": False}
    yield Case("read_penn", data.read_penn, {**path, **options})
    for name in ("read_listops_tsv", "read_snli", "load_sick"):
        yield Case(name, getattr(data, name), path)
    if importlib.util.find_spec("conllu"):
        yield Case("read_conllu", data.read_conllu, path)
    directory = {"directory": "/nowhere/at all", "progress": False}
    yield Case("load_snli", data.load_snli, directory)
    yield Case("load_stanford", data.load_stanford, {**directory, "trees": "dependency"})
    vectors = {"vocabulary": WORDS, "size": 3, "scale": 0.1, "seed": 1}
    yield Case("load_vectors", data.load_vectors, {**path, **vectors})
    rows = np.zeros((len(WORDS), 2), np.float32)
    saved = {"path": "/nowhere/at all", "vocabulary": WORDS, "values": rows}
    yield Case("save_vectors", data.save_vectors, saved)


def pair_cases() -> Iterator[Case]:
    tree = data.sentence_tree(["a", "b"])
    pair = data.SentencePair(tree, tree, "yes", 1.0)
    yield Case("SentencePair", data.SentencePair, {"left": tree, "right": tree})
    yield Case("pair_vocabulary", data.pair_vocabulary, {"pairs": [pair], "min_count": 1})
    given = {"pairs": [pair], "words": WORDS, "labels": ["yes"]}
    yield Case("pair_dataset", data.pair_dataset, given)
    binary = {"text": "( a b )", "source": "", "line": 1}
    yield Case("parse_binary_tree", data.parse_binary_tree, binary)
    side = data.Dataset([GRAPH] * 2, vertex={"word": WORD})
    sides = {"left": side, "right": side, "pair": {"score": [1.0, 2.0]}}
    yield Case("PairDataset", data.PairDataset, sides)
    pairs = data.PairDataset(side, side)
    for name in ("subset", "inputs", "batch"):
        yield Case(f"PairDataset.{name}", getattr(pairs, name), {"indices": [0, 1]})
    yield Case("PairDataset.select", lambda name: pairs.select(name), {"name": "word"})
    yield Case("PairDataset.flat", pairs.flat, {"name": "word"})
    yield Case("PairDataset[]", pairs.__getitem__, {"index": 1})
    read = {"graphs": BATCH, "x": EXTRA, "kind": "root"}
    yield Case("readout_pairs", cavs.readout_pairs, read)
    sample = lambda row: (GRAPH, {"word": WORD[:3]})  # noqa: E731
    rows = {"rows": [{"a": 1}], "edge": (), "graph": (), "progress": False}
    yield Case("from_rows", lambda **g: data.from_rows(function=sample, **g), rows)
    row = lambda row: data.from_rows([{"a": 1}], lambda _: row)  # noqa: E731
    yield Case("from_rows", row, {"row": (GRAPH, {"word": WORD[:3]})})
