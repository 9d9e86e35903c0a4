"""`kubeinstall image`: images of the local Docker engine on the cluster's hosts, without a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kubeinstall import archives, images, paths, report, runs
from kubeinstall.cli_runs import refuse_unmatched
from kubeinstall.cli_support import DEFAULT_INVENTORY, InventoryPath, Limit, load_cluster
from kubeinstall.errors import InputError
from kubeinstall.lab import engine

__all__ = ["app", "load"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="Images of the local Docker engine, or files of `docker save`.")
]


@app.callback()
def _more_than_one_command() -> None:
    """Take images of the local Docker engine to the hosts."""


@app.command("load", epilog="Example: kubeinstall image load nginx:1.29 ./application.tar")
def load_command(references: Images, inventory: InventoryPath = DEFAULT_INVENTORY, limit: Limit = "") -> None:
    """Load images into every host's container engine; each host gets only what it lacks.

    Pods find them by their full names (docker.io/library/nginx:1.29) unless they ask for imagePullPolicy: Always.
    """
    load(references, inventory, limit=limit)


def load(references: list[str], inventory: Path, *, limit: str = "") -> None:
    """Load images of the local Docker engine, or archives. Exits with 1 where a host did not take them."""
    cluster, console = load_cluster(inventory), Console()
    refuse_unmatched(inventory, limit)
    files = [str(_archive(reference).absolute()) for reference in references]
    with report.watch(console, [host.name for host in cluster.hosts]) as view:
        result = runs.run(
            [paths.playbook("image_load")],
            inventory,
            limit=limit,
            extra_vars={"image_archives": files},
            on_event=view.hear,
        )
    report.summary(console, result)
    if result.status != "ok":
        raise typer.Exit(130 if result.status == "interrupted" else 1)


def _archive(reference: str) -> Path:
    path = Path(reference)
    if not path.is_file():
        connected = engine.connect()
        if connected is None:
            raise InputError(
                f"there is no file {reference}, and no Docker engine answers that could have such an image"
            )
        path = images.export(reference, connected)
    archives.contents(path)
    return path
