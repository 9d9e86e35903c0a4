"""`kubeinstall init NAME`: a commented inventory to start from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from kubeinstall.errors import InputError
from kubeinstall.paths import collection_root

__all__ = ["init", "write_inventory"]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILES = ("hosts.yml", "group_vars/all/cluster.yml")


def write_inventory(name: str, directory: Path) -> Path:
    """Writes directory/NAME from the packaged example; returns it. InputError for a bad name, or one that is taken."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a cluster",
            remedy="small letters, digits and - between them, at most 63: it stands in kubeconfigs and certificates",
        )
    inventory = directory / name
    if inventory.exists():
        raise InputError(
            "there is something already, and it stays as it is", where=str(inventory), remedy="choose another name"
        )
    example = collection_root() / "inventory" / "example"
    try:
        for file in FILES:
            text = (example / file).read_text(encoding="utf-8")
            target = inventory / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text.replace("\ncluster_name: example\n", f"\ncluster_name: {name}\n"), encoding="utf-8")
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror}", where=str(inventory)) from error
    return inventory


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the cluster: its folder under inventory/.")],
) -> None:
    """Write a commented inventory, inventory/NAME, to start from."""
    inventory = write_inventory(name, Path("inventory"))
    typer.echo(f"Written: {', '.join(str(inventory / file) for file in FILES)}")
    typer.echo(f"Next: put your hosts into {inventory / FILES[0]}, then `kubeinstall validate -i {inventory}`.")
