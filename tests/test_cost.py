"""The cost of a step in FLOPs, by XLA's own count, and what compiles when."""

import jax
import step_cost


def test_a_step_costs_what_hand_written_code_costs():
    ours = step_cost.flops(*step_cost.library_step())
    theirs = step_cost.flops(*step_cost.floor_step())
    assert ours <= 1.05 * theirs


def test_one_compilation_per_shape():
    """New masks and values of one shape do not compile anew."""
    step, state, data = step_cost.library_step()
    update = jax.jit(step)
    state, _ = update(state, data)
    other = data.restrict(
        data.present.at[:, 0].set(False), allow_empty_rows=True
    ).batch(jax.numpy.arange(256))
    same = jax.tree.unflatten(jax.tree.structure(data), jax.tree.leaves(other))
    update(state, same)
    assert update._cache_size() == 1
