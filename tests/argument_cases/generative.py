"""Calls of ``cavs.models``, and of what samples from trained ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import cavs
from argument_cases.base import Case
from cavs import data, models, training

CLASSIFIER = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 3, "num_classes": 2}


def models_cases() -> Iterator[Case]:
    drops = {"dropout": 0.1, "embedding_dropout": 0.1, "embedding_dropout_by": "vertex"}
    for kind in models.CLASSIFIERS.values():
        given = {**CLASSIFIER, **drops}
        if kind is models.LatticeLSTM:
            del given["vocab_size"]
            given |= {"num_characters": 5, "num_words": 6}
        yield Case(kind.__name__, kind, given)
    yield Case("BiLSTMTagger", models.BiLSTMTagger, CLASSIFIER)
    sizes = {"vocab_size": 5, "hidden_size": 3, "num_layers": 1}
    yield Case("LSTMLanguageModel", models.LSTMLanguageModel, sizes)
    sizes = {"vocab_size": 5, "size": 4, "num_layers": 1, "num_heads": 2}
    yield Case("TransformerXL", models.TransformerXL, sizes)
    sizes = {"image_size": 4, "hidden_size": 3, "latent_size": 2}
    yield Case("VAE", models.VAE, {**sizes, "stochastic_layers": 2})
    network = {"image_size": 4, "hidden_size": 3, "layers": 2}
    yield Case("SigmoidBeliefNetwork", models.SigmoidBeliefNetwork, network)
    rbm = {"image_size": 4, "hidden_size": 3, "steps": 1}
    yield Case("RBM", models.RBM, {**rbm, "doubled": "none"})
    network = {"image_size": 4, "hidden_sizes": [3], "top_size": 2, "steps": 1}
    flags = {"probabilities": False, "up_down": False, "doubled": "none"}
    yield Case("DBN", models.DBN, {**network, **flags})
    yield Case("DBM", models.DBM, {**rbm, "top_size": 2, "updates": 3})
    network = {"image_size": 4, "hidden_sizes": [3, 2], "num_classes": 2}
    yield Case("ImageClassifier", models.ImageClassifier, network)
    yield Case("MeanFieldClassifier", models.MeanFieldClassifier, {**network, "updates": 2})
    for kind in (models.RBMChain, models.AnnealedRBM, models.ClampedRBM):
        yield Case(kind.__name__, lambda steps, k=kind: k(models.RBM(4, 3), steps), {"steps": 1})
    sizes = {"image_size": 4, "hidden_size": 3}
    yield Case("NADE", models.NADE, {**sizes, "orders": "many"})
    masks = {"num_layers": 2, "num_masks": 2, "orders": "many", "mask_seed": 1}
    yield Case("MADE", models.MADE, {**sizes, **masks})
    yield Case("MADE.in_order", models.MADE(4, 3).in_order, {"number": 0})
    yield Case("NADE.in_order", models.NADE(4, 3).in_order, {"number": 1})
    sizes = {"image_size": 4, "image_width": 2, "channels": 2, "num_layers": 1, "kernel_size": 3}
    yield Case("PixelCNN", models.PixelCNN, sizes)
    sizes = {"image_size": 4, "hidden_sizes": [3], "code_size": 2}
    chosen = {"activation": "tanh", "loss": "squared-error"}
    yield Case("Autoencoder", models.Autoencoder, {**sizes, **chosen})
    given = {**sizes, **chosen, "discriminator_size": 3}
    yield Case("AdversarialAutoencoder", models.AdversarialAutoencoder, given)
    sizes = {"image_size": 16, "width": 4, "levels": 3, "num_layers": 1, "hidden_size": 3}
    yield Case("Flow", models.Flow, {"kind": "glow", **sizes, "num_scales": 2, "margin": 0.1})
    sizes = {"code_size": 2, "hidden_size": 3}
    yield Case("Discriminator", models.Discriminator, sizes)
    sizes = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 3, "latent_size": 2}
    yield Case("SentenceVAE", models.SentenceVAE, sizes)
    sizes = {"num_productions": 4, "num_slots": 2, "embedding_size": 3, "hidden_size": 3}
    yield Case("TreeVAE", models.TreeVAE, {**sizes, "latent_size": 2})
    sizes = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 3}
    yield Case("Seq2Seq", models.Seq2Seq, sizes)


def sampling_cases() -> Iterator[Case]:
    words = data.language_model_vocabulary([["a", "b"], ["a"]])
    sizes = {"embedding_size": 3, "hidden_size": 3, "latent_size": 2}
    sentences = cavs.compile(models.SentenceVAE(len(words), **sizes))
    language = models.LSTMLanguageModel(len(words), 3, 1)
    z, seed = np.zeros((2, 2), np.float32), {"seed": 0}
    draws = {"temperature": 1.0, "max_words": 3, **seed}
    given = {"program": sentences, "vocabulary": words}
    yield Case("decode_sentences", training.decode_sentences, {**given, "z": z, **draws})
    yield Case("sample_sentences", training.sample_sentences, {**given, "count": 2, **draws})
    arguments = {"function": language, "vocabulary": words, "count": 2, **draws}
    yield Case("sample_text", training.sample_text, arguments)
    xl = models.TransformerXL(len(words), 4, 1, 2, context=4)
    arguments = {"function": xl, "vocabulary": words, "count": 2, "memory": 2, **draws}
    yield Case("sample_segments", training.sample_segments, arguments)
    writer = {"model": cavs.compile(models.Seq2Seq(len(words), 3, 3)), "vocabulary": words}
    searched = {"sentences": [["a"], ["b", "a"]], "beam": 2, "max_words": 3}
    yield Case("write_sentences", training.write_sentences, {**writer, **searched})
    trees = [data.parse_tree("(1 (0 a) (1 b))"), data.parse_tree("(0 (1 c) (1 (0 a) (0 b)))")]
    made = data.production_vocabulary(trees)
    program = cavs.compile(models.TreeVAE(len(made), 2, 3, 3, 2))
    given = {"program": program, "vocabulary": made}
    bounds = {"max_depth": 3, "max_vertices": 9, "generator": cavs.Generator(0)}
    yield Case("decode_trees", training.decode_trees, {**given, "z": z, **bounds})
    yield Case("sample_trees", training.sample_trees, {**given, "count": 2, "max_depth": 3, **seed})
    images = {"function": models.VAE(4, 3, 2), "count": 2, **seed}
    yield Case("sample_images", training.sample_images, images)
    drawn = {"temperatures": 2, "means": np.full(4, 0.5), **seed}
    rbm = {"rbm": models.RBM(4, 3), **drawn}
    yield Case("log_partition", training.log_partition, {**rbm, "chains": 2})
    yield Case("sample_rbm", training.sample_rbm, {**rbm, "count": 2})
    halves = {"images": np.zeros((2, 4), np.float32), "known": np.array([1, 1, 0, 0]), "steps": 2}
    given = {"machine": models.DBM(4, 3, 2), **halves, **seed}
    yield Case("complete_images", training.complete_images, given)
    images = {"function": models.NADE(4, 3), "count": 2, **seed}
    yield Case("sample_pixels", training.sample_pixels, images)
    flow = {"flow": models.Flow("realnvp", 4, 2, 3, 1, 3)}
    yield Case("sample_flow", training.sample_flow, {**flow, "count": 2, **seed})
    z = np.zeros((2, 4), np.float32)
    yield Case("undo_flow", training.undo_flow, {**flow, "z": z, "dtype": "float32"})
    yield Case("set_first_norms", training.set_first_norms, {**flow, "images": z, **seed})
