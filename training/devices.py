"""Several devices: batches are cut along a mesh, everything else stands on each."""

import dataclasses

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from consilience.datasets.data import MultimodalData

PER_ROW = ("values", "present", "entries", "covariates")


def check_mesh(mesh: Mesh | None, batch_size: int) -> None:
    """Refuse what is no mesh of one axis, and a batch that it cannot share out.

    Raises:
        TypeError: no mesh.
        ValueError: more than one axis; a batch that the devices do not divide.
    """
    if mesh is None:
        return
    if not isinstance(mesh, Mesh):
        raise TypeError(
            "mesh: expected a jax.sharding.Mesh, such as jax.make_mesh((4,), ('data',)), "
            f"got {type(mesh).__name__}"
        )
    if len(mesh.axis_names) != 1:
        raise ValueError(f"mesh: expected one axis, got {', '.join(mesh.axis_names)}")
    if batch_size % mesh.size:
        raise ValueError(
            f"batch_size: expected a multiple of the mesh's {mesh.size} devices, got "
            f"{batch_size}"
        )


def on_mesh(batch: MultimodalData, mesh: Mesh | None) -> MultimodalData:
    """A batch whose rows are cut along the mesh, if they can be."""
    if mesh is None or batch.size % mesh.size:
        return batch
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    arrays = {name: getattr(batch, name) for name in PER_ROW}
    return dataclasses.replace(batch, **lax.with_sharding_constraint(arrays, rows))


def replicated(tree, mesh: Mesh | None):
    """The same tree with each array whole on every device, inside a program."""
    if mesh is None:
        return tree
    whole = NamedSharding(mesh, PartitionSpec())
    return lax.with_sharding_constraint(tree, whole)


def place(tree, mesh: Mesh | None):
    """Put a tree of arrays whole on every device of the mesh, of other processes too."""
    if mesh is None:
        return tree
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def place_share(tree, mesh: Mesh | None):
    """Put chunks `[steps, rows, ...]`, of which each process has its rows, on the mesh."""
    if mesh is None:
        return tree
    rows = NamedSharding(mesh, PartitionSpec(None, mesh.axis_names[0]))
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(rows, x), tree)
