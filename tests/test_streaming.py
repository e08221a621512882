"""Data on disk: the same rows, the same errors, the same training as in memory."""

import itertools
import threading
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from numpyro.infer import SVI
from numpyro.optim import Adam

import consilience as cs
from consilience.datasets import moments
from consilience.datasets.file_rows import FileRows, records
from consilience.datasets.moments import Moments
from consilience.datasets.stored_arrays import stored_rows
from consilience.datasets.stored_rows import IndexedRows
from consilience.datasets.stores import stream
from consilience.datasets.streaming import StreamedData
from consilience.training.order import Order
from consilience.training.sources import InMemory
from consilience.training.streaming import Streamed

ROWS, KEY = 41, jax.random.key(3)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, of five rows of these data."""
    monkeypatch.setattr(moments, "BLOCK", 5 * 8 * 16)


def arrays():
    """Floats with holes, whole numbers with a mask of entries, and a covariate."""
    generator = np.random.default_rng(0)
    genes = generator.normal(size=(ROWS, 4)).astype("f4")
    genes[generator.random(genes.shape) < 0.1] = np.nan
    counts = generator.poisson(3.0, (ROWS, 2, 2))
    entries = generator.random(counts.shape) < 0.9
    entries[:, 0, 0] = True
    genes[:, 0] = np.arange(ROWS)
    genes[7] = np.nan
    present = generator.random((ROWS, 2)) < 0.8
    present[7] = [False, True]
    present[~present.any(1), 1] = True
    return {
        "values": {"genes": genes, "counts": counts},
        "present": present,
        "covariates": {"age": generator.normal(size=ROWS)},
        "entries": {"counts": entries},
        "row_names": [f"cell {i}" for i in range(ROWS)],
        "feature_names": {"genes": list("abcd")},
    }


def in_memory():
    return cs.MultimodalData.from_arrays(**arrays())


def assert_same(a, b):
    def check(x, y):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype

    jax.tree.map(check, a, b)


def as_memory(path, array):
    return array


def as_npy(path, array):
    np.save(path / "x.npy", array)
    return np.load(path / "x.npy", mmap_mode="r")


def as_part_of_a_map(path, array):
    np.save(path / "x.npy", np.concatenate([array[:3], array, array[:2]]))
    return np.load(path / "x.npy", mmap_mode="r")[1:][2:-2]


def as_zarr(path, array):
    import zarr

    stored = zarr.create_array(
        path / "x.zarr", shape=array.shape, dtype=array.dtype, chunks=array.shape
    )
    stored[:] = array
    return stored


def as_hdf5(path, array, **settings):
    import h5py

    with h5py.File(path / "x.h5", "w") as file:
        file.create_dataset("x", data=array, **settings)
    return h5py.File(path / "x.h5", "r")["x"]


KINDS = {
    "memory": (as_memory, IndexedRows),
    "npy": (as_npy, FileRows),
    "part of a map": (as_part_of_a_map, FileRows),
    "zarr": (as_zarr, IndexedRows),
    "hdf5": (as_hdf5, FileRows),
    "hdf5 in chunks": (partial(as_hdf5, compression="gzip"), IndexedRows),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_container(kind, tmp_path):
    given, (store, reader) = arrays(), KINDS[kind]
    for group in ("values", "covariates", "entries"):
        for name, array in given[group].items():
            (tmp_path / group / name).mkdir(parents=True)
            given[group][name] = store(tmp_path / group / name, array)
    data, expected = StreamedData.from_arrays(**given), in_memory()
    assert {type(rows) for rows in data.stored.values.values()} == {reader}
    assert_same(data.schema, expected.take([0]))
    for rows in (np.array([40, 3, 3, 17, 0, 39, 11]), slice(3, 30), [5], slice(None)):
        assert_same(data.take(rows), expected.take(rows))
    rows = np.array([9, 2])
    assert_same(data.batch(rows), expected.batch(rows))
    assert_same(cs.MultimodalData.concatenate([b for _, b in data.blocks()]), expected)


def test_what_is_missing_in_one_row_only_gives_all_rows_a_mask():
    values = {"a": np.zeros((50, 3)), "b": np.ones((50, 2))}
    values["a"][49, 1] = np.nan
    data = StreamedData.from_arrays(values)
    expected = cs.MultimodalData.from_arrays(values)
    assert set(data.schema.entries) == {"a"}
    assert_same(data.schema, expected.take([0]))
    assert_same(data.take([2, 49]), expected.take([2, 49]))


def test_columns_of_one_file_are_read_together(tmp_path):
    """Neighbours, columns between that nobody wants, several axes, a field apart."""
    table = np.random.default_rng(2).normal(size=(ROWS, 12)).astype("f4")
    kinds = [("x", "f4", (3,)), ("y", ">f8"), ("z", "i2", (2, 2)), ("t", "u1")]
    packed = np.zeros(ROWS, kinds)
    packed["x"], packed["z"] = table[:, :3], np.arange(4 * ROWS).reshape(ROWS, 2, 2)
    packed["y"] = np.nan
    packed["y"][::2] = 0.5
    for name, array in {"table": table, "packed": packed}.items():
        np.save(tmp_path / f"{name}.npy", array)
    maps = {
        n: np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in ("table", "packed")
    }
    values = {
        "right": maps["table"][:, 7:],
        "left": maps["table"][:, :5],
        "ones": maps["packed"]["y"],
        "odd": maps["packed"]["x"],
        "pairs": maps["packed"]["z"],
        "again": np.load(tmp_path / "table.npy", mmap_mode="r")[1:][:, 2],
    }
    values["again"] = np.concatenate([values["again"], [0.0]])
    data, expected = StreamedData.from_arrays(values), from_arrays(values)
    groups = [set(group.arrays) for group in records(data.stored.values)]
    assert groups == [{"odd", "ones", "pairs"}, {"left", "right"}]
    for rows in (np.array([40, 3, 3, 17, 0]), slice(3, 30), slice(None)):
        assert_same(data.take(rows), expected.take(rows))


def test_masked_arrays_and_wide_types_are_read_as_the_container_reads_them():
    values = {
        "a": np.ma.array(np.arange(60.0).reshape(20, 3), mask=np.eye(20, 3, -9)),
        "b": np.arange(20.0).astype(">f8"),
        "c": np.arange(40).reshape(20, 2) % 3 == 0,
        "d": np.arange(20, dtype="u1")[:, None],
    }
    data, expected = (f(values) for f in (StreamedData.from_arrays, from_arrays))
    assert_same(data.take(slice(None)), expected)


from_arrays = cs.MultimodalData.from_arrays


def test_masks_of_numpy_are_saved_as_what_they_mean(tmp_path):
    mask = np.eye(9, 3, -2, dtype=bool)
    floats = StreamedData.from_arrays({"a": np.ma.array(np.ones((9, 3)), mask=mask)})
    floats.save(tmp_path / "floats")
    assert_same(stream(tmp_path / "floats").take([3, 2]), floats.take([3, 2]))
    whole = StreamedData.from_arrays(
        {"a": np.ma.array(np.ones((9, 3), int), mask=mask)}
    )
    with pytest.raises(ValueError, match="a: expected `entries` for missing whole"):
        whole.save(tmp_path / "whole")


def test_scaling_is_that_of_the_container_to_rounding(tmp_path):
    given = arrays()
    given["values"]["genes"] += 100.0
    given["values"]["genes"][:, 3] = 2.5  # never varies
    given["feature_names"] = None
    stored, expected = StreamedData.from_arrays(**given), from_arrays(**given)
    settings = {"log": ("counts",)}
    scaled, theirs = (d.standardize(**settings) for d in (stored, expected))
    for ours, other in zip(
        *(jax.tree.leaves(d.standardization) for d in (scaled, theirs)), strict=True
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-5)
    assert scaled.standardization.log == ("counts",)
    assert scaled.standardization.scale["genes"][3] == 1.0
    again, ours = expected.standardize(like=scaled.schema), scaled.take(slice(None))
    assert_same(ours.values["genes"], again.values["genes"])
    # XLA's log1p depends on an entry's place in the array by a rounding
    np.testing.assert_allclose(ours.values["counts"], again.values["counts"], atol=1e-6)
    assert_same(stored.standardize(like=theirs).standardization, theirs.standardization)
    only = stored.standardize(["genes"])
    assert set(only.standardization.loc) == {"genes"}


def test_moments_of_blocks_are_those_of_all():
    """Far from zero, where sums of squares would have no digit left."""
    generator = np.random.default_rng(1)
    x = 1e8 + generator.normal(size=(1000, 3))
    observed = generator.random(x.shape) < 0.7
    observed[:500, 2] = False
    cuts = [0, 1, 17, 500, 900, 1000]
    merged = Moments.of(x[:0], observed[:0])
    for start, stop in itertools.pairwise(cuts):
        merged = merged.merge(Moments.of(x[start:stop], observed[start:stop]))
    hidden = np.ma.array(x, mask=~observed)
    np.testing.assert_allclose(merged.mean, hidden.mean(0), rtol=1e-15)
    np.testing.assert_allclose(merged.scale(), hidden.std(0), rtol=1e-7)
    np.testing.assert_array_equal(merged.count, observed.sum(0))


def folder(path: Path) -> Path:
    """As `np.savez` would call them."""
    given = arrays()
    path.mkdir()
    files = dict(given["values"]) | {"covariate_age": given["covariates"]["age"]}
    files |= {"mask_counts": given["entries"]["counts"]}
    files |= {"present": given["present"][:, ::-1]}  # in alphabetical order
    files |= {"row_names": np.array(given["row_names"])}
    files |= {"features_genes": np.array(given["feature_names"]["genes"])}
    for name, array in files.items():
        np.save(path / f"{name}.npy", array)
    return path


def test_a_folder_is_streamed_in_the_order_that_is_asked_for(tmp_path):
    path, expected = folder(tmp_path / "data"), in_memory()
    data = stream(path, modalities=["genes", "counts"])
    assert_same(data.take(slice(None)), expected)
    assert data.row_names == expected.row_names
    assert stream(path).names == ("counts", "genes")
    one = stream(path, modalities={"rna": "genes"}, allow_empty_rows=True)
    np.testing.assert_array_equal(one.present[:, 0], expected.present[:, 0])


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_a_zarr_group_has_the_same_names(tmp_path):
    import zarr

    files = {p.stem: np.load(p) for p in folder(tmp_path / "data").iterdir()}
    group = zarr.create_group(tmp_path / "data.zarr")
    for name, array in files.items():
        group.create_array(name, data=array)
    data = stream(tmp_path / "data.zarr", modalities=["genes", "counts"])
    assert_same(data.take(slice(None)), in_memory())


def test_what_was_saved_is_streamed(tmp_path):
    data = StreamedData.from_arrays(**arrays())
    data.standardize().save(tmp_path / "saved")
    again, rows = stream(tmp_path / "saved"), np.array([8, 3, 40])
    for index in (slice(None), rows):
        assert_same(again.take(index), data.take(index))
    (together,) = records(again.stored.arrays)
    assert set(together.arrays) == set(data.stored.arrays)
    with pytest.raises(ValueError, match="folder: expected a new or empty one"):
        data.save(tmp_path / "saved")


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # of anndata
@pytest.mark.parametrize("sparse", [False, True])
def test_annotated_matrices_stay_on_disk(sparse, tmp_path):
    import pandas
    import scipy.sparse
    from anndata import AnnData

    counts = np.random.default_rng(0).poisson(1.0, (ROWS, 5)).astype("f4")
    names = [f"cell {i}" for i in range(ROWS)]
    obs = pandas.DataFrame(index=names)
    var = pandas.DataFrame(index=list("abcde"))
    matrix = scipy.sparse.csr_matrix(counts) if sparse else counts
    cells = AnnData(matrix, obs, var, obsm={"pca": counts[:, :2] + 1.0})
    cells.layers["more"] = matrix + matrix
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    wanted = {"rna": "X", "twice": "layers/more", "pca": "obsm/pca"}
    data = stream(path, modalities=wanted)
    values = {"rna": counts, "twice": 2 * counts, "pca": counts[:, :2] + 1.0}
    features = {"rna": list("abcde"), "twice": list("abcde")}
    expected = from_arrays(values, row_names=names, feature_names=features)
    assert_same(data.take(slice(None)), expected)
    rows = np.array([30, 2, 2, 11])
    assert_same(data.take(rows), expected.take(rows))
    assert stream(path).names == ("X",)
    kind = IndexedRows if sparse else FileRows
    assert isinstance(data.stored.values["rna"], kind)
    import anndata

    backed = anndata.read_h5ad(path, backed="r")
    assert_same(
        StreamedData.from_arrays({"rna": backed.X}).take([4]).values["rna"], counts[[4]]
    )
    backed.file.close()


def spoilt(argument, name, place, value):
    given = arrays()
    given[argument][name] = given[argument][name].astype(float)
    given[argument][name][place] = value
    return given


REFUSED = {
    "infinite": (
        lambda: spoilt("values", "genes", (33, 2), np.inf) | {"present": None},
        r"values\['genes'\]: row 33 \('cell 33'\), column 2 \('c'\): expected a finite",
    ),
    "covariate": (
        lambda: spoilt("covariates", "age", 28, np.nan),
        r"covariates\['age'\]: row 28 \('cell 28'\): .* always known",
    ),
    "nothing present": (
        lambda: arrays() | {"present": np.arange(ROWS)[:, None] < [0, 30]},
        r"values: row 30 \('cell 30'\) \(11 in all\): expected at least one present",
    ),
    "present but empty": (
        lambda: (
            spoilt("values", "genes", 39, np.nan)
            | {"present": np.arange(ROWS)[:, None] > [38, -1]}
        ),
        r"present: modality 'genes', row 39 \('cell 39'\): expected at least one meas",
    ),
    "too large": (
        lambda: spoilt("values", "genes", (40, 1), 1e300) | {"present": None},
        r"values\['genes'\]: row 40 \('cell 40'\), column 1 .* fits float32",
    ),
    "rows": (
        lambda: (
            arrays()
            | {"values": {"a": np.ones((41, 2)), "b": np.ones((40, 2))}}
            | {"entries": None, "feature_names": None}
        ),
        r"values\['b'\]: expected 41 rows as in the first modality, got shape \(40, 2\)",
    ),
    "covariate's rows": (
        lambda: arrays() | {"covariates": {"age": np.ones(3)}},
        r"covariates\['age'\]: expected 41 rows as in the first modality",
    ),
    "text": (
        lambda: arrays() | {"covariates": {"sex": np.array(["f"] * ROWS)}},
        r"covariates\['sex'\]: expected floats, integers or booleans, got dtype <U1",
    ),
    "unknown": (
        lambda: arrays() | {"entries": {"proteins": np.ones((ROWS, 4), bool)}},
        r"entries: expected names among genes, counts, got 'proteins'",
    ),
    "shape of present": (
        lambda: arrays() | {"present": np.ones((ROWS, 3), bool)},
        r"present: expected shape \(41, 2\), got \(41, 3\)",
    ),
    "names": (
        lambda: arrays() | {"row_names": ["a"] * ROWS},
        r"row_names: expected unique names, got 'a' twice",
    ),
    "reserved": (
        lambda: {"values": {"z": np.ones((ROWS, 3))}},
        r"values: 'z' is reserved",
    ),
    "no rows": (
        lambda: {"values": {"a": np.ones((0, 3))}},
        r"values\['a'\]: expected an array with rows, got shape \(0, 3\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_row_of_all(case):
    given, match = REFUSED[case]
    with pytest.raises(ValueError, match=match):
        StreamedData.from_arrays(**given())


def test_a_logarithm_that_is_none_is_refused_with_its_row():
    given = arrays()
    counts = given["values"]["counts"].astype(float)
    fine = StreamedData.from_arrays({"counts": counts + 1.0}).standardize(
        log=["counts"]
    )
    counts[37, 1, 0] = -1.0
    data = StreamedData.from_arrays({"counts": counts})
    match = r"modality 'counts': row 37, column \(1, 0\): expected a value above −1"
    with pytest.raises(ValueError, match=match):
        data.standardize(log=["counts"])
    with pytest.raises(ValueError, match=match):
        data.standardize(like=fine)


def test_arrays_by_columns_are_refused(tmp_path):
    import scipy.sparse

    np.save(tmp_path / "x.npy", np.asfortranarray(np.ones((5, 3))))
    for array in (
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        scipy.sparse.csc_matrix(np.ones((5, 3))),
    ):
        with pytest.raises(ValueError, match="x: expected an array whose rows are"):
            stored_rows("x", array)


def test_a_file_that_was_cut_off_is_an_error_not_a_crash(tmp_path):
    data = StreamedData.from_arrays({"a": as_npy(tmp_path, np.ones((20, 3)))})
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(300)
    with pytest.raises(OSError, match=r"x\.npy: expected 20 rows of 24 bytes"):
        data.read(np.array([3, 19]))
    with pytest.raises(ValueError, match=r"x\.npy: expected a whole \.npy file"):
        stream(tmp_path)


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="source: expected a file or folder"):
        stream(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"expected a file \.npy for each modality"):
        stream(tmp_path)
    (tmp_path / "notes.md").write_text("")
    with pytest.raises(ValueError, match=r"notes\.md: expected \.npy files only"):
        stream(tmp_path)
    with pytest.raises(ValueError, match=r"source: expected a folder of .* got notes"):
        stream(tmp_path / "notes.md")
    (tmp_path / "cells.h5ad").write_text("no")
    with pytest.raises(ValueError, match=r"cells\.h5ad: expected a whole \.h5ad file"):
        stream(tmp_path / "cells.h5ad")
    (tmp_path / "notes.md").unlink()
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy: expected a whole \.npy .* objects"):
        stream(tmp_path, modalities=["x"])


def test_rows_that_there_are_not_are_refused():
    data = StreamedData.from_arrays(**arrays())
    for rows in ([3, ROWS], [-1, 3]):
        with pytest.raises(
            IndexError, match="rows: expected numbers from 0 to 40, got"
        ):
            data.read(np.array(rows))


@pytest.fixture
def streamed(tmp_path):
    data = stream(folder(tmp_path / "data"), modalities=["genes", "counts"])
    return data.standardize()


@pytest.fixture
def sources(streamed):
    order = Order(KEY, ROWS, 8)
    both = Streamed(streamed, order), InMemory(streamed.take(slice(None)), order)
    yield both
    both[0].close()


def batches(source, epoch, start, stop):
    chunk = source.chunk(epoch, start, stop)
    take = partial(source.take, source.resident)
    return jax.jit(lambda chunk: jax.lax.map(take, chunk))(chunk)


def test_batches_are_those_of_memory_from_any_step(sources):
    """In order, over an epoch's end, again, from the middle, in other pieces."""
    for place in [(0, 0, 4), (0, 4, 6), (1, 0, 4), (1, 0, 4), (5, 3, 5), (5, 5, 6)]:
        ours, theirs = (batches(source, *place) for source in sources)
        assert_same(ours, theirs)
        assert ours.total == ROWS


def test_processes_read_their_shares(streamed, sources):
    parts = [
        Streamed(streamed, sources[0].order, share=share)
        for share in (slice(0, 3), slice(3, 8))
    ]
    first, second = (part.chunk(2, 1, 3) for part in parts)
    together = jax.tree.map(lambda *x: np.concatenate(x, 1), first, second)
    assert_same(together, sources[0].chunk(2, 1, 3))
    for part in parts:
        part.close()


def reading():
    return [t for t in threading.enumerate() if "grain" in t.name]


def assert_quiet():
    for thread in reading():
        thread.join(20.0)
    assert not reading()


def test_threads_end_with_the_epoch_or_when_closed(sources):
    source, steps = sources[0], sources[0].order.num_steps
    source.chunk(0, 0, 2)
    assert reading()
    source.chunk(0, 2, steps)
    assert_quiet()
    source.chunk(1, 0, 2)
    source.close()
    assert_quiet()
    source.close()


def test_an_error_while_reading_reaches_the_training(streamed, tmp_path):
    source = Streamed(streamed, Order(KEY, ROWS, 8))
    with open(tmp_path / "data" / "genes.npy", "r+b") as file:
        file.truncate(200)
    with pytest.raises(OSError, match=r"genes\.npy: expected 41 rows"):
        source.chunk(0, 0, 4)
    source.close()
    assert_quiet()


def test_chunks_are_of_tolerable_size(streamed, monkeypatch):
    monkeypatch.setattr("consilience.training.streaming.CHUNK", 3000)
    row = 4 * 4 + 4 + 4 * 4 + 4 + 2 + 4  # values, masks of both, present, age
    assert Streamed(streamed, Order(KEY, ROWS, 8)).most_steps == 3000 // (8 * row)
    assert Streamed(streamed, Order(KEY, ROWS, 41)).most_steps == 3000 // (41 * row)


MAPS = Path("/proc/self/maps")


@pytest.mark.skipif(not MAPS.exists(), reason="memory maps are listed by Linux only")
def test_files_are_read_not_mapped(sources):
    """A map's pages would be resident memory, as large as the file."""
    sources[0].chunk(0, 0, 2)
    assert "genes.npy" not in MAPS.read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:fit. neither model nor guide reads the covariate age"
)
def test_training_is_that_in_memory_and_resumes_in_an_epoch(streamed, tmp_path):
    """To the last bit, in steps of two, stopped behind the eighth of twelve."""
    prior, likelihood = cs.standard_normal(2), cs.NormalLikelihood()
    model = cs.multimodal_model(prior, likelihood, cs.LinearDecoder)
    encoder = partial(cs.MLPEncoder, hidden=())
    guide = cs.amortized_guide(2, encoder, cs.ProductOfExperts, num_features=5)
    svi = SVI(model, guide, Adam(1e-2), cs.MaskedELBO())

    def fit(data, folder, **resume):
        kept = cs.Checkpoints(tmp_path / folder, every_steps=2, keep=99, **resume)
        settings = {"num_epochs": 2, "batch_size": 8, "progress": False}
        fitted = cs.fit(KEY, svi, data, checkpoints=kept, **settings)
        return fitted.params, fitted.history.bound

    whole = fit(streamed, "whole")
    assert_same(whole, fit(streamed.take(slice(None)), "memory"))
    steps = sorted((tmp_path / "whole").glob("step-*.npz"))
    assert len(steps) == 6
    (tmp_path / "again").mkdir()
    for path in steps[:4]:
        path.rename(tmp_path / "again" / path.name)
    assert_same(whole, fit(streamed, "again", resume=True))
    assert_quiet()
