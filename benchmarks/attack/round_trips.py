"""Written and read again: the same numbers and names."""

import numpy as np
import pandas as pd

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import holds, measured

IDS = (
    "0012",
    "1e5",
    "NA",
    "nan",
    "null",
    "True",
    "a,b",
    'say "so"',
    "two\nlines",
    "tab\there",
    " blank",
    "ünï",
    "日本",
    "'",
    "#1",
    "=1+1",
    "-",
    "a;b",
    "C:\\x",
    "1",
    "1.0x",
    "a/b",
    "\\N",
    "'x'",
)


def odd(rng, count: int = 6) -> pd.DataFrame:
    """Numbers with all their digits under odd names."""
    ids = list(rng.choice(IDS, count, replace=False))
    columns = list(rng.choice(IDS, 3, replace=False))
    x = rng.normal(size=(count, 3)).astype(np.float32)
    x[:, 1:] *= 10.0 ** rng.integers(-20, 20, (count, 2))
    x[1, 1] = np.nan
    return pd.DataFrame(x.astype(float), ids, columns)


@mechanism("round trip: written and read again", 18, quick=3)
def frames(rng, seed):
    """`write_frames` and `read`: ids are text, whatever they look like."""
    suffix = (".csv", ".tsv", ".parquet")[seed % 3]
    table = {"genes": odd(rng), "other": odd(rng)}
    table["other"].index = table["genes"].index[::-1]

    def run(folder):
        cs.write_frames(table, folder, suffix)
        return cs.read(folder)

    about = f"{suffix}: {list(table['genes'].index)} × {list(table['genes'])}"
    return Case(about, run, holds(table), (r"genes|other",))


@mechanism("round trip: of a data set", 8, quick=2)
def of_data(rng, seed):
    frame = odd(rng)

    def run(folder):
        data = cs.read({"a": frame})
        values = {
            "a": np.where(np.isnan(measured(data, "a")), np.nan, data.values["a"])
        }
        cs.write_frames(
            cs.to_frames(values, data), folder, (".csv", ".parquet")[seed % 2]
        )
        return cs.read(folder)

    return Case(f"{list(frame.index)}", run, holds({"a": frame}), None)


@mechanism("round trip: wrong calls", 8)
def calls(rng, seed):
    data = cs.MultimodalData.from_arrays({"a": rng.normal(size=(4, 2))})
    x = np.asarray(data.values["a"])
    frame = pd.DataFrame(x)

    def there(folder):
        (folder / "a.csv").write_text("x")
        return folder / "a.csv"

    call, words = (
        (lambda f: cs.to_frames({"a": x[None]}, data), "'a'"),
        (lambda f: cs.to_frames({"b": x}, data), "'b'"),
        (lambda f: cs.to_frames({"a": x[:3]}, data), "'a'"),
        (lambda f: cs.write_frame(frame, f / "a.xlsx"), "path"),
        (lambda f: cs.write_frame(frame, there(f)), "path"),
        (lambda f: cs.write_frame(frame, f / "no" / "a.csv"), "no"),
        (lambda f: cs.write_frames({"a": frame}, f, ".txt"), "path"),
        (lambda f: cs.write_frame(frame, f), "path"),
    )[seed % 8]
    return Case(f"call {seed % 8}", call, None, (words,))


@mechanism("round trip: float64 of a file", 6)
def precise(rng, seed):
    """`read_arrays` has every digit of the file."""
    from attack.tables import text, write

    x = pd.DataFrame(
        rng.normal(size=(5, 2)) * 10.0 ** rng.integers(-9, 9, (5, 2)),
        [f"s{i}" for i in range(5)],
        ["u", "v"],
    )

    def right(got):
        np.testing.assert_allclose(
            np.asarray(got.values["a"]), x.to_numpy(), rtol=4e-16
        )

    return Case(
        "17 digits",
        lambda folder: cs.read_arrays(write(folder, {"a.csv": text(x)})),
        right,
        None,
    )
