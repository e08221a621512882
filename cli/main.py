"""The command line. Each command is a module with `add_arguments` and `run`."""

import argparse
import inspect
import sys
import warnings
from collections.abc import Sequence

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
    process for its own: compiled programs are kept, warnings are one line each.
    """
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.error(_unrecognized(options, unknown))
    if arguments is None:
        warnings.showwarning = _warn
        if not options.no_cache:
            cache.switch_on()
    try:
        options.run(options)
    except (ValueError, TypeError, ArithmeticError, OSError, ImportError) as error:
        options.error(str(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _unrecognized(options: argparse.Namespace, unknown: Sequence[str]) -> str:
    """What argparse would say, and the nearest option there is."""
    name = unknown[0].partition("=")[0]
    advice = nearest(name, options.known) if name.startswith("-") else ""
    return f"unrecognized arguments: {' '.join(unknown)}{advice}"


def _warn(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"consilience: warning: {' '.join(str(message).split())}", file=sys.stderr)
