"""Help texts: a command's own options first, shared options in a second section."""

import functools
from collections.abc import Callable
from typing import Any

import click

HELP_NAMES = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class SharedOption(click.Option):
    """An option that many commands have."""


class Command(click.Command):
    """A command that lists shared options in a section of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both sections, without an empty one."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                (shared if isinstance(parameter, SharedOption) else own).append(record)
        for name, records in (("Options", own), ("Shared options", shared)):
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


class Group(click.Group):
    """A group of commands that prints its help, with exit code 0, when no command is given."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit(0)
        return super().parse_args(ctx, args)


command: Callable[..., Callable[[Callable[..., Any]], click.Command]] = functools.partial(click.command, cls=Command)
"""click.command with help in sections."""

group: Callable[..., Callable[[Callable[..., Any]], click.Group]] = functools.partial(click.group, cls=Group)
"""click.group that prints its help when no command is given."""
