"""Samples from trained generative models."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import cavs
from cavs._arguments import instance, integer, number, shown
from cavs._arrays import as_array
from cavs._seed import seed_or_default
from cavs.data import END_OF_SENTENCE, LabelledTree, Vocabulary, arities, grown_trees
from cavs.errors import InputError, ShapeError
from cavs.models import VAE, SBNDream, SigmoidBeliefNetwork, VAESampler
from cavs.training.arrays import Array


def sample_images(
    function: VAE | SigmoidBeliefNetwork, count: int, seed: int | None = None
) -> Array:
    """Probabilities of the pixels of `count` images, (count, image_size)."""
    if not isinstance(function, (VAE, SigmoidBeliefNetwork)):
        raise InputError(
            f"[sample] expected a VAE or a SigmoidBeliefNetwork, got {shown(function)}; pass one"
        )
    return draw_images(
        VAESampler(function) if isinstance(function, VAE) else SBNDream(function), count, seed
    )


def as_it_is(function: cavs.VertexFunction) -> dict[str, Any]:
    """The device and the dtype of a function's parameters, by which it is to be compiled, so that
    they stay as they are."""
    given: Any = function
    if not isinstance(given, cavs.VertexFunction):
        return {}  # cavs.compile says what it is
    floats = (p for p in function.parameters() if p.dtype.kind == "f")
    return next(({"device": p.device, "dtype": p.dtype.name} for p in floats), {})


def draw_images(sampler: cavs.VertexFunction, count: int, seed: int | None = None) -> Array:
    """As `sample_images`, for a vertex function that pushes the probabilities as ``mean``."""
    model = cavs.compile(sampler, outputs=["mean"], seed=seed, **as_it_is(sampler))
    model.eval()
    count = integer("sample", "count", count, 0)
    mean: Array = model(cavs.batch([cavs.InputGraph([[]])] * count))["mean"].numpy()
    return mean


def sample_text(
    function: cavs.VertexFunction,
    vocabulary: Vocabulary,
    count: int,
    *,
    temperature: float = 1.0,
    max_words: int = 80,
    seed: int | None = None,
) -> list[list[str]]:
    """Sentences of a language model, each from the beginning to ``<eos>``, which is left out, or to
    `max_words`.

    Words are drawn from softmax(logits / temperature), never ``<unk>``, by the sentence's number:
    the first sentences are the same for any `count`.

    Raises:
        InputError: a temperature that is not above 0.
    """
    check_temperature(temperature)
    count = integer("sample", "count", count, 0)
    # With all outputs: a pull that the logits do not need is an input too.
    model = cavs.compile(function, seed=seed, **as_it_is(function)).eval()
    if "state" not in model.inputs:
        raise InputError(
            "[sample] expected a language model, which pulls its state, got a "
            f"{type(function).__name__}; pass a LSTMLanguageModel"
        )
    state = np.zeros((count, *model.inputs["state"].shape), np.float32)
    draw = Draw(vocabulary, temperature, cavs.Generator(seed))
    return _grow_text(model, vocabulary, {"state": state}, draw, max_words)


def decode_sentences(
    program: cavs.Program,
    vocabulary: Vocabulary,
    z: Array,
    *,
    temperature: float | None = None,
    max_words: int = 80,
    seed: int | None = None,
) -> list[list[str]]:
    """Sentences that a :class:`cavs.models.SentenceVAE` decodes from z, (sentences, latent_size).

    With a temperature, words are drawn as in :func:`sample_text`; without, each is the likeliest.

    Raises:
        InputError: a temperature that is not above 0.
    """
    if temperature is not None:
        check_temperature(temperature)
    decoder, z = _decoder("decode_sentences", program, z)
    generator = None if temperature is None else cavs.Generator(seed)
    draw = Draw(vocabulary, temperature or 1.0, generator)
    return _grow_text(decoder, vocabulary, {"z": z}, draw, max_words)


def sample_sentences(
    program: cavs.Program,
    vocabulary: Vocabulary,
    count: int,
    *,
    seed: int | None = None,
    **options: Any,
) -> list[list[str]]:
    """Sentences decoded from z of the prior; options as for :func:`decode_sentences`."""
    size = _latent_size("sample_sentences", program)
    count, seed = integer("sample_sentences", "count", count, 0), seed_or_default(seed)
    z = cavs.Generator(seed).normal((count, size)).data
    return decode_sentences(program, vocabulary, z, seed=(seed + 1) % 2**64, **options)


def check_temperature(temperature: float) -> None:
    number("sample", "temperature", temperature, 0, above=True)


def _decoder(component: str, program: cavs.Program, z: Array) -> tuple[cavs.Model, Array]:
    """The decoder of a program, and z as it takes it, (samples, latent_size)."""
    instance(component, "program", program, cavs.Program, "a compiled program")
    decoder = program["decoder"]
    values = as_array(z, component)
    if values.ndim != 2:
        raise ShapeError(
            f"[{component}] expected z of shape (samples, latent_size), got {values.shape}; give a "
            "row for each sample"
        )
    return decoder, values.astype(decoder.dtype)


def _latent_size(component: str, program: cavs.Program) -> int:
    function: Any = instance(
        component, "program", program, cavs.Program, "a compiled program"
    ).function
    size: int | None = getattr(function, "latent_size", None)
    if size is None:
        raise InputError(
            f"[{component}] expected a program with a latent_size, got a "
            f"{type(function).__name__}; pass a compiled VAE of sentences or trees"
        )
    return size


class Draw(NamedTuple):
    """The choice of a word: drawn by `generator`, or the likeliest word without a generator."""

    vocabulary: Vocabulary
    temperature: float
    generator: cavs.Generator | None

    def __call__(self, logits: Array, graph: Array) -> Array:
        """A word by each row of `logits`, (rows, words), drawn by its graph."""
        logits = logits * (1.0 / self.temperature)
        if self.vocabulary.unknown_id is not None:
            logits[:, self.vocabulary.unknown_id] = -np.inf
        return _choose(logits, self.generator, graph)


def _grow_text(
    model: cavs.Model,
    vocabulary: Vocabulary,
    graph_inputs: dict[str, Array],
    draw: Draw,
    max_words: int,
) -> list[list[str]]:
    """A sentence for each row of the graph inputs: a chain that grows, each word opening the vertex
    of the next one."""
    instance("sample", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    integer("sample", "max_words", max_words, 1)
    count = len(next(iter(graph_inputs.values())))
    if count == 0:
        return []
    end = int(vocabulary.encode([END_OF_SENTENCE])[0])

    def vertices(word: Array, first: float) -> dict[str, Array]:
        known = {"word": word.astype(np.int32), "first": np.full(len(word), first, np.float32)}
        return {name: x for name, x in known.items() if name in model.inputs}

    def next_words(frontier: cavs.Frontier) -> cavs.Growth | None:
        if frontier.level == max_words:
            return None
        word = draw(frontier.outputs["logits"], frontier.graph)
        goes_on = word != end
        last = frontier.vertices
        return cavs.Growth(last[goes_on], vertices(word[goes_on], first=0.0), forget=last)

    grown = cavs.unfold(
        model,
        cavs.Growth([[]] * count, vertices(np.full(count, end), first=1.0), np.arange(count)),
        next_words,
        num_graphs=count,
        graph_inputs=graph_inputs,
        outputs=["logits"],
        keep=(),
        max_levels=max_words + 1,
    )
    words = cavs.unbatch(grown.graphs, grown.inputs["word"])
    return [[str(word) for word in vocabulary.decode(sentence[1:])] for sentence in words]


def _choose(
    logits: Array, generator: cavs.Generator | None, graph: Array, place: Array | None = None
) -> Array:
    """A class for each row of `logits` (rows, classes): drawn by its graph, and its place there, or
    the likeliest without a generator."""
    if generator is None:
        likeliest: Array = logits.argmax(axis=-1)
        return likeliest
    numbers = generator.uniform((len(logits), 1), "float64", graph, place).data
    p = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    total = p.cumsum(axis=-1)
    drawn: Array = (total <= numbers * total[:, -1:]).sum(axis=-1)
    return drawn


def decode_trees(
    program: cavs.Program,
    vocabulary: Vocabulary,
    z: Array,
    *,
    max_depth: int,
    max_vertices: int = 1_000,
    generator: cavs.Generator | None = None,
) -> list[LabelledTree | None]:
    """Trees that a :class:`cavs.models.TreeVAE` generates from the root down.

    Args:
        program: the compiled model.
        vocabulary: the vocabulary of the productions.
        z: (trees, latent_size).
        max_depth: the depth of the deepest vertices that are opened, the root being at depth 1.
        max_vertices: the most vertices of a tree; none is opened beyond.
        generator: draws the productions; None takes the likeliest.

    Returns:
        A tree for each z, None for a tree that was not complete within these bounds.
    """
    decoder, z = _decoder("decode_trees", program, z)
    instance("decode_trees", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    integer("decode_trees", "max_depth", max_depth, 1)
    integer("decode_trees", "max_vertices", max_vertices, 1)
    if generator is not None:
        instance("decode_trees", "generator", generator, cavs.Generator, "a cavs.Generator")
    if len(z) == 0:
        return []
    search = _GrownTrees(arities(vocabulary), len(z), max_depth, max_vertices, generator)
    grown = cavs.unfold(
        decoder,
        search.roots(),
        search,
        num_graphs=len(z),
        graph_inputs={"z": z},
        outputs=["logits", "phrase_logits"],
        keep=(),
        max_levels=max_depth,
        max_vertices=max_vertices,
    )
    return grown_trees(grown.graphs, np.concatenate(search.said)[grown.vertices], vocabulary)


class _GrownTrees:
    """Opens the children that vertices say, with their types.

    Attributes:
        said: the productions of the vertices, level by level.
    """

    def __init__(
        self,
        opens: Array,
        count: int,
        max_depth: int,
        max_vertices: int,
        generator: cavs.Generator | None,
    ) -> None:
        """`opens`: how many children each production has; `count`: of trees."""
        self._opens, self._generator = opens, generator
        self._sizes = np.ones(count, np.int64)
        self._max_depth, self._max_vertices = max_depth, max_vertices
        self.said: list[Array] = []

    def roots(self) -> cavs.Growth:
        none = np.full(len(self._sizes), -1, np.int32)
        inputs = {"above": none, "slot": none}
        graph = np.arange(len(none))
        return cavs.Growth([[]] * len(none), inputs, graph, types=["phrase"] * len(none))

    def __call__(self, frontier: cavs.Frontier) -> cavs.Growth | None:
        graph, rows = frontier.graph, frontier.rows("phrase")
        place = None if self._generator is None else _places(graph)
        is_phrase = np.isin(np.arange(len(graph)), rows)
        # A leaf has a production without children, a phrase one with some.
        fits = (self._opens > 0) == is_phrase[:, np.newaxis]
        logits = np.where(fits, frontier.outputs["logits"], -np.inf)
        chosen = _choose(logits, self._generator, graph, place)
        self.said.append(chosen)
        if frontier.level + 1 == self._max_depth:
            return None
        counts = self._opens[chosen]
        counts[(self._grow(graph, counts) > self._max_vertices)[graph]] = 0
        slots = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        phrases = np.zeros((len(graph), frontier.outputs["phrase_logits"].shape[1]), bool)
        phrases[rows] = self._phrases(frontier, rows, place)
        parents = np.repeat(np.arange(len(graph)), counts)
        return cavs.Growth(
            frontier.vertices[parents],
            {"above": chosen[parents].astype(np.int32), "slot": slots.astype(np.int32)},
            types=np.where(phrases[parents, slots], "phrase", "leaf"),
            forget=frontier.vertices,
        )

    def _grow(self, graph: Array, counts: Array) -> Array:
        """How many vertices each tree has with all children; a tree that has too many stays so."""
        wanted = self._sizes + np.bincount(graph, counts, len(self._sizes)).astype(np.int64)
        self._sizes = np.minimum(wanted, self._max_vertices + 1)
        return wanted

    def _phrases(self, frontier: cavs.Frontier, rows: Array, place: Array | None) -> Array:
        """Which children are phrases: (rows, slots), by the likelier, or drawn."""
        logits = frontier.outputs["phrase_logits"]
        if self._generator is None or place is None:
            likelier: Array = logits > 0
            return likelier
        drawn = self._generator.uniform(
            logits.shape, "float64", frontier.graph[rows], place[rows]
        ).data
        found: Array = drawn < 1 / (1 + np.exp(-logits.astype(np.float64)))
        return found


def _places(graph: Array) -> Array:
    """For each vertex of a level, its place among the level's vertices of the same graph."""
    order = np.argsort(graph, kind="stable")
    place = np.empty(len(graph), np.int64)
    place[order] = np.arange(len(graph)) - np.searchsorted(graph[order], graph[order])
    return place


def sample_trees(
    program: cavs.Program,
    vocabulary: Vocabulary,
    count: int,
    *,
    max_depth: int,
    seed: int | None = None,
) -> list[LabelledTree | None]:
    """Trees decoded from z of the prior; None for a tree that is not complete at `max_depth`."""
    generator = cavs.Generator(seed)
    size = _latent_size("sample_trees", program)
    z = generator.normal((integer("sample_trees", "count", count, 0), size)).data
    return decode_trees(program, vocabulary, z, max_depth=max_depth, generator=generator)
