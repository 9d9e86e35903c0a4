"""What the commands that change the membership share: what will be done, a question, the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubeinstall.cli_runs import play, provision
from kubeinstall.cli_support import load_cluster, need_terminal
from kubeinstall.membership import WORDS, check_change
from kubeinstall.results import EtcdRemoval, HostReset, NodeRemoval

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.events import RunResult

__all__ = ["Hosts", "Yes", "add", "ask", "remove", "replace", "sub_app"]

Hosts = Annotated[list[str], typer.Argument(metavar="HOST...", help="Hosts by their names in the inventory.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


def sub_app(name: str, help_text: str) -> typer.Typer:
    return typer.Typer(
        name=name,
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def add(inventory: Path, kind: str, names: Sequence[str], *, check: bool, diff: bool) -> None:
    """Provisions hosts that are newly listed, and tells those that have to know of them. Nothing else is touched.

    Only with the second control plane every host is: each gets a balancer of its own, and goes to the API by it.
    """
    from kubeinstall.cluster.balancer import LOCAL

    cluster = load_cluster(inventory)
    check_change(cluster, "add", kind, names)
    added = {"membership_kind": kind, "membership_welcome": list(names)}
    provision(inventory, ["site"], check=check, diff=diff, limit=",".join(names), extra_vars=added)
    before = len(cluster.control_plane) - len(names)
    first_balancers = kind == "control_plane" and before == 1 and cluster.api_balancer == LOCAL
    unchanged = f"No other host {'would change' if check else 'had to change'}"
    rest = ["site" if first_balancers else "added"]
    play(cluster, inventory, rest, check=check, diff=diff, extra_vars=added, unchanged=unchanged)
    if not check:
        what = "etcd" if kind == "etcd" else f"the cluster {cluster.name}"
        typer.echo(f"Added to {what}: {', '.join(names)}")


def remove(
    inventory: Path, kind: str, names: Sequence[str], *, check: bool, yes: bool, with_backups: bool = False
) -> None:
    """Takes hosts out, after a look at what it costs and a question."""
    cluster = load_cluster(inventory)
    check_change(cluster, "remove", kind, names)
    hosts = {"membership_hosts": list(names), "reset_with_backups": with_backups}
    looked = play(cluster, inventory, [f"{kind}_remove"], check=True, extra_vars=hosts)
    if kind != "node":
        looked.required(EtcdRemoval, [host.name for host in cluster.etcd if host.name in names])
    for line in foreseen(looked, names if kind != "etcd" else []):
        typer.echo(line)
    for name in silent(looked, names):
        typer.echo(f"{name} does not answer over SSH: it is taken out all the same, and nothing is cleaned there")
    if check:
        return
    ask(cluster, f"Take {', '.join(names)} out of {'etcd' if kind == 'etcd' else 'the cluster'}?", yes)
    done = play(cluster, inventory, [f"{kind}_remove"], extra_vars=hosts)
    away = silent(done, names)
    done.required(HostReset, [name for name in names if name not in away])
    for name in away:
        again = f"kubeinstall {WORDS[kind][0]} remove {name}"
        typer.echo(f"{name} did not answer, and still carries its part: once it does, clean it by {again} again")
    option = f" -i {inventory}"
    group = f"the group {kind}" if kind == "etcd" else "all groups"
    typer.echo(f"Next: take {', '.join(names)} out of {group} of the inventory, then kubeinstall apply{option}")


def replace(inventory: Path, names: Sequence[str], *, check: bool, diff: bool, yes: bool) -> None:
    """Lets members of etcd begin anew from the others' data."""
    cluster = load_cluster(inventory)
    check_change(cluster, "replace", "etcd", names)
    for name in names:
        typer.echo(f"{name} leaves etcd, its data there is wiped, and it joins again with that of the other members")
    if not check:
        ask(cluster, f"Replace {', '.join(names)}?", yes)
    hosts = {"membership_hosts": list(names)}
    play(cluster, inventory, ["etcd_replace"], check=check, diff=diff, extra_vars=hosts)


def foreseen(result: RunResult, nodes: Sequence[str]) -> Iterator[str]:
    """What the check run of the removal of these nodes has found, in sentences."""
    unreachable = silent(result, nodes)
    for name, found in result.required(NodeRemoval, nodes).items():
        yield from _pods(name, found, unreachable=name in unreachable)


def _pods(name: str, found: NodeRemoval, *, unreachable: bool) -> Iterator[str]:
    count = len(found.pods)
    if not found.there:
        yield f"{name} is not a node of the cluster (any more)"
        return
    if found.silent and unreachable:
        yield f"{name}: the host is unreachable; its {count} pods will be force-deleted while they may still run"
    elif found.silent:
        yield (
            f"{name}: its kubelet does not report; the containers of its {count} pods will be ended on the host, then"
            " the pods will be force-deleted"
        )
    else:
        yield f"{name}: {count} pods will be evicted: {', '.join(found.pods) or 'none'}"
    if found.lost:
        yield f"{name}: unmanaged pods, lost for good: {', '.join(found.lost)}"
    if found.empty_dirs:
        yield f"{name}: emptyDir data will be deleted with these pods: {', '.join(found.empty_dirs)}"


def silent(result: RunResult, names: Sequence[str]) -> list[str]:
    return [name for name in names if any(e.kind == "unreachable" and e.host == name for e in result.events)]


def ask(cluster: Cluster, question: str, yes: bool) -> None:
    """Goes on only where the user says yes; exits otherwise."""
    if yes:
        return
    need_terminal("this")
    if not typer.confirm(f"{question} The cluster is {cluster.name}"):
        typer.echo("Nothing was touched")
        raise typer.Exit(1)
