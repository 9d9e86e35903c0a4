"""The command `kubeinstall`. The only place that exits: 0 done, 1 the run failed, 2 the input is wrong, 130 Ctrl-C.

What a command needs is imported inside it, so that help and completion come at once.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubeinstall import __version__, paths
from kubeinstall.cli_init import init
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, Diff, InventoryPath, Limit, load_cluster
from kubeinstall.errors import InputError, KubeinstallError, Problem

if TYPE_CHECKING:
    from rich.console import Console

    from kubeinstall.cluster import Cluster
    from kubeinstall.events import RunResult

__all__ = ["app", "main"]

EXIT_CODES = {"ok": 0, "failed": 1, "interrupted": 130}

app = typer.Typer(
    help="A real Kubernetes cluster from its parts, on hosts reached over SSH.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_EXAMPLE = "Example: "


def main() -> None:
    """The console script."""
    try:
        app()
    except KubeinstallError as error:
        from rich.console import Console

        from kubeinstall.report import problems

        problems(Console(stderr=True), error)
        sys.exit(error.exit_code)


def _mount(name: str, module: str, help_text: str) -> None:
    """Adds commands that another module defines as `app`; it is imported when one of them is called."""
    settings = {
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }

    @app.command(name, help=help_text, context_settings=settings, add_help_option=False)
    def command(context: typer.Context) -> None:
        importlib.import_module(f"kubeinstall.{module}").app(context.args, prog_name=f"kubeinstall {name}")


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
    inventory: InventoryPath = DEFAULT_INVENTORY, check: Check = False, diff: Diff = False, limit: Limit = ""
) -> None:
    """Make the hosts what the inventory says.

    A cluster from nothing, or the differences on a living one. A run that was interrupted or that failed goes on from
    where it was when it is started again.
    """
    _provision(inventory, ["site"], check=check, diff=diff, limit=limit)
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
    _refuse_unknown("role", names, known)
    _provision(inventory, ["preflight", *names], check=check, diff=diff, limit=limit)


_mount("verify", "cli_verify", "Prove from outside that the cluster does its work.")


@app.command(epilog=_EXAMPLE + "kubeinstall status --json")
def status(
    inventory: InventoryPath = DEFAULT_INVENTORY,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """Show how each host's components and the nodes fare.

    The exit code is 1 when something is not as it should be.
    """
    from rich.console import Console

    from kubeinstall import status as status_

    cluster = load_cluster(inventory)
    with Console(stderr=True).status("Asking the hosts"):
        found = status_.ask(cluster)
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
    access.write_private(out, made.read_text(encoding="utf-8"))
    typer.echo(f"{out} reaches the cluster {cluster.name} at {access.server_of(made)}")


@app.command(
    epilog=_EXAMPLE + "kubeinstall kubectl get nodes -o wide",
    context_settings={"allow_extra_args": True, "allow_interspersed_args": False, "ignore_unknown_options": True},
)
def kubectl(context: typer.Context, inventory: InventoryPath = DEFAULT_INVENTORY) -> None:
    """Run the kubectl of the cluster's version against it.

    All arguments are passed on, and the exit code is kept. Options of kubeinstall's own come before kubectl's first
    word.
    """
    from rich.console import Console

    from kubeinstall import access
    from kubeinstall.cli_components import progress_on

    cluster = load_cluster(inventory)
    config = access.kubeconfig(cluster)
    with progress_on(Console(stderr=True)) as progress:
        program = access.kubectl(cluster, progress)
    # kubectl takes over the terminal, its signals and the exit code.
    os.execve(program, ["kubectl", *context.args], {**os.environ, "KUBECONFIG": str(config)})  # noqa: S606


@app.command(epilog=_EXAMPLE + "kubeinstall reset -i inventory/lab --yes")
def reset(
    inventory: InventoryPath = DEFAULT_INVENTORY,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Remove the cluster from its hosts, and only what is ours."""
    cluster, console = load_cluster(inventory), _console()
    names = ", ".join(host.name for host in cluster.hosts)
    typer.echo(f"This removes the cluster {cluster.name} from {_count(len(cluster.hosts), 'host')}: {names}")
    typer.echo("All that it holds is lost: every object in etcd, every pod, every volume on the hosts.")
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("a reset asks before it begins, and there is no terminal", remedy="give --yes to go ahead")
        if typer.prompt("Type the cluster's name to go ahead", default="", show_default=False) != cluster.name:
            typer.echo("That is not its name: nothing was touched")
            raise typer.Exit(1)
    _play(console, cluster, inventory, ["reset"], extra_vars={"reset_confirm": True})
    (cluster.state_directory / "kubeconfig").unlink(missing_ok=True)


_mount("node", "cli_node", "Nodes come and go.")
_mount("control-plane", "cli_control_plane", "Control planes come and go, with their members of etcd.")
_mount("etcd", "cli_etcd", "The store of the cluster's state: its members, its backups.")
_mount("certs", "cli_certs", "The cluster's certificates: list them, renew them.")
_mount("lab", "cli_lab", "Hosts to try it on: containers on the local Docker engine.")
_mount("components", "cli_components", "The programs a cluster is made of: list, fetch, build.")
_mount("image", "cli_image", "Take images of the local Docker engine to the hosts.")


@app.command(epilog=_EXAMPLE + "kubeinstall version")
def version() -> None:
    """Print the version of kubeinstall and where it lies."""
    from importlib.metadata import version as installed

    typer.echo(
        f"kubeinstall {__version__} with ansible-core {installed('ansible-core')}, from {paths.collection_root()}"
    )


def _provision(
    inventory: Path,
    playbooks: Iterable[str],
    *,
    check: bool,
    diff: bool,
    limit: str,
    extra_vars: Mapping[str, Any] | None = None,
) -> None:
    """Gets the components into the cache, then runs the playbooks. Exits where something does not end well."""
    cluster, console = load_cluster(inventory), _console()
    parts = [part.lstrip("!&") for part in re.split(r"[,:]", limit) if part]
    plain = [part for part in parts if re.fullmatch(r"[\w.-]+", part)]
    _refuse_unknown("host or group", plain, {"all", *(n for h in cluster.hosts for n in (h.name, *h.groups))})
    missing = _missing(cluster)
    if missing:
        # Getting them may take a quarter of an hour: what stands in the way of the run is said before.
        _play(console, cluster, inventory, ["preflight"], check=True, limit=limit)
        _fetch(console, missing)
    _play(console, cluster, inventory, playbooks, check=check, diff=diff, limit=limit, extra_vars=extra_vars)


def _missing(cluster: Cluster) -> list[tuple[str, str]]:
    """(component, version) of what the inventory asks for and the cache lacks, for hosts like this machine."""
    from kubeinstall.cluster.known import known_inputs
    from kubeinstall.components import Store, machine_architecture

    known, store, architecture = known_inputs(), Store(), machine_architecture()
    wanted = {
        (component, str(host.variables.get(variable, known.default(variable))))
        for variable, (component, _) in known.versions.items()
        for host in cluster.hosts
    }
    # What is there is hashed before it is delivered: here it would cost half a second of each run.
    return sorted(
        (component, version)
        for component, version in wanted
        if not all(store.locate(name, version, architecture) for name in store.catalogue.files(component))
    )


def _fetch(console: Console, missing: Iterable[tuple[str, str]]) -> None:
    """What a run would get one by one, and out of sight: with its progress."""
    from kubeinstall.cli_components import progress_on
    from kubeinstall.components import Catalogue, fetch, machine_architecture

    catalogue, architecture = Catalogue.load(), machine_architecture()
    with progress_on(console) as progress:
        for component, version in missing:
            names = catalogue.files(component)
            fetch(names, versions={component: version}, architecture=architecture, progress=progress)


def _play(
    console: Console,
    cluster: Cluster,
    inventory: Path,
    playbooks: Iterable[str],
    *,
    check: bool = False,
    diff: bool = False,
    limit: str = "",
    extra_vars: Mapping[str, Any] | None = None,
) -> RunResult:
    """Runs the playbooks and shows what they do. Exits where that does not end well."""
    from kubeinstall import report, runs

    files = [paths.playbook(name) for name in playbooks]
    names = [host.name for host in cluster.hosts]
    # A check touches nothing and may run beside anything.
    alone = nullcontext() if check else runs.alone(inventory)
    with alone, report.watch(console, names, check=check) as view:
        result = runs.run(
            files, inventory, check=check, diff=diff, limit=limit, extra_vars=extra_vars, on_event=view.hear
        )
    report.summary(console, result, check=check)
    if result.status != "ok":
        raise typer.Exit(EXIT_CODES[result.status])
    return result


def _refuse_unknown(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """InputError for each name that is not known, with the nearest one that is."""
    known = sorted(known)
    found = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            found.append(Problem("", f"there is no {kind} {name}", remedy))
    if found:
        raise InputError(f"unknown {kind}", problems=found)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
