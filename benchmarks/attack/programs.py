"""Programs of a user's with a mistake in them: refused before anything is trained."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro import handlers
from numpyro.infer import SVI

import consilience as cs
from attack.case import Case, mechanism
from attack.linear import WIDTHS, guide, model, rows
from attack.tables import accept

normal = lambda n: dist.Normal(0, 1).expand([n]).to_event(1)  # noqa: E731


def by(z, name):
    """What the decoder says."""
    return z @ numpyro.param(f"w.{name}", jnp.full((1, WIDTHS[name]), 0.5))


def no_plate(data, subset=None):
    z = numpyro.sample("z", normal(1).expand([data.size]))
    for name in WIDTHS:
        cs.observe(data, name, dist.Normal(by(z, name), 1.0), subset)


def own_plate(data, subset=None):
    with numpyro.plate("rows", data.size):
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z, name), 1.0), subset)


def same_name_plate(data, subset=None):
    """Called as it should be, but of the batch: nothing is scaled up to all rows."""
    with numpyro.plate("data", data.size):
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z, name), 1.0), subset)


def one_unobserved(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        cs.observe(data, "a", dist.Normal(by(z, "a"), 1.0), subset)


def observed_twice(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in ("a", "a", "b"):
            cs.observe(data, name, dist.Normal(by(z, name), 1.0), subset)


def other_width(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(jnp.tile(by(z, name), 2), 1.0), subset)


def one_row(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z, name)[0], 1.0), subset)


def extra_latent(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        u = numpyro.sample("u", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z + u, name), 1.0), subset)


def discrete_latent(data, subset=None):
    with data.plate():
        c = numpyro.sample("c", dist.Bernoulli(0.5))
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z + c[:, None], name), 1.0), subset)


def raw_observation(data, subset=None):
    """Missing modalities count as zeros."""
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            numpyro.sample(
                name, dist.Normal(by(z, name), 1.0).to_event(1), obs=data.values[name]
            )


def raw_filled(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            numpyro.sample(
                name, dist.Normal(by(z, name), 1.0).to_event(1), obs=data.filled(name)
            )


def masked_by_present_only(data, subset=None):
    """Single entries that are missing count as zeros."""
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for i, name in enumerate(data.names):
            with handlers.mask(mask=data.subset(subset)[:, i]):
                numpyro.sample(
                    name,
                    dist.Normal(by(z, name), 1.0).to_event(1),
                    obs=data.filled(name),
                )


def scaled(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            with handlers.scale(scale=0.5):
                cs.observe(data, name, dist.Normal(by(z, name), 1.0), subset)


def factor(data, subset=None):
    """A penalty that a bound would not count."""
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z, name), 1.0), subset)
    numpyro.factor("penalty", -100.0 * (z**2).sum())


def parameter_of_a_modality(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        shift = numpyro.param("a", jnp.zeros(2))
        cs.observe(data, "a", dist.Normal(by(z, "a") + shift, 1.0), subset)
        cs.observe(data, "b", dist.Normal(by(z, "b"), 1.0), subset)


def parameter_of_a_latent(data, subset=None):
    numpyro.param("z", jnp.zeros(1))
    model(data, subset)


def deterministic_of_a_modality(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        numpyro.deterministic("a", z)
        cs.observe(data, "b", dist.Normal(by(z, "b"), 1.0), subset)


def no_arguments():
    return None


def one_argument(data):
    model(data)


def none_distribution(data, subset=None):
    with data.plate():
        numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, None, subset)


def unknown_modality(data, subset=None):
    model(data, subset)
    with data.plate():
        cs.observe(data, "c", dist.Normal(jnp.zeros((data.size, 1)), 1.0), subset)


def improper(data, subset=None):
    """A scale below 0 from the start."""
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z, name), -1.0), subset)


def not_a_number(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(jnp.log(by(z, name) - 1e9), 1.0), subset)


def guide_extra(data, subset=None):
    guide(data, subset)
    with data.plate():
        numpyro.sample("u", normal(1))


def guide_renamed(data, subset=None):
    with data.plate():
        numpyro.sample("zz", normal(1))


def guide_wider(data, subset=None):
    with data.plate():
        numpyro.sample("z", normal(2))


def any_width(data, subset=None):
    """A model that takes what comes."""
    with data.plate():
        z = numpyro.sample("z", normal(1))
        for name in WIDTHS:
            cs.observe(data, name, dist.Normal(by(z[..., :1], name), 1.0), subset)


def guide_without_plate(data, subset=None):
    numpyro.sample("z", normal(1).expand([data.size]))


def guide_discrete(data, subset=None):
    with data.plate():
        numpyro.sample("z", dist.Poisson(1.0).expand([1]).to_event(1))


def guide_one_for_all(data, subset=None):
    numpyro.sample("z", normal(1))


def guide_positive(data, subset=None):
    """Draws of one side only of the prior's support: the bound is of another prior."""
    with data.plate():
        numpyro.sample("z", dist.Delta(jnp.zeros((data.size, 1)), event_dim=1))


def guide_parameter_of_a_modality(data, subset=None):
    numpyro.param("a", jnp.zeros((data.size, 2)))
    guide(data, subset)


def guide_observes(data, subset=None):
    with data.plate():
        numpyro.sample("z", normal(1), obs=jnp.zeros((data.size, 1)))


def guide_nothing(data, subset=None):
    return None


def guide_nan(data, subset=None):
    with data.plate():
        numpyro.sample(
            "z", dist.Normal(jnp.full((data.size, 1), jnp.nan), 1.0).to_event(1)
        )


MODELS = (
    (no_plate, "plate"),
    (own_plate, "plate"),
    (same_name_plate, "plate|scale"),
    (one_unobserved, "b"),
    (observed_twice, "a"),
    (other_width, "a"),
    (one_row, "a"),
    (extra_latent, "latent|u"),
    (discrete_latent, "c|latent"),
    (raw_observation, "observe"),
    (raw_filled, "observe"),
    (scaled, "scale"),
    (factor, "factor|penalty"),
    (parameter_of_a_modality, "'a'"),
    (parameter_of_a_latent, "'z'"),
    (deterministic_of_a_modality, "a"),
    (no_arguments, "model|no_arguments"),
    (one_argument, "model|subset"),
    (none_distribution, "a|distribution"),
    (unknown_modality, "c"),
    (improper, "scale|positive"),
    (not_a_number, "a|finite"),
)
GUIDES = (
    (guide_extra, "latent|u"),
    (guide_renamed, "latent|zz"),
    (guide_wider, "'z'"),
    (guide_without_plate, "plate"),
    (guide_discrete, "'z'"),
    (guide_one_for_all, "'z'|plate|'a'"),
    (guide_parameter_of_a_modality, "'a'"),
    (guide_observes, "z|latent"),
    (guide_nothing, "latent|z"),
    (guide_nan, "z|finite"),
    (no_arguments, "guide|no_arguments"),
)


def trained(model_, guide_, data=None, bound=None):
    """One epoch."""
    made = SVI(model_, guide_, optax.adam(1e-2), bound or cs.MaskedELBO())
    data = rows() if data is None else data
    return cs.fit(
        jax.random.key(0), made, data, num_epochs=1, batch_size=4, progress=False
    )


WORDS = "expected|finite|positive|invalid scale|argument"
RIGHT = (raw_observation, raw_filled, one_argument)  # a bound counts only what is there


def as_the_good_one(found) -> None:
    """The bounds of the model that does all as it should."""
    np.testing.assert_allclose(
        found.history.bound, trained(model, guide).history.bound, rtol=1e-5
    )


@mechanism("programs: models with a mistake", len(MODELS), quick=2, seconds=300)
def models(rng, seed):
    made, word = MODELS[seed % len(MODELS)]
    right = as_the_good_one if made in RIGHT else None
    return Case(
        made.__name__, lambda folder: trained(made, guide), right, (word, WORDS)
    )


@mechanism("programs: guides with a mistake", len(GUIDES), quick=1, seconds=300)
def guides(rng, seed):
    made, word = GUIDES[seed % len(GUIDES)]
    other = any_width if made is guide_wider else model
    return Case(made.__name__, lambda folder: trained(other, made), None, (word, WORDS))


@mechanism("programs: single entries that are missing", 3, quick=1, seconds=300)
def entries(rng, seed):
    """Observed by hand they would count as zeros."""
    values = {n: rng.normal(size=(8, w)) for n, w in WIDTHS.items()}
    values["a"][2, 1] = np.nan
    data = cs.MultimodalData.from_arrays(values)
    made = (raw_observation, raw_filled, masked_by_present_only)[seed % 3]
    return Case(
        made.__name__,
        lambda folder: trained(made, guide, data),
        None,
        ("'a'", "observe"),
    )


@mechanism("programs: mistakes given to estimates", 8, quick=0, seconds=300)
def estimates(rng, seed):
    """The same are refused by what takes a model and a guide without a fit."""
    from attack.linear import parameters

    made, word = (
        (no_plate, "plate"),
        (extra_latent, "latent|u"),
        (one_unobserved, "b"),
        (parameter_of_a_modality, "'a'"),
    )[seed % 4]
    name = ("log_likelihood", "generate")[seed // 4]
    settings = {"num_samples": 3}

    def run(folder):
        params = parameters() | (
            {"a": jnp.zeros(2)} if made is parameter_of_a_modality else {}
        )
        return getattr(cs, name)(
            jax.random.key(0), made, guide, params, rows(), **settings
        )

    right = accept if made is no_plate and name == "generate" else None
    return Case(f"{name} of {made.__name__}", run, right, (word, "expected"))
