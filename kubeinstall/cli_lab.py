"""`kubeinstall lab`: hosts to try it on, made of containers on the local Docker engine.

Each command imports the lab when it runs: it brings the Docker SDK along, which no other command should wait for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

__all__ = ["app"]

app = typer.Typer(
    name="lab",
    help="Hosts to try it on: containers with systemd and sshd on the local Docker engine, and an inventory of them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# As kubeinstall.lab has it.
_DEFAULT_NAME = "lab"
_EXAMPLE = "Example: "
Name = Annotated[str, typer.Option("--name", help="The lab's name; its hosts and its inventory are called after it.")]


def _say() -> Callable[[str], None]:
    # What is said on the way goes to the error output: the output is for results.
    console = Console(stderr=True, soft_wrap=True)
    return lambda text: console.print(escape(text), highlight=False)


def _shown(path: Path) -> str:
    """The path as the user would write it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@app.command(epilog=_EXAMPLE + "kubeinstall lab up --control-planes 3 --nodes 2 --name ha")
def up(
    name: Name = _DEFAULT_NAME,
    control_planes: Annotated[int, typer.Option(help="How many control planes; use an odd number.")] = 1,
    nodes: Annotated[int, typer.Option(help="How many nodes beside them, 0 or more.")] = 2,
    etcd_members: Annotated[int, typer.Option(help="How many hosts of etcd's own; 0: the control planes run it.")] = 0,
) -> None:
    """Create or start a lab, and write its inventory.

    Installs and starts a Docker engine where none answers (Debian and Ubuntu, as root or with sudo). Hosts that are
    there stay as they are, stopped ones are started, missing ones are added.
    """
    from kubeinstall import lab

    made = lab.up(name, control_planes, nodes, _say(), etcd_hosts=etcd_members)
    option = "" if made.name == _DEFAULT_NAME else f" -i {_shown(made.inventory)}"
    first = made.hosts[0].name
    count = len(made.hosts)
    answer = "1 host answers" if count == 1 else f"{count} hosts answer"
    typer.echo(f"{answer} over SSH; the inventory is {_shown(made.inventory)}")
    typer.echo(f"Next: kubeinstall apply{option}    or look around: kubeinstall lab ssh {first}")


@app.command(epilog=_EXAMPLE + "kubeinstall lab down --name ha")
def down(name: Name = _DEFAULT_NAME) -> None:
    """Remove a lab: its hosts with all their data, its network and its inventory.

    The host image stays in the cache for the next one, and other labs stay as they are.
    """
    from kubeinstall import lab

    removed = lab.down(name, _say())
    typer.echo(f"The lab {name} is gone" if removed else f"There is no lab {name}, and nothing was done")


@app.command("list", epilog=_EXAMPLE + "kubeinstall lab list")
def list_() -> None:
    """Show every lab with its hosts, their addresses and states."""
    from kubeinstall import lab

    labs = lab.listing()
    if not labs:
        typer.echo("There is no lab, or its Docker engine does not run; `kubeinstall lab up` makes or starts one")
        return
    rows = [("lab", "host", "role", "address", "state", "inventory")]
    for one in labs:
        for host in one.hosts:
            role = host.role.replace("_", " ")
            rows.append((one.name, host.name, role, host.address, host.state, _shown(one.inventory)))
    # Plain columns: a path is never cut, in a pipe or in a narrow terminal.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command(
    context_settings={"ignore_unknown_options": True},
    epilog=_EXAMPLE + "kubeinstall lab ssh lab-cp1    or    kubeinstall lab ssh lab-node1 -- systemctl status kubelet",
)
def ssh(
    host: Annotated[str, typer.Argument(help="A lab host's name, as `lab list` shows it.")],
    command: Annotated[list[str] | None, typer.Argument(help="What to run there, after --; nothing: a shell.")] = None,
) -> None:
    """Open a shell on a lab host as root, or run a command there; the exit code is the command's."""
    from kubeinstall import lab

    argv = lab.ssh_command(host, command or ())
    os.execvp(argv[0], argv)  # noqa: S606 ssh takes over the terminal, its signals and the exit code


@app.command(epilog=_EXAMPLE + "kubeinstall lab reboot lab-node1")
def reboot(host: Annotated[str, typer.Argument(help="A lab host's name, as `lab list` shows it.")]) -> None:
    """Reboot a lab host, and return when it answers again: addresses and data stay, /run is fresh."""
    from kubeinstall import lab

    lab.reboot(host, _say())
    typer.echo(f"{host} is back")


@app.command(epilog=_EXAMPLE + "kubeinstall lab stop lab-node1")
def stop(host: Annotated[str, typer.Argument(help="A lab host's name, as `lab list` shows it.")]) -> None:
    """Cut a lab host's power, as if its plug were pulled.

    It stays off, with its data, until `lab start` or `lab up`.
    """
    from kubeinstall import lab

    lab.stop(host)
    typer.echo(f"{host} is off; `kubeinstall lab start {host}` turns it on again")


@app.command(epilog=_EXAMPLE + "kubeinstall lab start lab-node1")
def start(host: Annotated[str, typer.Argument(help="A lab host's name, as `lab list` shows it.")]) -> None:
    """Turn a lab host on again, and return when it answers."""
    from kubeinstall import lab

    lab.start(host, _say())
    typer.echo(f"{host} is on")


@app.command("engine-stop", epilog=_EXAMPLE + "kubeinstall lab engine-stop")
def engine_stop() -> None:
    """Stop the Docker engine that `lab up` started by hand, where it did (a machine without systemd).

    Lab hosts stop with it and keep their data; the next `lab up` starts both again. An engine started otherwise stays.
    """
    from kubeinstall.lab import daemon

    stopped = daemon.stop(_say())
    typer.echo("The Docker engine has stopped" if stopped else "No Docker engine runs that `lab up` started by hand")
