"""The group of all commands: imports those of other modules when they are called, and gives all the same options."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kubeinstall import passwords

__all__ = ["Commands", "mount"]

# {command: the module that defines it as `app`}
_MODULES: dict[str, str] = {}


class Commands(TyperGroup):
    """For the list of commands their help texts do; a module is imported when its command is called or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in _MODULES:
            command = typer.main.get_command(importlib.import_module(f"kubeinstall.{_MODULES[name]}").app)
        _add_options(command)
        return name, command, rest


def mount(app: typer.Typer, name: str, module: str, help_text: str) -> None:
    """Adds the command or group that a module defines as `app`."""
    _MODULES[name] = module

    @app.command(name, help=help_text)
    def stub() -> None:
        """Never called."""


def _add_options(command: Any) -> None:
    """The options to ask for passwords, for all that read an inventory."""
    for below in getattr(command, "commands", {}).values():
        _add_options(below)
    names = {param.name for param in command.params}
    if "inventory" in names and not names & _password_options().keys():
        command.params += _password_options().values()


@functools.cache
def _password_options() -> dict[str, Any]:
    """{name: option}, as typer makes them of a command's parameters."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def asking(
        ask_become_pass: Annotated[
            bool, _asked("--ask-become-pass", passwords.ask_become, "sudo on the hosts")
        ] = False,
        ask_vault_pass: Annotated[bool, _asked("--ask-vault-pass", passwords.ask_vault, "ansible-vault")] = False,
    ) -> None:
        """Never called."""

    return {str(param.name): param for param in typer.main.get_command(app).params}


def _asked(name: str, ask: Callable[[], None], what: str) -> Any:
    def callback(context: typer.Context, value: bool) -> None:
        if value and not context.resilient_parsing:
            ask()

    return typer.Option(
        name, show_default=False, expose_value=False, callback=callback, help=f"Ask for the password of {what}."
    )
