"""One name, one thing: what sites, parameters and modalities may not share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from numpyro.primitives import Messenger

NAMED = ("sample", "param", "deterministic", "plate", "mutable")


class Names(Messenger):
    """Who uses which name in a model and a guide.

    Parameters and latents are put into both programs by name: what else has that name, the
    observed values of a modality for instance, would be replaced without a word.

    Args:
        modalities: names of the modalities.
    """

    def __init__(self, modalities: Sequence[str]):
        super().__init__()
        self.modalities = modalities
        self.uses: dict[
            str, dict[str, None]
        ] = {}  # by name, in the order of their coming

    @contextmanager
    def of(self, program: str) -> Iterator[None]:
        """Take down the names of what runs inside, and refuse one that has two uses.

        Raises:
            ValueError: naming it and its uses.
        """
        try:
            with self:
                yield
        except AssertionError as error:
            if "unique names" not in str(error):
                raise
            self.check()
            raise ValueError(
                f"{program}: expected one site of each name, got two of one: {error}"
            ) from error
        self.check()

    def process_message(self, msg: dict) -> None:
        """Of a site that is about to be."""
        if msg["type"] in NAMED:
            self.uses.setdefault(msg["name"], {})[self._use(msg)] = None

    def check(self) -> None:
        """Refuse a name with two uses."""
        for name, uses in self.uses.items():
            if len(uses) > 1:
                advice = "rename one of them"
                if "the modality" in uses:
                    advice = "rename the modality or the other"
                raise ValueError(
                    f"name {name!r}: expected one use in model and guide, got "
                    f"{' and '.join(uses)}, and values are put in by name; {advice}"
                )

    def _use(self, msg: dict) -> str:
        if msg["type"] == "sample" and msg["is_observed"]:
            is_one = msg["name"] in self.modalities
            return "the modality" if is_one else "an observed site"
        kinds = {
            "sample": "a latent site",
            "param": "a parameter",
            "plate": "a plate",
            "mutable": "a mutable site",
        }
        return kinds.get(msg["type"], "a deterministic site")
