"""How the commands run playbooks: with the components at hand, shown while they run, one at a time for each cluster.

What a run needs is imported inside, so that help and completion come at once.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kubeinstall import paths
from kubeinstall.cli_support import load_cluster
from kubeinstall.errors import InputError, Problem

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.events import RunResult

__all__ = ["play", "provision", "refuse_unknown", "refuse_unmatched"]

# Components of one container engine only; the others are needed with either.
ENGINES = {"containerd": "containerd", "runc": "containerd", "cri-dockerd": "docker"}
EXIT_CODES = {"ok": 0, "failed": 1, "interrupted": 130}


def provision(
    inventory: Path,
    playbooks: Iterable[str],
    *,
    check: bool,
    diff: bool,
    limit: str,
    extra_vars: Mapping[str, Any] | None = None,
    yes: bool = False,
) -> None:
    """Gets the components into the cache, then runs the playbooks. Exits where something does not end well.

    A check gets nothing: it says what is missing. Asks before objects that left cluster_manifests are deleted with
    their data, unless `yes`.
    """
    cluster = load_cluster(inventory)
    refuse_unmatched(inventory, limit)
    missing = _missing(cluster)
    if check:
        for component, version in missing:
            typer.echo(f"{component} {version} is not in the cache: it would be fetched or built")
    elif missing:
        # Getting them may take a quarter of an hour: what stands in the way of the run is said before.
        play(cluster, inventory, ["preflight"], check=True, limit=limit, extra_vars=extra_vars, summary=False)
        _fetch(missing)
    options: dict[str, Any] = {"check": check, "diff": diff, "limit": limit}
    agreed = {**(extra_vars or {}), "prune_confirm": True}
    result = _play(cluster, inventory, playbooks, **options, extra_vars=agreed if yes else extra_vars)
    if (losses := _data_losses(result)) and sys.stdin.isatty():
        for loss in losses:
            typer.echo(f"would be deleted: {loss}")
        if typer.confirm(f"Delete them with their data? The cluster is {cluster.name}"):
            result = _play(cluster, inventory, playbooks, **options, extra_vars=agreed)
    _exit_unless_ok(result)


def _data_losses(result: RunResult) -> list[str]:
    """What the run has refused to delete unasked."""
    failed = [event.result for event in result.events if event.kind == "failed"]
    return [str(loss) for one in failed for loss in one.get("data_losses") or ()]


def _missing(cluster: Cluster) -> list[tuple[str, str]]:
    """(component, version) of what the inventory asks for and the cache lacks, for hosts like this machine."""
    from kubeinstall.cluster.known import known_inputs
    from kubeinstall.components import Store, machine_architecture

    known, store, architecture = known_inputs(), Store(), machine_architecture()
    wanted = {
        (component, str(host.variables.get(variable, known.default(variable))))
        for variable, (component, _) in known.versions.items()
        for host in cluster.hosts
        if ENGINES.get(component, host.container_engine) == host.container_engine
    }
    # What is there is hashed before it is delivered: here it would cost half a second of each run.
    return sorted(
        (component, version)
        for component, version in wanted
        if not all(store.locate(name, version, architecture) for name in store.catalogue.files(component))
    )


def _fetch(missing: Iterable[tuple[str, str]]) -> None:
    """What a run would get one by one, and out of sight: with its progress."""
    from rich.console import Console

    from kubeinstall.cli_components import progress_on
    from kubeinstall.components import Catalogue, fetch, machine_architecture

    catalogue, architecture = Catalogue.load(), machine_architecture()
    with progress_on(Console()) as progress:
        for component, version in missing:
            names = catalogue.files(component)
            fetch(names, versions={component: version}, architecture=architecture, progress=progress)


def play(
    cluster: Cluster,
    inventory: Path,
    playbooks: Iterable[str],
    *,
    check: bool = False,
    diff: bool = False,
    limit: str = "",
    extra_vars: Mapping[str, Any] | None = None,
    summary: bool = True,
    unchanged: str = "",
) -> RunResult:
    """Runs the playbooks and shows what they do. Exits where that does not end well.

    Without `summary` one that ends well is a part of a longer run, which has its own. `unchanged` is shown where
    nothing changed.
    """
    options: dict[str, Any] = {"check": check, "diff": diff, "limit": limit, "summary": summary, "unchanged": unchanged}
    result = _play(cluster, inventory, playbooks, **options, extra_vars=extra_vars)
    _exit_unless_ok(result)
    return result


def _play(
    cluster: Cluster,
    inventory: Path,
    playbooks: Iterable[str],
    *,
    check: bool,
    diff: bool,
    limit: str,
    extra_vars: Mapping[str, Any] | None,
    summary: bool = True,
    unchanged: str = "",
) -> RunResult:
    from rich.console import Console

    from kubeinstall import report, runs

    console = Console()
    files = [paths.playbook(name) for name in playbooks]
    names, said = [host.name for host in cluster.hosts], {str(warning) for warning in cluster.warnings}
    # A check touches nothing and may run beside anything.
    alone = nullcontext() if check else runs.alone(inventory)
    with alone, report.watch(console, names, check=check, said=said) as view:
        result = runs.run(
            files, inventory, check=check, diff=diff, limit=limit, extra_vars=extra_vars, on_event=view.hear
        )
    if summary or result.status != "ok":
        report.summary(console, result, check=check, unchanged=unchanged)
    return result


def _exit_unless_ok(result: RunResult) -> None:
    if result.status != "ok":
        raise typer.Exit(EXIT_CODES[result.status])


def refuse_unmatched(inventory: Path, limit: str) -> None:
    """InputError where a limit, or a part of it, matches no host."""
    if limit:
        from kubeinstall.cluster.inventory import check_limit

        check_limit(inventory, limit)


def refuse_unknown(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
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
