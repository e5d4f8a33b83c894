"""Calls that read, make and encode the corpora of one task each: trees, ListOps, text, tags."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from argument_cases.base import SENTENCES, TREES, WORDS, Case
from cavs import data


def corpus_cases() -> Iterator[Case]:
    for name in ("read_trees", "read_listops", "read_parents", "read_sentences", "read_tagged"):
        yield Case(name, getattr(data, name), {"path": "/nowhere/at all"})
    for name in ("load_sst", "load_ptb", "load_lattices"):
        yield Case(name, getattr(data, name), {"directory": "/nowhere/at all"})
    yield Case("read_lattices", data.read_lattices, {"path": "/nowhere/at all"})
    lines = {"lines": ["1", "1", "0", "0"], "source": "here"}
    yield Case("parse_lattices", lambda **g: list(data.parse_lattices(**g)), lines)
    mnist = {"path": "/nowhere/at all", "height": 28, "width": 28}
    yield Case("load_binarized_mnist", data.load_binarized_mnist, mnist)
    for name in ("load_digits10k", "load_fashion_mnist"):
        yield Case(name, getattr(data, name), {"path": "/nowhere/at all", "num_dev": 2})
    yield Case("load_small_digits", data.load_small_digits, {"path": "/nowhere/at all"})
    images = {"images": np.zeros((2, 4), np.uint8), "labels": np.int32([0, 1]), "levels": 1}
    yield Case("labelled_image_dataset", data.labelled_image_dataset, images)
    parts = [np.zeros((1, 4), np.uint8)] * 3, [np.zeros(1, np.int32)] * 3
    digits = data.LabelledImageCorpus("a", 2, 2, *parts[0], *parts[1], num_classes=1, levels=1)
    yield Case("LabelledImageCorpus.binarized", digits.binarized, {"threshold": 0.5})
    yield Case("LabelledImageCorpus.dataset", digits.dataset, {"split": "dev"})
    tree = {"text": "(1 a)", "num_classes": 5, "source": "", "line": 1}
    tree |= {"allow_unlabelled": False, "allow_holes": True}
    yield Case("parse_tree", data.parse_tree, tree)
    many = {"lines": ["(1 a)"], "num_classes": 5, "allow_unlabelled": True, "source": ""}
    yield Case("parse_trees", lambda **g: list(data.parse_trees(**g)), many)
    trees = lambda line: list(data.parse_trees([line]))  # noqa: E731
    yield Case("parse_trees", trees, {"line": "(1 a)"})
    yield Case("parse_listops", data.parse_listops, {"text": "[MAX 1 2 ]", "source": "", "line": 1})
    lines = lambda **g: list(data.parse_listops_lines(**g))  # noqa: E731
    yield Case("parse_listops_lines", lines, {"lines": ["[MAX 1 ]"], "source": ""})
    parse = lambda text, **where: data.parse_parents(text, **where)  # noqa: E731
    yield Case("parse_parents", parse, {"text": "2 0", "source": "", "line": 1})
    for name in ("format_tree", "format_listops"):
        yield Case(name, getattr(data, name), {"tree": data.parse_listops("[MAX 1 2 ]")})
    yield Case("tree_vocabulary", data.tree_vocabulary, {"trees": TREES})
    yield Case(
        "tree_dataset", data.tree_dataset, {"trees": TREES, "vocabulary": WORDS, "labels": "all"}
    )
    productions = data.production_vocabulary(TREES)
    yield Case("production_vocabulary", data.production_vocabulary, {"trees": TREES})
    made = {"trees": TREES, "vocabulary": productions}
    yield Case("production_dataset", data.production_dataset, made)
    yield Case("arities", data.arities, {"vocabulary": productions})
    yield Case("transition_graph", data.transition_graph, {"tree": TREES[0]})
    yield Case("transition_dataset", data.transition_dataset, {"trees": TREES, "vocabulary": WORDS})
    yield Case("brackets", data.brackets, {"tree": TREES[0]})
    yield Case("bracket_f1", data.bracket_f1, {"found": TREES, "gold": TREES})
    for name in ("left_branching", "right_branching"):
        yield Case(name, getattr(data, name), {"sentence": ["a", "b"]})
    text = {"sentences": SENTENCES, "min_count": 1}
    yield Case("language_model_vocabulary", data.language_model_vocabulary, text)
    words = data.language_model_vocabulary(SENTENCES)
    text = {"sentences": SENTENCES, "vocabulary": words}
    yield Case("language_model_dataset", data.language_model_dataset, text)
    running = {**text, "streams": 1, "length": 2}
    yield Case("running_text_dataset", data.running_text_dataset, running)
    segments = {"memory": 1, "num_layers": 2}
    yield Case("segments_dataset", data.segments_dataset, {**running, **segments})
    yield Case("segment_graph", data.segment_graph, {"length": 2, **segments})
    tagged = [data.TaggedSentence(("a",), ("X",))]
    tags = data.tag_vocabulary(tagged)
    yield Case("tag_vocabulary", data.tag_vocabulary, {"sentences": tagged})
    arguments = {"sentences": tagged, "words": words, "tags": tags}
    yield Case("tagging_dataset", data.tagging_dataset, arguments)
    yield Case("load_tagged", data.load_tagged, {"path": "/nowhere/at all"})
    yield Case("name_spans", data.name_spans, {"tags": ["B-X", "O"]})
    yield Case("name_f1", data.name_f1, {"found": [["B-X"]], "gold": [["O"]]})
    yield Case("character_vocabulary", data.character_vocabulary, {"words": ["ab"]})
    yield Case("tagger_graph", data.tagger_graph, {"lengths": [0, 2]})
    arguments["characters"] = data.character_vocabulary(["ab"])
    yield Case("tagger_dataset", data.tagger_dataset, arguments)
    depth = {"max_depth": 3, "max_arguments": 3, "max_length": 20}
    random = {"seed": 0, "stream": 0, "operator_probability": 0.2, **depth}
    yield Case("ListOpsGenerator", data.ListOpsGenerator, random)
    generator = data.ListOpsGenerator(0)
    drawn = {"count": 2, "generator": generator, "seen": set()}
    yield Case("generate_listops", data.generate_listops, drawn)
    counts = {"num_train": 2, "num_dev": 1, "num_test": 1, "seed": 0, **depth}
    yield Case("listops_corpus", data.listops_corpus, counts)
    builder = data.TreeBuilder()
    yield Case("TreeBuilder.add", builder.add, {"label": 0, "token": "a", "children": ()})
