"""Several devices: batches are cut along a mesh, everything else stands on each."""

import dataclasses
from collections import Counter

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from consilience.datasets.data import MultimodalData

PER_ROW = ("values", "present", "entries", "covariates")


def batch_mesh(mesh: Mesh | None, batch_size: int) -> Mesh | None:
    """The mesh of a training: XLA shares out (Auto), devices of a process stand together.

    Raises:
        TypeError: no mesh.
        ValueError: more than one axis; a batch that the devices do not divide; not as many
            devices of each process, or none of some; a context of explicit sharding.
    """
    if mesh is not None and not isinstance(mesh, Mesh):
        raise TypeError(
            "mesh: expected a jax.sharding.Mesh, such as jax.make_mesh((4,), ('data',)), "
            f"got {type(mesh).__name__}"
        )
    _check_processes(mesh)
    if mesh is None:
        return None
    if len(mesh.axis_names) != 1:
        raise ValueError(
            f"mesh: expected one axis, got {len(mesh.axis_names)}: "
            f"{', '.join(map(str, mesh.axis_names))}"
        )
    if batch_size % mesh.size:
        raise ValueError(
            f"batch_size: expected rows that the mesh's {mesh.size} devices divide, got "
            f"{batch_size}"
        )
    if AxisType.Explicit in jax.sharding.get_abstract_mesh().axis_types:
        raise ValueError(
            "mesh: expected no jax.set_mesh(...) with explicit axes around it, got one; "
            "leave it away, or give its mesh axis_types=(AxisType.Auto,)"
        )
    devices = sorted(mesh.devices.flat, key=lambda device: device.process_index)
    return Mesh(np.array(devices), mesh.axis_names)


def _check_processes(mesh: Mesh | None) -> None:
    count = jax.process_count()
    devices = () if mesh is None else mesh.devices.flat
    found = Counter(device.process_index for device in devices)
    if count > 1 and (len(found) < count or len(set(found.values())) > 1):
        got = ", ".join(str(found[process]) for process in range(count))
        raise ValueError(
            f"mesh: expected as many devices of each of the {count} processes, such as "
            f"jax.make_mesh(({jax.device_count()},), ('data',)), got {got}"
        )


def on_mesh(batch: MultimodalData, mesh: Mesh | None) -> MultimodalData:
    """A batch whose rows are cut along the mesh, if its devices divide them."""
    if mesh is None or batch.size % mesh.size:
        return batch
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    arrays = {name: getattr(batch, name) for name in PER_ROW}
    return dataclasses.replace(batch, **lax.with_sharding_constraint(arrays, rows))


def replicated(tree, mesh: Mesh | None):
    """The same tree with each array whole on every device, inside a program."""
    if mesh is None:
        return tree
    return lax.with_sharding_constraint(tree, _whole(mesh))


def place(tree, mesh: Mesh | None):
    """Put a tree of arrays whole on every device; each process has the same."""
    if mesh is None:
        return tree
    whole = _whole(mesh)
    if whole.is_fully_addressable:
        return jax.device_put(tree, whole)

    def put(x):  # device_put would send the array around, to compare it
        copies = [jax.device_put(x, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(x.shape, whole, copies)

    return jax.tree.map(put, tree)


def share(mesh: Mesh | None, batch_size: int) -> slice:
    """Which rows of every batch this process reads."""
    if mesh is None:
        return slice(None)
    rows = batch_size // mesh.size * len(mesh.local_devices)
    return slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)


def place_share(tree, mesh: Mesh | None):
    """Put chunks `[steps, rows, ...]`, of which each process has its share, on the mesh."""
    if mesh is None:
        return jax.device_put(tree)
    rows = NamedSharding(mesh, PartitionSpec(None, mesh.axis_names[0]))
    return jax.make_array_from_process_local_data(rows, tree)


def local(tree):
    """Each array whole on one device of this process; all processes ask together."""
    return jax.tree.map(_local, tree)


def _local(x):
    if not isinstance(x, jax.Array) or len(x.sharding.device_set) == 1:
        return x
    if not x.is_fully_replicated:
        x = jax.device_put(x, _whole(x.sharding.mesh))
    return x.addressable_data(0)


def _whole(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())
