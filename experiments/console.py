"""Where commands say what they found: terminals get tables that fit, pipes plain ones."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 1000  # columns of what is no terminal: nothing is wrapped


def console() -> "Console":
    """Names and paths are shown as they are, whatever brackets and colons they have."""
    from rich.console import Console

    plain = {"markup": False, "emoji": False, "highlight": False}
    if sys.stdout is None or not sys.stdout.isatty():
        return Console(width=WIDE, **plain)
    if os.environ.get("TERM") in ("dumb", "unknown"):  # rich takes them for 80 wide
        return Console(width=os.get_terminal_size(sys.stdout.fileno()).columns, **plain)
    return Console(**plain)
