"""What every process has imported before it is forked, without starting a backend."""

import warnings

warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")

import numpyro.distributions  # noqa: F401
import optax  # noqa: F401
import pandas  # noqa: F401

import consilience  # noqa: F401
