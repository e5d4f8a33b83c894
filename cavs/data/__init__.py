"""Data sets and loaders: trees, expressions, lattices, sentences and images as input graphs."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from cavs._missing import of_package as _of_package
from cavs._signatures import shorten as _shorten
from cavs.data.annotated import AnnotatedTree as AnnotatedTree
from cavs.data.annotated import annotated_dataset as annotated_dataset
from cavs.data.annotated import annotated_vocabularies as annotated_vocabularies
from cavs.data.annotated import sentence_tree as sentence_tree
from cavs.data.brackets import load_sst as load_sst
from cavs.data.brackets import parse_tree as parse_tree
from cavs.data.brackets import parse_trees as parse_trees
from cavs.data.brackets import read_trees as read_trees
from cavs.data.chains import chain_graph as chain_graph
from cavs.data.dataset import Dataset as Dataset
from cavs.data.grids import grid_graph as grid_graph
from cavs.data.heads import head_child as head_child
from cavs.data.images import ImageCorpus as ImageCorpus
from cavs.data.images import image_dataset as image_dataset
from cavs.data.images import load_binarized_mnist as load_binarized_mnist
from cavs.data.lattices import Lattice as Lattice
from cavs.data.lattices import LatticeCorpus as LatticeCorpus
from cavs.data.lattices import lattice_dataset as lattice_dataset
from cavs.data.lattices import load_lattices as load_lattices
from cavs.data.lattices import read_lattices as read_lattices
from cavs.data.listops import format_listops as format_listops
from cavs.data.listops import listops_vocabulary as listops_vocabulary
from cavs.data.listops import parse_listops as parse_listops
from cavs.data.listops import parse_listops_lines as parse_listops_lines
from cavs.data.listops import read_listops as read_listops
from cavs.data.listops_generator import ListOpsGenerator as ListOpsGenerator
from cavs.data.listops_generator import generate_listops as generate_listops
from cavs.data.listops_generator import listops_corpus as listops_corpus
from cavs.data.listops_tsv import read_listops_tsv as read_listops_tsv
from cavs.data.loader import Loader as Loader
from cavs.data.pair_graphs import PairGraph as PairGraph
from cavs.data.pair_graphs import pair_graph as pair_graph
from cavs.data.pairs import PairDataset as PairDataset
from cavs.data.parents import parse_parents as parse_parents
from cavs.data.parents import read_parents as read_parents
from cavs.data.penn import parse_penn as parse_penn
from cavs.data.penn import phrase_tree as phrase_tree
from cavs.data.penn import read_penn as read_penn
from cavs.data.productions import arities as arities
from cavs.data.productions import grown_trees as grown_trees
from cavs.data.productions import production_dataset as production_dataset
from cavs.data.productions import production_vocabulary as production_vocabulary
from cavs.data.ptb import END_OF_SENTENCE as END_OF_SENTENCE
from cavs.data.ptb import TextCorpus as TextCorpus
from cavs.data.ptb import language_model_dataset as language_model_dataset
from cavs.data.ptb import language_model_vocabulary as language_model_vocabulary
from cavs.data.ptb import load_ptb as load_ptb
from cavs.data.ptb import read_sentences as read_sentences
from cavs.data.ptb import running_text_dataset as running_text_dataset
from cavs.data.rows import from_rows as from_rows
from cavs.data.samplers import Sampler as Sampler
from cavs.data.samplers import WeightedSampler as WeightedSampler
from cavs.data.samplers import class_weights as class_weights
from cavs.data.sentence_pairs import SICK_LABELS as SICK_LABELS
from cavs.data.sentence_pairs import SNLI_LABELS as SNLI_LABELS
from cavs.data.sentence_pairs import PairCorpus as PairCorpus
from cavs.data.sentence_pairs import SentencePair as SentencePair
from cavs.data.sentence_pairs import load_sick as load_sick
from cavs.data.sentence_pairs import load_snli as load_snli
from cavs.data.sentence_pairs import pair_dataset as pair_dataset
from cavs.data.sentence_pairs import pair_vocabulary as pair_vocabulary
from cavs.data.sentence_pairs import parse_binary_tree as parse_binary_tree
from cavs.data.sentence_pairs import read_snli as read_snli
from cavs.data.stanford import StanfordCorpus as StanfordCorpus
from cavs.data.stanford import load_stanford as load_stanford
from cavs.data.tags import TaggedSentence as TaggedSentence
from cavs.data.tags import read_tagged as read_tagged
from cavs.data.tags import tag_vocabulary as tag_vocabulary
from cavs.data.tags import tagging_dataset as tagging_dataset
from cavs.data.transitions import REDUCE as REDUCE
from cavs.data.transitions import SHIFT as SHIFT
from cavs.data.transitions import bracket_f1 as bracket_f1
from cavs.data.transitions import brackets as brackets
from cavs.data.transitions import left_branching as left_branching
from cavs.data.transitions import parsed_trees as parsed_trees
from cavs.data.transitions import right_branching as right_branching
from cavs.data.transitions import transition_dataset as transition_dataset
from cavs.data.transitions import transition_graph as transition_graph
from cavs.data.trees import LabelledTree as LabelledTree
from cavs.data.trees import TreeBuilder as TreeBuilder
from cavs.data.trees import TreeCorpus as TreeCorpus
from cavs.data.trees import format_tree as format_tree
from cavs.data.trees import tree_dataset as tree_dataset
from cavs.data.trees import tree_vocabulary as tree_vocabulary
from cavs.data.universal import read_conllu as read_conllu
from cavs.data.vectors import WordVectors as WordVectors
from cavs.data.vectors import load_vectors as load_vectors
from cavs.data.vectors import save_vectors as save_vectors
from cavs.data.vocabulary import Vocabulary as Vocabulary

__all__ = [
    "END_OF_SENTENCE",
    "REDUCE",
    "SHIFT",
    "SICK_LABELS",
    "SNLI_LABELS",
    "AnnotatedTree",
    "Dataset",
    "ImageCorpus",
    "LabelledTree",
    "Lattice",
    "LatticeCorpus",
    "ListOpsGenerator",
    "Loader",
    "PairCorpus",
    "PairDataset",
    "PairGraph",
    "Sampler",
    "SentencePair",
    "StanfordCorpus",
    "TaggedSentence",
    "TextCorpus",
    "TreeBuilder",
    "TreeCorpus",
    "Vocabulary",
    "WeightedSampler",
    "WordVectors",
    "annotated_dataset",
    "annotated_vocabularies",
    "arities",
    "bracket_f1",
    "brackets",
    "chain_graph",
    "class_weights",
    "format_listops",
    "format_tree",
    "from_rows",
    "generate_listops",
    "grid_graph",
    "grown_trees",
    "head_child",
    "image_dataset",
    "language_model_dataset",
    "language_model_vocabulary",
    "lattice_dataset",
    "left_branching",
    "listops_corpus",
    "listops_vocabulary",
    "load_binarized_mnist",
    "load_lattices",
    "load_ptb",
    "load_sick",
    "load_snli",
    "load_sst",
    "load_stanford",
    "load_vectors",
    "pair_dataset",
    "pair_graph",
    "pair_vocabulary",
    "parse_binary_tree",
    "parse_listops",
    "parse_listops_lines",
    "parse_parents",
    "parse_penn",
    "parse_tree",
    "parse_trees",
    "parsed_trees",
    "phrase_tree",
    "production_dataset",
    "production_vocabulary",
    "read_conllu",
    "read_lattices",
    "read_listops",
    "read_listops_tsv",
    "read_parents",
    "read_penn",
    "read_sentences",
    "read_snli",
    "read_tagged",
    "read_trees",
    "right_branching",
    "running_text_dataset",
    "save_vectors",
    "sentence_tree",
    "tag_vocabulary",
    "tagging_dataset",
    "transition_dataset",
    "transition_graph",
    "tree_dataset",
    "tree_vocabulary",
]


def __dir__() -> list[str]:
    return sorted(__all__)


if not _TYPE_CHECKING:  # type checkers would take it for names of any kind
    __getattr__ = _of_package("cavs.data")


_shorten(list(globals().values()))
