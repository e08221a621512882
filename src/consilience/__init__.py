"""Amortised Bayesian inference for multi-modal data, as NumPyro programs."""
