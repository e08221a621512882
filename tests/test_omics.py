"""AnnData and MuData, in memory and as files."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import consilience as cs
from consilience.datasets import read_anndata

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of these packages about coming versions of pandas
    import anndata
    import mudata

pytestmark = pytest.mark.filterwarnings(
    "ignore::Warning:anndata", "ignore::Warning:mudata"
)

CELLS, GENES = [f"c{i}" for i in range(5)], ["g1", "g2", "g3"]
RNG = np.random.default_rng(0)
LOGS, COUNTS = RNG.gamma(1.0, size=(5, 3)), RNG.poisson(1.0, (5, 3))
PROTEINS = RNG.normal(size=(5, 2)).astype(np.float32)
OTHER = RNG.normal(size=(4, 2)).astype(np.float32)


def cells(kind=sparse.csr_matrix):
    obs = pd.DataFrame({"batch": [*"ABABA"], "age": range(5)}, index=CELLS)
    found = anndata.AnnData(kind(LOGS), obs=obs, var=pd.DataFrame(index=GENES))
    found.layers["counts"] = kind(COUNTS)
    found.obsm["protein"] = pd.DataFrame(PROTEINS, index=CELLS, columns=["p", "q"])
    found.obsm["X_pca"] = PROTEINS[:, ::-1]
    return found


def several():
    obs = pd.DataFrame({"depth": [1.0, 2.0, 3.0, 4.0]}, index=["c3", "c1", "c7", "c8"])
    atac = anndata.AnnData(OTHER, obs=obs, var=pd.DataFrame(index=["p1", "p2"]))
    return mudata.MuData({"rna": cells(), "atac": atac})


@pytest.mark.parametrize(
    "kind",
    [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array],
)
def test_one_matrix_is_one_modality(kind):
    data = cs.read(cells(kind))
    assert data.names == ("X",)
    assert data.row_names == tuple(CELLS)
    assert data.feature_names == (tuple(GENES),)
    np.testing.assert_array_equal(data.values["X"], LOGS.astype(np.float32))
    assert data.covariates == {}
    assert cs.read_arrays(cells(kind)).values["X"].dtype == np.float64


def test_layers_multiples_and_annotations():
    parts = {"rna": "layers/counts", "protein": "obsm/protein", "pca": "obsm/X_pca"}
    codes = {"batch": ["A", "B"]}
    wanted = {"modalities": parts, "covariates": ["batch", "age"], "categories": codes}
    data = cs.read(cells(), **wanted)
    assert data.names == ("rna", "protein", "pca")
    assert data.feature_names == (tuple(GENES), ("p", "q"), ())
    assert data.values["rna"].dtype == np.int32  # counts
    np.testing.assert_array_equal(data.values["rna"], COUNTS)
    np.testing.assert_array_equal(data.values["protein"], PROTEINS)
    np.testing.assert_array_equal(data.values["pca"], PROTEINS[:, ::-1])
    np.testing.assert_array_equal(data.covariates["batch"], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(data.covariates["age"], range(5))


def test_categories_do_not_depend_on_which_cells_are_there():
    """AnnData forgets categories that a part has not; ours are given."""
    part = cells()[[1, 3]].copy()
    wanted = {"covariates": ["batch"], "categories": {"batch": ["A", "B"]}}
    np.testing.assert_array_equal(cs.read(part, **wanted).covariates["batch"], [1, 1])


def test_nan_is_missing():
    source = cells(np.asarray)
    source.X[1, 2] = np.nan
    observed = np.asarray(cs.read(source).observed("X"))
    assert np.argwhere(~observed).tolist() == [[1, 2]]


def test_cells_of_several_matrices_are_united():
    data = cs.read(several())
    assert data.names == ("rna", "atac")
    assert data.row_names == (*CELLS, "c7", "c8")
    expected = [[1, 0], [1, 1], [1, 0], [1, 1], [1, 0], [0, 1], [0, 1]]
    np.testing.assert_array_equal(data.present, expected)
    np.testing.assert_array_equal(np.asarray(data.values["atac"])[[3, 1, 5, 6]], OTHER)


def test_parts_of_several_matrices():
    parts = {"counts": "rna/layers/counts", "atac": "atac"}
    data = cs.read(several(), modalities=parts, samples="intersection")
    assert (data.names, data.row_names) == (("counts", "atac"), ("c1", "c3"))
    np.testing.assert_array_equal(data.values["counts"], COUNTS[[1, 3]])
    np.testing.assert_array_equal(data.values["atac"], OTHER[[1, 0]])
    found = cs.read(
        several(),
        modalities=parts,
        samples="intersection",
        covariates=["atac:depth", "rna:age"],
    )
    np.testing.assert_array_equal(found.covariates["atac:depth"], [2, 1])
    np.testing.assert_array_equal(found.covariates["rna:age"], [1, 3])


def test_files_say_what_objects_say(tmp_path):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    several().write_h5mu(tmp_path / "several.h5mu")
    for file, source in (("cells.h5ad", cells()), ("several.h5mu", several())):
        ours, theirs = cs.read(tmp_path / file), cs.read(source)
        assert ours.row_names == theirs.row_names
        assert ours.feature_names == theirs.feature_names
        np.testing.assert_array_equal(ours.present, theirs.present)
        for name in theirs.names:
            np.testing.assert_array_equal(ours.values[name], theirs.values[name])
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(
        cs.read(backed).values["X"], cs.read(cells()).values["X"]
    )
    backed.file.close()


def broken(change):
    source = cells()
    change(source)
    return source


def infinite(source):
    source.X = sparse.csr_matrix(
        np.where(np.arange(15).reshape(5, 3) == 7, np.inf, LOGS)
    )


def twice(field, names):
    return lambda source: setattr(source, field, names)


REFUSED = [
    (infinite, {}, r"AnnData\['X'\]: sample 'c2', column 'g2': expected a finite.*inf"),
    (
        twice("var_names", ["g", "g", "h"]),
        {},
        r"AnnData\['X'\]: expected each column once, got 'g' as columns 0 and 1",
    ),
    (
        twice("obs_names", [*"aabcd"]),
        {},
        r"AnnData\['X'\]: expected each sample once, got 'a' in rows 0 and 1",
    ),
    (
        lambda source: None,
        {"modalities": ["layer/counts"]},
        r"modalities: .*X, layers/counts, obsm.*got 'layer/counts' \(did you mean 'layers/",
    ),
    (
        lambda source: None,
        {"covariates": ["bach"]},
        r"covariates: expected columns of AnnData.obs \(batch, age\).*did you mean 'batch'",
    ),
    (
        lambda source: None,
        {"covariates": ["batch"]},
        r"AnnData.obs: covariate 'batch': expected numbers, got 'A', 'B'; give categories",
    ),
    (
        lambda source: None,
        {"covariates": {"age": np.ones(5)}},
        r"covariates: expected a DataFrame whose index has the sample ids",
    ),
    (
        lambda source: None,
        {"id_column": "x"},
        r"id_column: expected it with files of tab",
    ),
]


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(("change", "arguments", "message"), REFUSED)
def test_what_is_refused(change, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cs.read(broken(change), **arguments)


def test_lists_name_parts_by_their_last_word():
    data = cs.read(several(), modalities=["rna/layers/counts", "atac"])
    assert data.names == ("counts", "atac")
    with pytest.raises(ValueError, match="each name once, got 'X' twice"):
        cs.read(several(), modalities=["rna/X", "atac/X"])


def test_a_covariate_that_some_cells_lack_is_refused():
    with pytest.raises(
        ValueError, match=r"'atac:depth': sample 'c0' \(3 in all\).*known"
    ):
        cs.read(several(), covariates=["atac:depth"])


def test_matrices_without_numbers_are_refused():
    empty = anndata.AnnData(obs=pd.DataFrame(index=CELLS))
    with pytest.raises(ValueError, match=r"expected a matrix, got none; name a layer"):
        cs.read(empty)


def test_enormous_matrices_are_not_made_dense(monkeypatch):
    monkeypatch.setattr(read_anndata, "MOST_BYTES", 100)
    with pytest.raises(
        ValueError, match=r"AnnData\['X'\]: expected .* when dense; choose"
    ):
        cs.read(cells())
    assert cs.read(cells(), modalities=["obsm/X_pca"]).names == ("X_pca",)


@pytest.mark.parametrize("suffix", [".h5ad", ".h5mu"])
def test_damaged_and_foreign_files_are_refused(suffix, tmp_path):
    path = tmp_path / f"file{suffix}"
    (several() if suffix == ".h5mu" else cells()).write(path)
    whole = path.read_bytes()
    for contents in (whole[: len(whole) // 2], b"", b"hello"):
        path.write_bytes(contents)
        with pytest.raises(
            ValueError, match=rf"file{suffix}: expected a whole {suffix} fi"
        ):
            cs.read(path)
    (cells() if suffix == ".h5mu" else several()).write(path)
    with pytest.raises(ValueError, match=rf"file{suffix}: expected"):
        cs.read(path)


@pytest.mark.parametrize(
    ("suffix", "package"), [(".h5ad", "anndata"), (".h5mu", "mudata")]
)
def test_without_the_package_it_says_what_to_install(
    suffix, package, tmp_path, monkeypatch
):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf"{package}; pip install 'consilience\[omics\]'"
    ):
        cs.read(path)
