"""Input graphs, batches of them, and the order in which their vertices run."""

from cavs.scheduler.graph_batch import GraphBatch as GraphBatch
from cavs.scheduler.graph_batch import GraphStore as GraphStore
from cavs.scheduler.graph_batch import batch as batch
from cavs.scheduler.graph_batch import check_children as check_children
from cavs.scheduler.graph_batch import rows_by_graph as rows_by_graph
from cavs.scheduler.graph_batch import unbatch as unbatch
from cavs.scheduler.input_graph import InputGraph as InputGraph
from cavs.scheduler.learned_policy import LearnedPolicy as LearnedPolicy
from cavs.scheduler.schedule import Policy as Policy
from cavs.scheduler.schedule import Schedule as Schedule
from cavs.scheduler.schedule import check_policy as check_policy
from cavs.scheduler.structure import Types as Types
