"""Joint coherence: do modalities generated from the prior agree with one another?"""

from collections.abc import Callable, Mapping

import jax
import numpy as np
from jaxtyping import Array, Key

from consilience.datasets.data import MultimodalData
from consilience.evaluation.given import Mean, mean_of_rows
from consilience.evaluation.labels import check_classifiers, classified
from consilience.inference.contract import require_data
from consilience.inference.posterior import generate_from_prior
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive


@checked_kinds
def joint_coherence(
    rng_key: Key[Array, ""],
    model: Callable,
    params: dict,
    data: MultimodalData,
    classifiers: Mapping[str, Callable],
    *,
    num_samples: int = 1,
    mean: bool = False,
) -> Mean:
    """Share of prior draws on which the classifiers of all modalities agree.

    It says nothing of which classes are drawn: a model that knows only one scores 1.

    Args:
        rng_key: random key.
        model: p(x, z).
        params: its trained parameters.
        data: N rows, whose covariates the draws have; values and masks play no part.
        classifiers: as in `coherence`, two or more.
        num_samples: draws for each row of `data`.
        mean: judge E[x_t | z] in place of draws of x_t.

    Returns:
        the share with its standard error over rows.

    Raises:
        TypeError: `data` is no `MultimodalData`.
        ValueError: fewer than two classifiers, an unknown name, or answers that are not one
            a row.
    """
    require_data(data)
    check_positive(num_samples=num_samples)
    targets = check_classifiers(classifiers, data, least=2)
    share = np.zeros(data.size)
    for key in jax.random.split(rng_key, num_samples):
        made = generate_from_prior(key, model, params, data, mean=mean)
        said = np.stack([classified(classifiers, n, made[n][0]) for n in targets])
        share += (said == said[0]).all(0)
    return mean_of_rows(share / num_samples)
