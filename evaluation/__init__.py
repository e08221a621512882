"""What a trained model is worth: rates, metrics, checks of its posteriors, pictures."""

__all__: list[str] = []
