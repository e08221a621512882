"""Compiled programs are kept between commands, in the user's cache folder."""

import hashlib
import os
import platform
import sys
from pathlib import Path

import jax
import jaxlib

SWITCH = "CONSILIENCE_CACHE"  # a folder, or off
MOST_BYTES = 2**30
SECONDS = 0.2  # of compilation, from which on a program is kept


def switch_on() -> Path | None:
    """Keep compiled programs, unless told otherwise; a setting of JAX's own comes first.

    Returns:
        the folder, or None where the cache stays off or cannot be written.
    """
    if jax.config.jax_compilation_cache_dir is not None:
        return Path(jax.config.jax_compilation_cache_dir)
    folder = place()
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        prune(folder, MOST_BYTES)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    return folder


def place() -> Path | None:
    """Where the cache is: a folder for each kind of processor and version of JAX."""
    asked = os.environ.get(SWITCH, "")
    if asked.lower() in ("off", "0", "no", "false"):
        return None
    home = Path(asked) if asked else _user_cache() / "consilience"
    return home / f"jaxlib-{jaxlib.__version__}-{_processor()}"


def prune(folder: Path, most_bytes: int) -> None:
    """Delete the oldest programs until the rest takes no more than that."""
    aged = sorted((path.stat().st_mtime, path) for path in folder.glob("*-cache"))
    total = sum(path.stat().st_size for _, path in aged)
    for _, path in aged:
        if total <= most_bytes:
            break
        total -= path.stat().st_size
        path.unlink(missing_ok=True)


def _user_cache() -> Path:
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"])
    return Path.home() / ".cache"


def _processor() -> str:
    """Programs for one may crash on another: home folders are shared between machines."""
    said = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        said += [x for x in lines if x.startswith(("flags", "Features"))][:1]
    except OSError:
        pass
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]
