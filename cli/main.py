"""The command line. Each command is a module with `add_arguments` and `run`."""

import argparse
import sys
from collections.abc import Sequence

from consilience.experiments import demo

COMMANDS = {"demo": demo}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, and where to read on."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message}. See `{self.prog} --help`.\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Lines of readable width, with the defaults."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=28, width=88)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = _Parser(
        prog="consilience",
        description="Amortised Bayesian inference for multi-modal data.",
        formatter_class=_Help,
    )
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary = module.__doc__.splitlines()[0]
        command = commands.add_parser(
            name,
            help=summary,
            description=module.run.__doc__,
            formatter_class=_Help,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run, error=command.error)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; bad options and bad input end in a sentence and exit code 2."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, ArithmeticError, OSError) as error:
        options.error(str(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0
