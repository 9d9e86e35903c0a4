"""The command `kubeinstall`. The only place that exits: 0 done, 1 the run failed, 2 the input is wrong, 130 Ctrl-C.

What a command needs is imported inside it, so that help and completion come at once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from kubeinstall import __version__, paths
from kubeinstall.cli_commands import Commands, mount
from kubeinstall.cli_init import init
from kubeinstall.cli_runs import provision, refuse_unknown
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, Diff, InventoryPath, Limit, load_cluster
from kubeinstall.errors import KubeinstallError

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_EXAMPLE = "Example: "


def _show_version(value: bool) -> None:
    if value:
        version()
        raise typer.Exit


def main() -> None:
    """The console script."""
    try:
        app()
    except KubeinstallError as error:
        from rich.console import Console

        from kubeinstall.report import problems

        problems(Console(stderr=True), error)
        sys.exit(error.exit_code)


@app.callback()
def _kubeinstall(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """A real Kubernetes cluster from its parts, on hosts reached over SSH."""


app.command(epilog=_EXAMPLE + "kubeinstall init production")(init)


@app.command(epilog=_EXAMPLE + "kubeinstall validate -i inventory/example")
def validate(inventory: InventoryPath = DEFAULT_INVENTORY) -> None:
    """Check an inventory, all of it at once, and touch no host."""
    cluster = load_cluster(inventory)
    typer.echo(
        f"{inventory} is right: the cluster {cluster.name} with {_count(len(cluster.hosts), 'host')} "
        f"({_count(len(cluster.control_plane), 'control plane')}, {_count(len(cluster.etcd), 'etcd member')}), "
        f"Kubernetes {cluster.kubernetes_version}, API at {', '.join(cluster.api_servers)}"
    )


@app.command(epilog=_EXAMPLE + "kubeinstall apply --check --diff    or    kubeinstall apply -i inventory/production")
def apply(
    inventory: InventoryPath = DEFAULT_INVENTORY,
    check: Check = False,
    diff: Diff = False,
    limit: Limit = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Don't ask before objects that left cluster_manifests go with their data.")
    ] = False,
) -> None:
    """Make the hosts what the inventory says.

    A cluster from nothing, or the differences on a living one. A run that was interrupted or that failed goes on from
    where it was when it is started again.
    """
    provision(inventory, ["site"], check=check, diff=diff, limit=limit, yes=yes)
    if not check:
        option = "" if inventory == DEFAULT_INVENTORY else f" -i {inventory}"
        typer.echo(f"Next: kubeinstall verify{option}    or    kubeinstall kubectl{option} get nodes")


@app.command(epilog=_EXAMPLE + "kubeinstall run kubelet kube_proxy --limit node2")
def run(
    roles: Annotated[list[str], typer.Argument(metavar="ROLE...", help="Roles by their names, run in this order.")],
    inventory: InventoryPath = DEFAULT_INVENTORY,
    check: Check = False,
    diff: Diff = False,
    limit: Limit = "",
) -> None:
    """Run single roles, after the checks that a whole run makes."""
    known = sorted(path.parent.name for path in paths.collection_root().glob("roles/*/tasks"))
    names = [role.replace("-", "_") for role in roles]
    refuse_unknown("role", names, known)
    checked = {"preflight_roles": names, "preflight_done": True}
    provision(inventory, ["preflight", *names], check=check, diff=diff, limit=limit, extra_vars=checked)


mount(app, "verify", "cli_verify", "Prove from outside that the cluster does its work.")


@app.command(epilog=_EXAMPLE + "kubeinstall status --json")
def status(
    inventory: InventoryPath = DEFAULT_INVENTORY,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """Show how each host's components and the nodes fare.

    The exit code is 1 when something is not as it should be.
    """
    from rich.console import Console

    from kubeinstall import report
    from kubeinstall import status as status_

    cluster = load_cluster(inventory)
    errors = Console(stderr=True)
    with errors.status("Asking the hosts"), report.waits(errors) as waits:
        found = status_.ask(cluster, waits.hear)
    if as_json:
        typer.echo(json.dumps(status_.as_json(found), indent=2))
    else:
        status_.show(Console(), found, cluster.hosts)
    raise typer.Exit(1 if found.problems else 0)


@app.command(epilog=_EXAMPLE + "kubeinstall kubeconfig --out ~/.kube/config")
def kubeconfig(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write; only you may read it.")],
    inventory: InventoryPath = DEFAULT_INVENTORY,
) -> None:
    """Write a kubeconfig for you, with full rights in the cluster."""
    from kubeinstall import access

    cluster = load_cluster(inventory)
    made = access.kubeconfig(cluster)
    access.write_private(out, made.path.read_text(encoding="utf-8"))
    typer.echo(f"{out} reaches the cluster {cluster.name} at {made.server}")
    if not made.answers:
        typer.echo(
            f"warning: {made.server} does not answer this machine: use the file where it does. From here,"
            f" kubeinstall kubectl -i {inventory} goes through SSH",
            err=True,
        )


@app.command(
    epilog=_EXAMPLE + "kubeinstall kubectl get nodes -o wide",
    context_settings={"allow_extra_args": True, "allow_interspersed_args": False, "ignore_unknown_options": True},
)
def kubectl(context: typer.Context, inventory: InventoryPath = DEFAULT_INVENTORY) -> None:
    """Run the kubectl of the cluster's version against it.

    All arguments are passed on, and the exit code is kept. Options of kubeinstall's own come before kubectl's first
    word. Where no API server answers this machine, it goes through SSH to a control plane for as long as it runs.
    """
    from rich.console import Console

    from kubeinstall import access, forward
    from kubeinstall.cli_components import progress_on

    cluster = load_cluster(inventory)
    with access.way(cluster, inventory) as way:
        with progress_on(Console(stderr=True)) as progress:
            command = [str(access.kubectl(cluster, progress)), *context.args]
        environment = {**os.environ, "KUBECONFIG": str(way.config)}
        if not way.through:
            # kubectl takes over the terminal, its signals and the exit code.
            os.execve(command[0], ["kubectl", *context.args], environment)  # noqa: S606
        typer.echo(f"No API server answers this machine itself: going through SSH to {way.through}", err=True)
        code = forward.run(command, environment)
    raise typer.Exit(code)


mount(app, "reboot", "cli_reboot", "Reboot hosts one after another, while the cluster goes on.")


mount(app, "reset", "cli_reset", "Remove the cluster from its hosts, and only what is ours.")
mount(app, "node", "cli_node", "Nodes come and go.")
mount(app, "control-plane", "cli_control_plane", "Control planes come and go, with their members of etcd.")
mount(app, "etcd", "cli_etcd", "The store of the cluster's state: its members, its backups.")
mount(app, "certs", "cli_certs", "The cluster's certificates: list them, renew them.")
mount(app, "lab", "cli_lab", "Hosts to try it on: containers on the local Docker engine.")
mount(app, "components", "cli_components", "The programs a cluster is made of: list, fetch, build.")
mount(app, "image", "cli_image", "Take images of the local Docker engine to the hosts.")


@app.command(epilog=_EXAMPLE + "kubeinstall version")
def version() -> None:
    """Print the version of kubeinstall and where it lies."""
    from importlib.metadata import version as installed

    typer.echo(
        f"kubeinstall {__version__} with ansible-core {installed('ansible-core')}, from {paths.collection_root()}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
