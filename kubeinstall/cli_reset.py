"""`kubeinstall reset`: runs playbooks/reset.yml, after a look at what would go and a question."""

from __future__ import annotations

from collections.abc import Iterator
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

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.events import RunResult

__all__ = ["app", "backups", "planned"]

TASK = "Take the cluster off the host"

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
        looked = _look(cluster, variables)
        for line in planned(looked, names):
            typer.echo(line)
        _echo_backups(looked, with_backups=with_backups)
        raise typer.Exit(1 if looked.failures else 0)
    count = f"{len(names)} host{'' if len(names) == 1 else 's'}"
    typer.echo(f"This removes the cluster {cluster.name} from {count}: {', '.join(names)}")
    typer.echo("All that it holds is lost: every object in etcd, every pod, every volume on the hosts.")
    if not yes:
        need_terminal("a reset")
        _echo_backups(_look(cluster, variables), with_backups=with_backups)
        confirm_by_name(cluster, "a reset")
    play(cluster, inventory, ["reset"], extra_vars=variables)
    (cluster.state_directory / "kubeconfig").unlink(missing_ok=True)


def _look(cluster: Cluster, variables: dict[str, Any]) -> RunResult:
    """What each host would lose. Hosts that do not answer are among the failures."""
    from rich.console import Console

    from kubeinstall import runs

    with Console(stderr=True).status("Asking the hosts"):
        return runs.run([paths.playbook("reset")], cluster.inventory, check=True, extra_vars=variables)


def planned(looked: RunResult, names: list[str]) -> Iterator[str]:
    """What would be removed, per host."""
    answers = looked.returned(TASK)
    for name in names:
        if name not in answers:
            reason = next((one.message for one in looked.failures if one.host == name), "no answer")
            yield f"{name}: not known: {reason}"
            continue
        found = answers[name]
        yield f"{name}: {'would be removed:' if found['removed'] else 'nothing to remove'}"
        yield from (f"    {what}" for what in found["removed"])
        yield from (f"    kept: {what}" for what in found["kept"])


def _echo_backups(looked: RunResult, *, with_backups: bool) -> None:
    silent = sorted({one.host for one in looked.failures if one.host})
    if silent:
        typer.echo(f"Backups of etcd on {', '.join(silent)} are not known: these hosts do not answer")
    if with_backups:
        typer.echo("Backups of etcd in /var/lib/etcd-backup on the members are removed, too (--with-backups)")
    for line in backups(looked, TASK):
        typer.echo(line)


def backups(result: RunResult, task: str) -> Iterator[str]:
    """The backups that stay, per host."""
    for name, answer in result.returned(task).items():
        found = answer.get("backups") or {}
        if found.get("count"):
            kept = f"{found['count']} in {found['directory']}, the newest of {found['newest']}"
            yield f"Backups of etcd on {name} are kept: {kept} (--with-backups removes them)"
