"""All aggregations by name."""

from functools import partial

from consilience.guides.corrected_experts import CorrectedProductOfExperts
from consilience.guides.experts import MixtureOfExperts, ProductOfExperts
from consilience.guides.heads import MixtureHead, NaturalHead
from consilience.guides.mopoe import MixtureOfProductsOfExperts
from consilience.guides.self_attention import SelfAttention
from consilience.guides.sum_pooling import SumPooling
from consilience.nn.mlp import ResidualMLP, SkipMLP

AGGREGATIONS = {
    "product_of_experts": ProductOfExperts,
    "product_without_prior": partial(ProductOfExperts, prior_expert=False),
    "tempered_product": partial(ProductOfExperts, tempered=True),
    "corrected_product": CorrectedProductOfExperts,
    "corrected_product_by_attention": partial(
        CorrectedProductOfExperts, correction=SelfAttention
    ),
    "mixture_of_experts": MixtureOfExperts,
    "mixture_of_products": MixtureOfProductsOfExperts,
    "sum_pooling": SumPooling,
    "residual_sum_pooling": partial(SumPooling, network=ResidualMLP),
    "natural_sum_pooling": partial(SumPooling, network=SkipMLP, head=NaturalHead()),
    "sum_pooling_mixture": partial(SumPooling, head=MixtureHead()),
    "self_attention": SelfAttention,
    "self_attention_mixture": partial(SelfAttention, head=MixtureHead()),
}
