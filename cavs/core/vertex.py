"""The classes that a user subclasses: modules that own parameters, and the vertex function F."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cavs._arguments import boolean, printed, shown, text
from cavs.core._state import fitting_arrays, narrowed
from cavs.core.ops._holding import makers
from cavs.core.tracing import here
from cavs.errors import InputError, TraceError

if TYPE_CHECKING:
    from cavs.core.traced_vertex import Vertex


_Self = TypeVar("_Self", bound="Module")


class Unmatched(NamedTuple):
    """Names that a state and its module do not share; both are empty after a strict load.

    Attributes:
        missing: parameters and buffers of which the state has no values; they are as they were.
        unexpected: entries of the state that none of them has; they were left out.
    """

    missing: list[str]
    unexpected: list[str]


class Module:
    """Owns parameters and other modules as plain attributes; their names are attribute paths.

    A layer of one's own is a subclass that defines ``forward(x)`` by ``cavs.ops`` and other layers,
    and is called as ``layer(x)``: on values of a vertex function, or on tensors. The ``forward`` of
    a :class:`VertexFunction` is another: :func:`cavs.compile` calls it.
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """What :meth:`forward` gives for these arguments."""
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Computes what the module gives when it is called; a layer of one's own defines it.

        Raises:
            TraceError: it is not defined.
        """
        raise TraceError(
            f"[module] expected {type(self).__name__}.forward, got none; define it, as in "
            "def forward(self, x)"
        )

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """(attribute path, parameter) in order of assignment; a shared parameter comes once.

        Buffers are none of them; see :meth:`named_buffers`.

        Raises:
            TraceError: two parameters have one path, as ``{"a": {"b": p}, "a.b": q}`` gives them.
        """
        return ((path, x) for path, x in self._named_values(prefix) if not is_buffer(x))

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """(attribute path, buffer) in order of assignment; see :meth:`register_buffer`. Raises as
        :meth:`named_parameters` does."""
        return ((path, x) for path, x in self._named_values(prefix) if is_buffer(x))

    def _named_values(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Parameters and buffers."""
        text("parameters", "prefix", prefix, TraceError)
        seen: set[int] = set()
        places: dict[str, str] = {}
        for path, place, parameter in self._walk(prefix, type(self).__name__):
            if id(parameter) in seen:
                continue
            if path in places:
                raise TraceError(
                    f"[parameters] expected one parameter of path {path!r}, got two, "
                    f"{places[path]} and {place}; use other attributes or keys"
                )
            seen.add(id(parameter))
            places[path] = place
            yield path, parameter

    def parameters(self) -> list[Any]:
        """The parameters, each once, in order of assignment."""
        return [parameter for _, parameter in self.named_parameters()]

    def buffers(self) -> list[Any]:
        """The buffers, each once, in order of assignment."""
        return [buffer for _, buffer in self.named_buffers()]

    def register_buffer(self, name: str, array: Any) -> Any:
        """Keeps an array that training does not learn, such as running averages, as the attribute
        `name`: a :class:`cavs.Buffer`, which is given back.

        In a vertex function it is a value without rows. It stands in ``state_dict`` and in
        checkpoints and goes along by :meth:`to`, but is none of :meth:`parameters` and has no
        gradient. Its ``data`` may be written to between calls.

        Args:
            name: of the attribute, which must not be there yet.
            array: float32 or float64, of any shape; its memory is shared where that is possible.

        Raises:
            InputError: no such name can be, or the attribute is there; DTypeError: no floats.
        """
        text("register_buffer", "name", name)
        if not name.isidentifier():
            raise InputError(
                f"[register_buffer] expected the name of an attribute, got {name!r}; use letters, "
                "digits and _"
            )
        if hasattr(self, name):
            raise InputError(
                f"[register_buffer] expected a new attribute, got {name!r}, which "
                f"{type(self).__name__} has already; choose another name, or write to its data"
            )
        buffer = makers.buffer(array)
        setattr(self, name, buffer)
        return buffer

    def requires_grad_(self: _Self, requires_grad: bool = True) -> _Self:
        """Says of all parameters of this module, and of the modules in it, whether they learn, as
        ``parameter.requires_grad`` does of one; gives this module.

        It acts from the next call of compiled models on, and at the next step of optimizers.

        Raises:
            InputError: `requires_grad` is no bool.
        """
        boolean("requires_grad_", "requires_grad", requires_grad)
        for parameter in Module.parameters(self):
            parameter.requires_grad = requires_grad
        return self

    def to(self: _Self, device: Any) -> _Self:
        """Puts all parameters of this module, and of the modules in it, with their gradients, on a
        device, in place; gives this module.

        It is for layers that are called on tensors, such as a network above a model on a GPU. What
        :func:`cavs.compile` made is moved by its own ``to``. Make optimizers afterwards.

        Args:
            device: ``cpu``, ``cuda`` (the first GPU) or ``cuda:1``.

        Raises:
            InputError: no device has such a name; DeviceError: the GPU cannot be used.
        """
        for _, value in Module._named_values(self):
            value.go_to(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """The values of each parameter and buffer, by attribute path, as arrays of NumPy.

        The arrays are the parameters' own, which training goes on changing; copy them to keep them.
        Those of parameters on a GPU are copies.
        """
        return {name: value.numpy() for name, value in self._named_values()}

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> Unmatched:
        """Copies values into parameters and buffers; nothing is changed unless everything fits.

        Args:
            state: an array of the shape of each, by attribute path; dtypes are converted.
            strict: whether the names must be the same; else those that both have are loaded.

        Returns:
            The names that are missing, and those that are unexpected: none if `strict`.

        Raises:
            CheckpointError: names that are missing or unexpected, if `strict`, or shapes that
                differ; InputError: `strict` is no bool.
        """
        own = dict(self._named_values())
        unmatched = Unmatched([], [])
        if not boolean("load_state_dict", "strict", strict) and isinstance(state, Mapping):
            unmatched.missing.extend(name for name in own if name not in state)
            unmatched.unexpected.extend(name for name in state if name not in own)
            state = {name: value for name, value in state.items() if name in own}
            own = {name: parameter for name, parameter in own.items() if name in state}
        shapes = {name: tuple(parameter.shape) for name, parameter in own.items()}
        values = fitting_arrays("load_state_dict", type(self).__name__, shapes, state)
        found = {
            name: narrowed("load_state_dict", name, value, own[name].dtype)
            for name, value in values.items()
        }
        for name, value in found.items():
            own[name].copy_in(value)
        return unmatched

    # Modules

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(attribute path, module) of this module, whose path is `prefix`, and of all modules in
        it, in order of assignment, each before those in it; a shared module comes once.

        Raises:
            TraceError: `prefix` is no text.
        """
        text("modules", "prefix", prefix, TraceError)
        seen: set[int] = set()
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            path, module = waiting.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                inner = list(children(module, f"{path}." if path else ""))
                waiting += reversed(inner)

    def modules(self) -> Iterator[Module]:
        """This module and all modules in it, each once; see :meth:`named_modules`."""
        return (module for _, module in Module.named_modules(self))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(attribute path, module) of the modules that stand directly in this one, also in lists,
        tuples and dictionaries, as ``layers.0``; a shared module comes once."""
        seen: set[int] = set()
        for path, module in children(self, ""):
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module

    def children(self) -> Iterator[Module]:
        """The modules that stand directly in this one; see :meth:`named_children`."""
        return (module for _, module in Module.named_children(self))

    def apply(self: _Self, fn: Callable[[Module], Any]) -> _Self:
        """Calls `fn` with each module in this one, inner ones first, and with this one, as to
        initialise parameters; gives this module.

        Raises:
            InputError: `fn` cannot be called.
        """
        if not callable(fn):
            raise InputError(f"[apply] expected a function of a module, got {shown(fn)}; pass one")
        seen: set[int] = set()

        def visit(module: Module) -> None:
            if id(module) not in seen:
                seen.add(id(module))
                for _, inner in children(module, ""):
                    visit(inner)
                fn(module)

        visit(self)
        return self

    def __repr__(self) -> str:
        from cavs.core.outline import outline  # which knows modules

        return outline(self)

    def __cavs_items__(self) -> Iterator[tuple[str, Any]]:
        """(name in paths, value) of what the module holds."""
        yield from attributes(self).items()

    def _walk(self, prefix: str, place: str, above: Above = ()) -> Iterator[_Found]:
        for name, value in attributes(self).items():
            own = f".{name}" if name.isidentifier() else f".__dict__[{name!r}]"
            yield from walk(f"{prefix}{name}", f"{place}{own}", value, (*above, id(self)))


def is_buffer(value: Any) -> bool:
    """Whether a parameter is one that does not learn: a buffer of a module, or an array in F."""
    return hasattr(value, "__cavs_buffer__")


def is_constant(value: Any) -> bool:
    """Whether a parameter is an array that stands in F."""
    return hasattr(value, "__cavs_constant__")


def named_values(module: Module) -> Iterator[tuple[str, Any]]:
    """(attribute path, value) of the parameters and buffers; a shared one comes once."""
    return module._named_values()


def attributes(module: Module) -> dict[str, Any]:
    """The module's own attributes, by name; they do not count as read by ``forward``."""
    own: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return own


Above = tuple[int, ...]


def children(module: Module, prefix: str) -> Iterator[tuple[str, Module]]:
    """(attribute path, module) of the modules directly in `module`, as often as they are there."""
    for name, value in module.__cavs_items__():
        yield from _modules_in(f"{prefix}{name}", value, (id(module),))


def _modules_in(path: str, value: Any, above: Above) -> Iterator[tuple[str, Module]]:
    if isinstance(value, Module):
        yield path, value
    elif isinstance(value, (list, tuple, dict)) and id(value) not in above:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _modules_in(f"{path}.{key}", item, (*above, id(value)))


_Found = tuple[str, str, Any]


def walk(path: str, place: str, value: Any, above: Above = ()) -> Iterator[_Found]:
    """(path, place as Python writes it, parameter) of the parameters in an attribute's value.

    `above`: identities of the objects that the value stands in; a way back to one is no new path.
    """
    if getattr(value, "__cavs_parameter__", False):
        yield path, place, value
    elif id(value) in above:
        return
    elif isinstance(value, Module):
        yield from value._walk(f"{path}.", place, above)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from walk(f"{path}.{index}", f"{place}[{index}]", item, (*above, id(value)))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(
                f"{path}.{printed(key, str)}",
                f"{place}[{printed(key)}]",
                item,
                (*above, id(value)),
            )


class VertexFunction(Module):
    """The static vertex function F: describes one vertex, declared once for all vertices.

    Subclasses make their layers in ``__init__`` and define ``forward(v)``, which runs once, on
    symbols: ``v.pull`` reads inputs of the vertex, ``v.gather`` the states of its children,
    ``v.scatter`` hands states to its parents and ``v.push`` gives outputs (Xu et al. 2018, sec. 3).
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Raises TraceError: what is called is the model that :func:`cavs.compile` makes of it."""
        name = type(self).__name__
        if here.tracing:
            raise TraceError(
                f"[call] expected a layer, got the vertex function {name} in another one; call its "
                "forward(v), or make what both compute a cavs.Module"
            )
        raise TraceError(
            f"[call] expected a compiled model, got the vertex function {name} itself; compile it "
            "first: model = cavs.compile(function), then model(graphs, ...)"
        )

    def forward(self, v: Vertex) -> None:
        """Describes one vertex."""
        raise TraceError(
            f"[trace] expected {type(self).__name__}.forward(self, v), got none; define it"
        )


def check_function(component: str, expected: str, given: Any) -> None:
    """Raises TraceError where what is given is no vertex function."""
    if isinstance(given, VertexFunction):
        return
    kind, instead = type(given).__name__, "derive its class from cavs.VertexFunction"
    if isinstance(given, type) and issubclass(given, VertexFunction):
        kind, instead = f"the class {given.__name__}", f"make one of it: {given.__name__}(...)"
    elif isinstance(given, Mapping):
        instead = "make a cavs.TypedFunction of it, or a cavs.VertexProgram"
    elif isinstance(getattr(given, "function", None), VertexFunction):
        instead = "pass its function"
    elif any(base.__module__.partition(".")[0] == "torch" for base in type(given).__mro__):
        kind = f"PyTorch's {kind}"
        instead = "write a vertex function; cavs.torch.Layer puts it between PyTorch's modules"
    raise TraceError(f"[{component}] expected {expected}, got {kind}; {instead}")
