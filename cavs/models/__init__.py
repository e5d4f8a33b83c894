"""Vertex programs, one a file: trees, chains and lattices with a classifier on every vertex.

All are made by ``Model(vocab_size, embedding_size, hidden_size, num_classes, *, dropout=0.0)``.
"""

from __future__ import annotations

from cavs.models.gru import GRU as GRU
from cavs.models.lattice_lstm import LatticeLSTM as LatticeLSTM
from cavs.models.lstm import LSTM as LSTM
from cavs.models.tree_fc import TreeFC as TreeFC
from cavs.models.tree_gru import ChildSumTreeGRU as ChildSumTreeGRU
from cavs.models.tree_lstm import ChildSumTreeLSTM as ChildSumTreeLSTM
from cavs.models.tree_lstm import NaryTreeLSTM as NaryTreeLSTM
