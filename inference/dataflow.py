"""What of a function's inputs reaches its outputs, read off its traced program.

Inputs carry labels, and each operation hands those of its operands on, as a rule says.
Nothing is computed: values may be traced, and parameters need not be good for anything.
"""

from collections.abc import Callable, Hashable, Sequence

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal, jaxprs_in_params

Labels = frozenset[Hashable]
Rule = Callable[[str, Sequence[Labels]], Labels]
NONE: Labels = frozenset()


def union(primitive: str, operands: Sequence[Labels]) -> Labels:
    """The plain rule: a result has every label of its operands."""
    return NONE.union(*operands)


def labels_of(
    function: Callable, labels: tuple, *arguments: object, rule: Rule = union
) -> object:
    """Labels of each leaf of `function(*arguments)`.

    Args:
        function: of arrays, traced once.
        labels: trees like the arguments, with a set of labels at each leaf.
        arguments: arrays, or their shapes.
        rule: labels of an operation's result, from its name and those of its operands.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    found = _walk(traced.jaxpr, jax.tree.leaves(labels), rule)
    return jax.tree.unflatten(jax.tree.structure(shapes), found)


def _walk(jaxpr: Jaxpr, inputs: Sequence[Labels], rule: Rule) -> list[Labels]:
    known = dict(zip(jaxpr.invars, inputs, strict=True))

    def look(atoms) -> list[Labels]:
        return [NONE if isinstance(a, Literal) else known.get(a, NONE) for a in atoms]

    for equation in jaxpr.eqns:
        found = _through(equation, look(equation.invars), rule)
        known |= zip(equation.outvars, found, strict=True)
    return look(jaxpr.outvars)


def _through(equation: JaxprEqn, inputs: list[Labels], rule: Rule) -> list[Labels]:
    """Labels of an equation's results; programs inside it are walked as well."""
    name, count = equation.primitive.name, len(equation.outvars)
    inner = list(jaxprs_in_params(equation.params))
    if name == "scan":
        return _scan(equation, inner[0], inputs, rule)
    if name == "cond":
        ways = [_walk(branch, inputs[1:], rule) for branch in inner]
        return [union(name, (inputs[0], *each)) for each in zip(*ways, strict=True)]
    if len(inner) == 1 and len(inner[0].invars) == len(inputs):
        found = _walk(inner[0], inputs, rule)
        if len(found) == count:
            return found
    return [(union if name == "while" else rule)(name, inputs)] * count


def _scan(equation, body: Jaxpr, inputs: list[Labels], rule: Rule) -> list[Labels]:
    """What a turn hands to the next is labelled until nothing changes.

    What it takes and gives step by step has one axis more outside; the rest is carried,
    and stands last of what it takes.
    """
    last = len(inputs) - _stacked(equation.invars, body.invars)
    carried = len(equation.outvars) - _stacked(equation.outvars, body.outvars)
    first = last - carried
    while True:
        found = _walk(body, inputs, rule)
        more = [a | b for a, b in zip(inputs[first:last], found[:carried], strict=True)]
        if more == inputs[first:last]:
            return found
        inputs = [*inputs[:first], *more, *inputs[last:]]


def _stacked(outside: Sequence, inside: Sequence) -> int:
    pairs = zip(outside, inside, strict=True)
    return sum(o.aval.ndim != i.aval.ndim for o, i in pairs)
