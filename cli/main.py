"""The command line. Each command is a module with `add_arguments` and `run`."""

import argparse
import inspect
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version

from consilience.cli import cache, compare, encode, evaluate, fit, impute, resume
from consilience.datasets.names import nearest
from consilience.experiments import demo
from consilience.experiments.paper import command as paper

COMMANDS = {
    "fit": fit,
    "resume": resume,
    "encode": encode,
    "impute": impute,
    "evaluate": evaluate,
    "compare": compare,
    "demo": demo,
    "paper": paper,
}


EXAMPLES = "examples:\n"
TRACEBACK = "CONSILIENCE_TRACEBACK"  # set: errors keep their traceback
REFUSALS = (ValueError, TypeError, ArithmeticError, OSError, ImportError)
STOPPED, UNEXPECTED, UNHEARD = (
    130,
    1,
    141,
)  # exit codes; of a closed pipe the shell's own


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, and where to read on."""

    def error(self, message: str) -> None:
        message = " ".join(message.split()).removesuffix(".")
        self.exit(2, f"{self.prog}: {message}. See `{self.prog} --help`.\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Lines of readable width, with defaults where there are any; examples stay lines."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=28, width=88)

    def _get_help_string(self, action: argparse.Action) -> str:
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(EXAMPLES):
            return super()._fill_text(text, width, indent)
        return text.rstrip()


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = _Parser(
        prog="consilience",
        description="Amortised Bayesian inference for multi-modal data.",
        formatter_class=_Help,
    )
    root.add_argument(
        "--no-cache",
        action="store_true",
        help="compile anew, keep nothing (likewise CONSILIENCE_CACHE=off)",
    )
    said = f"consilience {version('consilience')}"
    root.add_argument("--version", action="version", version=said)
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary = module.__doc__.splitlines()[0]
        command = commands.add_parser(
            name,
            help=summary,
            description=inspect.cleandoc(module.run.__doc__),
            epilog=getattr(module, "EXAMPLES", None),
            usage=getattr(module, "USAGE", None),
            formatter_class=_Help,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        known = [x for action in command._actions for x in action.option_strings]
        command.set_defaults(run=module.run, error=command.error, known=known)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; bad options and bad input end in a sentence and exit code 2.

    Called without arguments, as from a shell, it takes those of the process, and the
    process for its own: compiled programs are kept, warnings are one line each, and what
    nobody foresaw is a sentence with exit code 1. With CONSILIENCE_TRACEBACK set, all
    errors are tracebacks.
    """
    if arguments is not None:
        return _run(*parser().parse_known_args(arguments))
    warnings.showwarning = _Warnings()
    for stream in (sys.stdout, sys.stderr):  # of another encoding than UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options, unknown = parser().parse_known_args()
        if not options.no_cache:
            cache.switch_on()
        code = _run(options, unknown)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _hush()
        return UNHEARD
    except OSError as error:  # of the last flush: a full disk
        _hush()
        print(f"consilience: output: {_said(error)}", file=sys.stderr)
        return UNEXPECTED
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        print(_unexpected(error), file=sys.stderr)
        return UNEXPECTED


def _run(options: argparse.Namespace, unknown: Sequence[str]) -> int:
    if unknown:
        options.error(_unrecognized(options, unknown))
    try:
        options.run(options)
    except BrokenPipeError:
        raise
    except REFUSALS as error:
        if os.environ.get(TRACEBACK):
            raise
        options.error(_said(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    return 0


def _said(error: Exception) -> str:
    """An error in words; the system's own begin with the file."""
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        )
    return str(error) or type(error).__name__


def _unexpected(error: Exception) -> str:
    """The last guard: nothing that a file or an option holds ends in a traceback."""
    said = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in said:
        said = f"the memory does not suffice ({said})"
    short = said if len(said) <= 300 else f"{said[:300]}…"
    command = shlex.join(["consilience", *sys.argv[1:]])
    return (
        f"consilience: `{command}` ended in what it did not expect: {short}. Its files or "
        f"options are damaged, or consilience is wrong; {TRACEBACK}=1 shows where"
    )


def _hush() -> None:
    """Nobody reads: have nothing written again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _unrecognized(options: argparse.Namespace, unknown: Sequence[str]) -> str:
    """What argparse would say, and the nearest option there is."""
    name = unknown[0].partition("=")[0]
    advice = nearest(name, options.known) if name.startswith("-") else ""
    return f"unrecognized arguments: {' '.join(unknown)}{advice}"


class _Warnings:
    """In place of `warnings.showwarning`: a line each, and none twice."""

    def __init__(self):
        self._said: set[str] = set()

    def __call__(self, message, category, filename, lineno, file=None, line=None):
        text = " ".join(str(message).split())
        if text not in self._said:
            self._said.add(text)
            print(f"consilience: warning: {text}", file=sys.stderr)
