"""`kubeinstall reset`: runs playbooks/reset.yml, after a look at what would go and a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from kubeinstall import paths
from kubeinstall.cli_membership import Yes
from kubeinstall.cli_runs import play
from kubeinstall.cli_support import (
    DEFAULT_INVENTORY,
    Check,
    InventoryPath,
    WithBackups,
    confirm_by_name,
    load_cluster,
    need_terminal,
)
from kubeinstall.results import HostReset

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.events import RunResult

__all__ = ["app", "backups", "planned"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Example: kubeinstall reset --check    or    kubeinstall reset -i inventory/lab --yes")
def reset(
    inventory: InventoryPath = DEFAULT_INVENTORY,
    check: Check = False,
    with_backups: WithBackups = False,
    yes: Yes = False,
) -> None:
    """Remove the cluster from its hosts, and only what is ours.

    Backups of etcd on the members' disks stay, unless --with-backups is given.
    """
    cluster = load_cluster(inventory)
    variables = {"reset_confirm": True, "reset_with_backups": with_backups}
    names = [host.name for host in cluster.hosts]
    if check:
        found, problems = _look(cluster, variables).results(HostReset, names)
        for line in planned(found, problems):
            typer.echo(line)
        _echo_backups(found, names, with_backups=with_backups)
        raise typer.Exit(1 if problems else 0)
    count = f"{len(names)} host{'' if len(names) == 1 else 's'}"
    typer.echo(f"This removes the cluster {cluster.name} from {count}: {', '.join(names)}")
    typer.echo("All that it holds is lost: every object in etcd, every pod, every volume on the hosts.")
    if not yes:
        need_terminal("a reset")
        found, _ = _look(cluster, variables).results(HostReset, names)
        _echo_backups(found, names, with_backups=with_backups)
        confirm_by_name(cluster, "a reset")
    play(cluster, inventory, ["reset"], extra_vars=variables).required(HostReset, names)
    (cluster.state_directory / "kubeconfig").unlink(missing_ok=True)


def _look(cluster: Cluster, variables: dict[str, Any]) -> RunResult:
    """What each host would lose. Hosts that do not answer are among the failures."""
    from rich.console import Console

    from kubeinstall import runs

    with Console(stderr=True).status("Asking the hosts"):
        return runs.run([paths.playbook("reset")], cluster.inventory, check=True, extra_vars=variables)


def planned(found: Mapping[str, HostReset], problems: list[str]) -> Iterator[str]:
    """What would be removed, per host; then of which hosts that is not known."""
    for name, one in found.items():
        yield f"{name}: {'would be removed:' if one.removed else 'nothing to remove'}"
        yield from (f"    {what}" for what in one.removed)
        yield from (f"    kept: {what}" for what in one.kept)
    yield from problems


def _echo_backups(found: Mapping[str, HostReset], names: list[str], *, with_backups: bool) -> None:
    silent = [name for name in names if name not in found]
    if silent:
        typer.echo(f"Backups of etcd on {', '.join(silent)} are not known: these hosts do not answer")
    if with_backups:
        typer.echo("Backups of etcd in /var/lib/etcd-backup on the members are removed, too (--with-backups)")
    for line in backups(found):
        typer.echo(line)


def backups(found: Mapping[str, HostReset]) -> Iterator[str]:
    """The backups that stay, per host."""
    for name, one in found.items():
        if one.backups.count:
            kept = f"{one.backups.count} in {one.backups.directory}, the newest of {one.backups.newest}"
            yield f"Backups of etcd on {name} are kept: {kept} (--with-backups removes them)"
