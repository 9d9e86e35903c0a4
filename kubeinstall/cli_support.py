"""What the modules of the command share: options, and the way to a cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubeinstall import paths
from kubeinstall.errors import InputError

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster

__all__ = [
    "DEFAULT_INVENTORY",
    "Check",
    "Diff",
    "InventoryPath",
    "Limit",
    "WithBackups",
    "confirm_by_name",
    "load_cluster",
    "need_terminal",
]

DEFAULT_INVENTORY = Path("inventory/lab")

InventoryPath = Annotated[
    Path,
    typer.Option(
        *("--inventory", "-i"),
        metavar="PATH",
        envvar="KUBEINSTALL_INVENTORY",
        show_default=True,
        help="The inventory: a file, or a folder with hosts.yml and group_vars.",
    ),
]
Check = Annotated[bool, typer.Option("--check", help="Say what would change, and touch nothing.")]
WithBackups = Annotated[
    bool, typer.Option("--with-backups", help="Also remove the etcd backups in /var/lib/etcd-backup.")
]
Diff = Annotated[bool, typer.Option("--diff", help="Show the differences in files; keys and tokens are masked.")]
Limit = Annotated[
    str, typer.Option("--limit", metavar="HOSTS", help="Only these hosts or groups, with commas between them.")
]


def load_cluster(inventory: Path) -> Cluster:
    """The cluster of an inventory, whose oddities are said; InputError with all that is wrong with it."""
    # Before Ansible is imported: what it reads in this process is then the same as in a run's own.
    os.environ.setdefault("ANSIBLE_CONFIG", str(paths.collection_root() / "ansible.cfg"))
    from kubeinstall.cluster import Cluster

    cluster = Cluster.load(inventory)
    for warning in cluster.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return cluster


def need_terminal(what: str) -> None:
    """InputError where there is nobody to ask; `what` is what would ask."""
    if not sys.stdin.isatty():
        raise InputError(f"{what} asks before it begins, and there is no terminal", remedy="give --yes to go ahead")


def confirm_by_name(cluster: Cluster, what: str) -> None:
    """Goes on only where the user types the cluster's name; exits otherwise."""
    need_terminal(what)
    if typer.prompt("Type the cluster's name to go ahead", default="", show_default=False) != cluster.name:
        typer.echo("That is not its name: nothing was touched")
        raise typer.Exit(1)
