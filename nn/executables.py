"""Device programs that are traced anew for each use, and compiled once for each text."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import jax

OPTIONS = ("jax_disable_most_optimizations", "jax_default_device")  # not in the text
MOST = 64  # executables kept; each holds hundreds of memory maps
_LOCK = threading.RLock()  # NumPyro has one stack of handlers for all threads
_STRUCTURES: list[dict] = []  # of modules, as long as the outermost tracing lasts


@contextmanager
def tracing() -> Iterator[dict]:
    """Trace programs while no other thread does.

    Yields:
        what may be remembered until the outermost tracing ends, and no longer: globals and
        closures that programs read may change after it.
    """
    with _LOCK:
        _STRUCTURES.append(_STRUCTURES[-1] if _STRUCTURES else {})
        try:
            yield _STRUCTURES[-1]
        finally:
            _STRUCTURES.pop()


_ONCE: ContextVar[dict | None] = ContextVar("_ONCE", default=None)


@contextmanager
def traced_once() -> Iterator[None]:
    """Trace each program once while this lasts, however many calls make it anew.

    For functions that call others again and again, and in whose course no global and no
    closure that programs read changes. It decorates them: `@traced_once()`.
    """
    token = _ONCE.set({}) if _ONCE.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _ONCE.reset(token)


def remembered(*key: Hashable) -> dict:
    """What is known under this key within `traced_once`; else, and at first, nothing."""
    known = _ONCE.get()
    try:
        return {} if known is None else known.setdefault(key, {})
    except TypeError:  # a setting that has no hash
        return {}


class Program:
    """`function(*trees)`, compiled for each set of shapes that it is called with.

    `jax.jit` keeps what it traced for as long as the function lives, whatever the globals
    and closures that it reads have become. A `Program` keeps that for its own life only:
    make one in each call of a public function. Executables outlive it, found by the text of
    the lowered program, in which a changed value stands changed.

    Called with tracers, inside a `jax.jit` of the user's, it is the function itself.

    Args:
        function: of trees of arrays; settings by `functools.partial`.
        donate: positions of arguments whose memory the result may take.
    """

    def __init__(self, function: Callable, donate: Sequence[int] = ()):
        self.function, self._donate = function, tuple(donate)
        self._known: dict[tuple, tuple] = remembered(*_settings(function), self._donate)

    def __call__(self, *args):
        leaves, tree = jax.tree.flatten(args)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            with tracing():
                return self.function(*args)
        shapes = (tree, *map(_shape, leaves))
        if shapes not in self._known:
            self._known[shapes] = self._compile(args)
        executable, structure = self._known[shapes]
        return jax.tree.unflatten(structure, executable(*leaves))

    def lower(self, *args) -> jax.stages.Lowered:
        """The program of these arguments, as `jax.jit(...).lower` has it, of leaves."""
        return self._lower(args)[0]

    def _lower(self, args: tuple):
        leaves, tree = jax.tree.flatten(args)
        structure = []

        def flat(*leaves):
            found = self.function(*jax.tree.unflatten(tree, leaves))
            found, out = jax.tree.flatten(found)
            structure.append(out)
            return found

        flat.__name__ = getattr(self.function, "__name__", "program")
        sizes = [jax.tree.structure(arg).num_leaves for arg in args]
        donated = [
            sum(sizes[:i]) + j for i in self._donate for j in range(sizes[i])
        ]  # fmt: skip
        jitted = jax.jit(flat, donate_argnums=donated)
        with tracing():
            return jitted.lower(*leaves), structure[-1]

    def _compile(self, args: tuple) -> tuple:
        lowered, structure = self._lower(args)
        return _executable(lowered, jax.tree.leaves(args)), structure


_EXECUTABLES: OrderedDict[tuple, jax.stages.Compiled] = OrderedDict()
_KEPT = threading.Lock()


def _executable(lowered: jax.stages.Lowered, leaves: list) -> jax.stages.Compiled:
    """Compile, or find what the same text was compiled to; the eldest are forgotten."""
    text, names = lowered.as_text(), _arguments(lowered)
    # Which Python function is called back does not stand in the text, nor, if names do not
    # tell, which leaves are read.
    told = all("leaves[" in name for name in names) and len(set(names)) == len(names)
    if "callback" in text or not told:
        return lowered.compile()
    digest = hashlib.sha256("\n".join([text, *names]).encode()).digest()
    out = tuple((x.shape, x.dtype, x.weak_type) for x in lowered.out_info)
    options = [jax.config.values[name] for name in OPTIONS]
    key = (digest, *map(_shape, leaves), *out, *options)
    with _KEPT:
        if key in _EXECUTABLES:
            _EXECUTABLES.move_to_end(key)
            return _EXECUTABLES[key]
    compiled = lowered.compile()
    with _KEPT:
        _EXECUTABLES[key] = compiled
        while len(_EXECUTABLES) > MOST:
            _EXECUTABLES.popitem(last=False)
    return compiled


def _settings(function: Callable) -> tuple:
    """What a function is, with the settings of a partial one."""
    if not isinstance(function, partial):
        return (function,)
    keywords = sorted(function.keywords.items())
    return (*_settings(function.func), function.args, *keywords)


def _arguments(lowered: jax.stages.Lowered) -> list[str]:
    """Which leaves the program reads, by name: the text has no word of the others."""
    (main,) = (
        each
        for each in lowered.compiler_ir().body.operations
        if str(each.name) == '"main"'
    )
    return [str(each.location) for each in main.regions[0].blocks[0].arguments]


def _shape(leaf) -> tuple:
    """What a program is compiled for: shape, type, and where the array lies."""
    place = leaf.sharding if getattr(leaf, "committed", False) else None
    return jax.typeof(leaf), place
