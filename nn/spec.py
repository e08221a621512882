"""Settings that hold for every modality, or differ by name."""

from collections.abc import Callable, Mapping


def per_modality[T](
    argument: str, given: T | Mapping[str, T]
) -> Callable[[str, tuple[str, ...]], T]:
    """Turn one setting, or a mapping from modality to setting, into a look-up.

    Returns:
        `look_up(name, names)`, which refuses a mapping whose keys are not `names`.

    Raises:
        TypeError: a setting cannot be called.
    """
    by_name = isinstance(given, Mapping)
    for setting in given.values() if by_name else [given]:
        if not callable(setting):
            raise TypeError(
                f"{argument}: expected something to call, or a mapping from modality to "
                f"such, got {setting!r}"
            )

    def look_up(name: str, names: tuple[str, ...]) -> T:
        if not by_name:
            return given
        if set(given) != set(names):
            raise ValueError(
                f"{argument}: expected the modalities {', '.join(names)}, got "
                f"{', '.join(given)}"
            )
        return given[name]

    return look_up
