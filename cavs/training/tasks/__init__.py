"""The tasks that can be trained, each with its models, its options and its data."""

from __future__ import annotations

from cavs.training.tasks._abilities import Predicts as Predicts
from cavs.training.tasks._abilities import Samples as Samples
from cavs.training.tasks._task import Task as Task
from cavs.training.tasks.autoencoders import AutoencoderSource as AutoencoderSource
from cavs.training.tasks.autoencoders import AutoencoderTask as AutoencoderTask
from cavs.training.tasks.boltzmann import BoltzmannSource as BoltzmannSource
from cavs.training.tasks.boltzmann import BoltzmannTask as BoltzmannTask
from cavs.training.tasks.classifiers import ClassifierTask as ClassifierTask
from cavs.training.tasks.classifiers import LabelledSource as LabelledSource
from cavs.training.tasks.densities import DensitySource as DensitySource
from cavs.training.tasks.densities import DensityTask as DensityTask
from cavs.training.tasks.expressions import ExpressionSource as ExpressionSource
from cavs.training.tasks.expressions import ExpressionTask as ExpressionTask
from cavs.training.tasks.images import ImageSource as ImageSource
from cavs.training.tasks.images import ImageTask as ImageTask
from cavs.training.tasks.labelled_trees import TreeSource as TreeSource
from cavs.training.tasks.labelled_trees import check_arity as check_arity
from cavs.training.tasks.lattices import LatticeSource as LatticeSource
from cavs.training.tasks.lattices import LatticeTask as LatticeTask
from cavs.training.tasks.parser import ParserTask as ParserTask
from cavs.training.tasks.parser import TreebankSource as TreebankSource
from cavs.training.tasks.registry import MODELS as MODELS
from cavs.training.tasks.registry import TASKS as TASKS
from cavs.training.tasks.registry import find_task as find_task
from cavs.training.tasks.registry import make_task as make_task
from cavs.training.tasks.restore import Trained as Trained
from cavs.training.tasks.restore import arguments_of as arguments_of
from cavs.training.tasks.restore import load_model as load_model
from cavs.training.tasks.restore import make_function as make_function
from cavs.training.tasks.restore import restore_task as restore_task
from cavs.training.tasks.restore import words_of as words_of
from cavs.training.tasks.segments import SegmentSource as SegmentSource
from cavs.training.tasks.segments import SegmentTask as SegmentTask
from cavs.training.tasks.sentences import SentenceSource as SentenceSource
from cavs.training.tasks.sentences import SentenceTask as SentenceTask
from cavs.training.tasks.seq2seq import ReversalSource as ReversalSource
from cavs.training.tasks.seq2seq import ReversalTask as ReversalTask
from cavs.training.tasks.tagging import TaggedSource as TaggedSource
from cavs.training.tasks.tagging import TaggingTask as TaggingTask
from cavs.training.tasks.text import TextSource as TextSource
from cavs.training.tasks.text import TextTask as TextTask
from cavs.training.tasks.tree_models import TREE_MODELS as TREE_MODELS
from cavs.training.tasks.trees import TreeTask as TreeTask
