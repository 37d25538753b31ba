"""Groups of commands that import a command's module only when it is called, so that each starts fast."""

from collections.abc import Mapping
from importlib import import_module

import click


class LazyGroup(click.Group):
    """A group whose commands are `command` in the modules `<prefix><name>`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own, handed on
        self.prefix = ""
        self.helps: Mapping[str, str] = {}
        self.hidden_names: tuple[str, ...] = ()

    def load_from(self, prefix: str, helps: Mapping[str, str], hidden: tuple[str, ...] = ()) -> None:
        """Say where the commands are, and what `--help` says of each."""
        self.prefix, self.helps, self.hidden_names = prefix, helps, hidden

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All public commands, in the order a newcomer meets them."""
        del ctx
        return list(self.helps)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None when there is none."""
        del ctx
        if cmd_name not in self.helps and cmd_name not in self.hidden_names:
            return None
        command = import_module(f"{self.prefix}{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - our own modules, held by a test
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing any command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self.helps.items()))
