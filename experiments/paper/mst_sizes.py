"""Widths of the networks of MNIST-SVHN-Text, by what a training may cost.

Channels of "paper" are those of Hirt et al. 2024, appendix L; what is not stated there in a
readable form (hidden widths, latent sizes) is ours.
"""

from typing import NamedTuple


class Size(NamedTuple):
    """Of the networks.

    Attributes:
        latent: D of models without private latents.
        private: (D, W) of those with them.
        dense: hidden layers for handwriting.
        conv: channels of the encoder of images.
        deconv: channels of their decoder.
        shrink: colours and sounds are averaged over blocks of so many pixels squared.
        text: channels of the encoder of text.
        detext: channels of its decoder.
        width: of features, pooled spaces and hidden layers of aggregations.
        rate: learning rate at the start; the cosine schedule ends at zero.
        batch: rows a step.
    """

    latent: int
    private: tuple[int, int]
    dense: tuple[int, ...]
    conv: tuple[int, ...]
    deconv: tuple[int, ...]
    shrink: int
    text: tuple[int, ...]
    detext: tuple[int, ...]
    width: int
    rate: float
    batch: int


SIZES = {
    "few": Size(
        latent=6,
        private=(4, 2),
        dense=(32,),
        conv=(4, 8, 8),
        deconv=(8, 4),
        shrink=2,
        text=(16, 16, 16),
        detext=(16, 16),
        width=32,
        rate=1e-2,
        batch=50,
    ),
    "small": Size(
        latent=20,
        private=(12, 4),
        dense=(128, 128),
        conv=(16, 32, 32),
        deconv=(32, 16),
        shrink=2,
        text=(32, 32, 32),
        detext=(32, 32),
        width=128,
        rate=4e-3,
        batch=50,
    ),
    "paper": Size(
        latent=20,
        private=(10, 10),
        dense=(400, 400),
        conv=(32, 64, 64, 128),
        deconv=(64, 64, 32),
        shrink=1,
        text=(128, 128, 128),
        detext=(128, 128),
        width=256,
        rate=1e-3,
        batch=256,
    ),
}
