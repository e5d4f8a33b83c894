"""Vertex programs, one a file: trees, chains, lattices and grids, a classifier on every vertex.

Each is made by ``Model(vocab_size, embedding_size, hidden_size, num_classes, *, dropout=0.0,
embedding_dropout=0.0, embedding_dropout_by="vertex")``. The embeddings of :class:`MVRNN` are as
wide as its states, :class:`DAGRNN` reads features of ``input_size`` in place of words, and
:class:`LatticeLSTM` has ``num_characters`` and ``num_words`` in place of ``vocab_size``. Vertices
of several types have :class:`LatticeLSTM`, :class:`ShapedTreeLSTM` and :class:`ShapedNaryTreeLSTM`.
`dropout` acts before the classifier. `embedding_dropout` acts on embeddings; :class:`LatticeLSTM`
and :class:`LSTMLanguageModel` drop them by default, as their papers do. With masks by vertex the
cells of equal words differ, and all are computed; with masks by id the cell of each distinct word
is computed once (:func:`cavs.ops.dropout`).

:class:`CharacterTagger` is one function of several types of vertices, and has sizes of characters
beside those of words.

:class:`LSTMLanguageModel`, :class:`TransformerXL`, :class:`VAE`, :class:`SigmoidBeliefNetwork`,
:class:`RBM`, :class:`DBN`, :class:`DBM`, :class:`MADE`, :class:`NADE`, :class:`PixelCNN`,
:class:`Flow`, :class:`Autoencoder`, :class:`AdversarialAutoencoder`, :class:`SentenceVAE` and
:class:`TreeVAE` are generative models, of text, images and trees; :class:`ImageClassifier` and
:class:`MeanFieldClassifier` may begin with the layers of such ones. :class:`ShiftReduceParser`
decides the structure of its graphs itself, and :class:`Seq2Seq` writes a sentence by another one;
both are made with sizes of their own.
"""

from cavs import VertexFunction as _VertexFunction
from cavs._signatures import publish as _publish
from cavs.models.autoencoder import AdversarialAutoencoder as AdversarialAutoencoder
from cavs.models.autoencoder import Autoencoder as Autoencoder
from cavs.models.autoencoder import DecodedPrior as DecodedPrior
from cavs.models.autoencoder import Discriminator as Discriminator
from cavs.models.bilstm import BiLSTMTagger as BiLSTMTagger
from cavs.models.character_tagger import CharacterTagger as CharacterTagger
from cavs.models.classifier import ImageClassifier as ImageClassifier
from cavs.models.classifier import MeanFieldClassifier as MeanFieldClassifier
from cavs.models.dag_rnn import DAGRNN as DAGRNN
from cavs.models.dbm import DBM as DBM
from cavs.models.dbn import DBN as DBN
from cavs.models.dbn import DBNDream as DBNDream
from cavs.models.dbn import DirectedLayer as DirectedLayer
from cavs.models.flow import Flow as Flow
from cavs.models.flow import FlowSampler as FlowSampler
from cavs.models.gru import GRU as GRU
from cavs.models.lattice_lstm import LatticeLSTM as LatticeLSTM
from cavs.models.lstm import LSTM as LSTM
from cavs.models.lstm_lm import LSTMLanguageModel as LSTMLanguageModel
from cavs.models.made import MADE as MADE
from cavs.models.made import MADESampler as MADESampler
from cavs.models.mv_rnn import MVRNN as MVRNN
from cavs.models.nade import NADE as NADE
from cavs.models.nade import NADEChain as NADEChain
from cavs.models.nade import NADEInOrder as NADEInOrder
from cavs.models.nade import NADESampler as NADESampler
from cavs.models.pixelcnn import PixelCNN as PixelCNN
from cavs.models.pixelcnn import PixelCNNGrid as PixelCNNGrid
from cavs.models.pixelcnn import PixelCNNSampler as PixelCNNSampler
from cavs.models.rbm import RBM as RBM
from cavs.models.rbm import AnnealedRBM as AnnealedRBM
from cavs.models.rbm import ClampedRBM as ClampedRBM
from cavs.models.rbm import RBMChain as RBMChain
from cavs.models.sbn import SBNDream as SBNDream
from cavs.models.sbn import SigmoidBeliefNetwork as SigmoidBeliefNetwork
from cavs.models.sentence_vae import SentenceDecoder as SentenceDecoder
from cavs.models.sentence_vae import SentenceEncoder as SentenceEncoder
from cavs.models.sentence_vae import SentenceVAE as SentenceVAE
from cavs.models.seq2seq import Seq2Seq as Seq2Seq
from cavs.models.shaped_tree_lstm import ShapedNaryTreeLSTM as ShapedNaryTreeLSTM
from cavs.models.shaped_tree_lstm import ShapedTreeLSTM as ShapedTreeLSTM
from cavs.models.shift_reduce import ShiftReduceParser as ShiftReduceParser
from cavs.models.transformer_xl import TransformerXL as TransformerXL
from cavs.models.tree_fc import TreeFC as TreeFC
from cavs.models.tree_gru import ChildSumTreeGRU as ChildSumTreeGRU
from cavs.models.tree_lstm import ChildSumTreeLSTM as ChildSumTreeLSTM
from cavs.models.tree_lstm import NaryTreeLSTM as NaryTreeLSTM
from cavs.models.tree_vae import TreeDecoder as TreeDecoder
from cavs.models.tree_vae import TreeEncoder as TreeEncoder
from cavs.models.tree_vae import TreeVAE as TreeVAE
from cavs.models.vae import VAE as VAE
from cavs.models.vae import VAESampler as VAESampler

#: Classifiers of vertices whose words have embeddings, by the names of the command line.
CLASSIFIERS: dict[str, type[_VertexFunction]] = {
    "tree-lstm": ChildSumTreeLSTM,
    "nary-tree-lstm": NaryTreeLSTM,
    "tree-gru": ChildSumTreeGRU,
    "tree-fc": TreeFC,
    "lstm": LSTM,
    "gru": GRU,
    "lattice-lstm": LatticeLSTM,
}

_publish(__name__)
