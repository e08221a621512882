"""Coherence on the digits: does what is generated show the digit that was given?"""

from typing import NamedTuple

import jax
import numpy as np
from rich.table import Table

from consilience.datasets import MultimodalData
from consilience.evaluation import (
    Coherence,
    Mean,
    classifier_accuracy,
    coherence,
    joint_coherence,
    train_classifiers,
)
from consilience.training import Fitted


class DigitCoherence(NamedTuple):
    """What classifiers trained on the training rows say of generated digits.

    Attributes:
        table: by given subset and generated modality, of expectations E[x_t | z].
        joint: of prior draws.
        real: accuracy on the test rows themselves, by modality.
        real_joint: share of test rows that all classifiers read as one digit.
    """

    table: Coherence
    joint: Mean
    real: dict[str, Mean]
    real_joint: float

    def summary(self) -> dict:
        """All figures, for JSON."""
        return {
            "by_subset": self.table.to_dataframe().to_dict("records"),
            "averages": {k: m._asdict() for k, m in self.table.averages().items()},
            "joint": self.joint._asdict(),
            "classifiers_on_test_rows": {n: m._asdict() for n, m in self.real.items()},
            "joint_on_test_rows": self.real_joint,
        }


def measure(
    rng_key, fitted: Fitted, train: MultimodalData, test: MultimodalData
) -> DigitCoherence:
    """Train classifiers, generate from every kind of subset and from the prior."""
    key_train, key_table, key_joint = jax.random.split(rng_key, 3)
    labels = test.covariates["label"]
    classifiers = train_classifiers(
        key_train, train, train.covariates["label"], num_epochs=50
    )
    settings = {"num_samples": 10, "mean": True}
    programs = (fitted.model, fitted.guide, fitted.params, test)
    read = np.stack([classifiers[n](test.values[n]) for n in test.names])
    return DigitCoherence(
        coherence(key_table, *programs, labels, classifiers, **settings),
        joint_coherence(
            key_joint, fitted.model, fitted.params, test, classifiers, **settings
        ),
        classifier_accuracy(classifiers, test, labels),
        float((read == read[0]).all(0).mean()),
    )


def table(found: DigitCoherence) -> Table:
    """One line for each given subset, one column for each generated modality."""
    names = found.table.targets
    shown = Table(
        title="Coherence: generated modalities read as the true digit",
        caption=(
            "Test rows; generated are means of p(x | z) for draws z ~ q(z | x_S). "
            f"Standard errors: at most {np.max(found.table.standard_error):.1%}. The "
            "classifiers, trained on the training rows, see one modality alone; what is "
            "generated from more than that may be easier to read than real values."
        ),
    )
    shown.add_column("given S", no_wrap=True)
    for name in names:
        shown.add_column(name.replace("_", "\n"), justify="right", vertical="bottom")
    for given, values in zip(found.table.given, found.table.value, strict=True):
        shown.add_row(
            _in_words(given, found.table.names), *(f"{v:.0%}" for v in values)
        )
    shown.add_section()
    shown.add_row("real values", *(f"{found.real[n].value:.0%}" for n in names))
    return shown


def averages(found: DigitCoherence) -> str:
    """The figures that the literature reports, in a sentence."""
    means = {kind: _percent(mean) for kind, mean in found.table.averages().items()}
    return (
        f"Coherence of a modality from itself {means['self']}, from one other "
        f"{means['cross']}, from all others {means['leave_one_out']}. All five agree in "
        f"{_percent(found.joint)} of draws from the prior, in {found.real_joint:.1%} of "
        "real rows."
    )


def _in_words(given: tuple[str, ...], names: tuple[str, ...]) -> str:
    rest = [name for name in names if name not in given]
    words = {0: "all five", 1: f"all but {''.join(rest[:1])}"}
    return words.get(len(rest), " + ".join(given)).replace("_", " ")


def _percent(mean: Mean) -> str:
    return f"{mean.value:.1%} ± {mean.standard_error:.1%}"
