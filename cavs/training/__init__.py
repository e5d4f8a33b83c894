"""Training: the loop, objectives and scores, checkpoints, and the tasks of the command line."""

from cavs._signatures import publish as _publish
from cavs.training.checkpoint import Checkpoint as Checkpoint
from cavs.training.checkpoint import load_checkpoint as load_checkpoint
from cavs.training.checkpoint import save_checkpoint as save_checkpoint
from cavs.training.config import TrainingConfig as TrainingConfig
from cavs.training.decoding import Written as Written
from cavs.training.decoding import write_sentences as write_sentences
from cavs.training.metrics import Classification as Classification
from cavs.training.metrics import Scores as Scores
from cavs.training.metrics import evaluate as evaluate
from cavs.training.objective import Objective as Objective
from cavs.training.objective import Observer as Observer
from cavs.training.parsing import parse as parse
from cavs.training.progress import Progress as Progress
from cavs.training.run import TrainingRun as TrainingRun
from cavs.training.sampling import decode_sentences as decode_sentences
from cavs.training.sampling import decode_trees as decode_trees
from cavs.training.sampling import sample_images as sample_images
from cavs.training.sampling import sample_sentences as sample_sentences
from cavs.training.sampling import sample_text as sample_text
from cavs.training.sampling import sample_trees as sample_trees
from cavs.training.tasks import TREE_MODELS as TREE_MODELS
from cavs.training.tasks import ExpressionSource as ExpressionSource
from cavs.training.tasks import ExpressionTask as ExpressionTask
from cavs.training.tasks import ImageSource as ImageSource
from cavs.training.tasks import ImageTask as ImageTask
from cavs.training.tasks import ParserTask as ParserTask
from cavs.training.tasks import ReversalSource as ReversalSource
from cavs.training.tasks import ReversalTask as ReversalTask
from cavs.training.tasks import SentenceSource as SentenceSource
from cavs.training.tasks import SentenceTask as SentenceTask
from cavs.training.tasks import Task as Task
from cavs.training.tasks import TextSource as TextSource
from cavs.training.tasks import TextTask as TextTask
from cavs.training.tasks import TreebankSource as TreebankSource
from cavs.training.tasks import TreeSource as TreeSource
from cavs.training.tasks import TreeTask as TreeTask
from cavs.training.tasks import check_arity as check_arity
from cavs.training.tasks import load_model as load_model
from cavs.training.tasks import make_task as make_task
from cavs.training.tasks import words_of as words_of
from cavs.training.trainer import Trainer as Trainer
from cavs.training.user_model import UserModel as UserModel
from cavs.training.user_model import load_user_model as load_user_model

_publish(__name__)
