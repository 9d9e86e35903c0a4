"""`kubeinstall etcd backup` and `restore`: what the cluster holds, as a file on this machine, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kubeinstall import backups
from kubeinstall.cli_runs import play, refuse_unknown
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, InventoryPath, confirm_by_name, load_cluster
from kubeinstall.errors import InputError
from kubeinstall.pki import PKI
from kubeinstall.results import EtcdBackup, EtcdRestore

__all__ = ["backup", "restore"]

# A text: a path forgets the slash at its end.
To = Annotated[
    str,
    typer.Option(
        "--to", metavar="FILE", help="A file, or an existing folder; .kubeinstall/backups of the inventory by default."
    ),
]
From = Annotated[
    str, typer.Option("--from", metavar="HOST", help="The data of this member alone, also without a quorum.")
]
Stored = Annotated[bool, typer.Option("--stored", help="With --from: the newest backup on that member's disk.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A backup that `etcd backup` or a member's timer took.")]


def backup(
    inventory: InventoryPath = DEFAULT_INVENTORY,
    to: To = "",
    source: From = "",
    stored: Stored = False,
    check: Check = False,
) -> None:
    """Take a snapshot from a member that answers, prove it by a trial restore, and bring it here.

    Its digest and what is known of it go into FILE.json. Only you may read either. With --from it is made of that
    member's data alone, also without a quorum: a member that does not answer is stopped while its data is copied.
    """
    cluster = load_cluster(inventory)
    members = [host.name for host in cluster.etcd]
    if source:
        refuse_unknown("etcd member", [source], members)
    elif stored:
        raise InputError("--stored needs the member whose backup is fetched", remedy=f"--from {members[0]}")
    place = backups.destination(to, cluster.state_directory, cluster.name)
    variables: dict[str, Any] = {"backup_file": str(place)}
    variables |= {"backup_from": source, "backup_stored": stored} if source else {}
    place = Path(play(cluster, inventory, ["etcd_backup"], check=check, extra_vars=variables).one(EtcdBackup).file)
    if not check:
        size = place.stat().st_size / 1e6
        taken = backups.read(place).facts
        typer.echo(f"{place} ({size:.1f} MB) holds the data of the cluster {cluster.name} at {taken['time']}")


def restore(
    file: File,
    inventory: InventoryPath = DEFAULT_INVENTORY,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    check: Check = False,
) -> None:
    """Make a backup what the cluster holds, on all its members.

    The backup is proven on every member first: one that is truncated, altered or another cluster's is refused before
    anything is touched. The store until now is kept aside.
    """
    cluster, found = load_cluster(inventory), backups.read(file.absolute())
    backups.check_key(found, PKI(cluster.pki_directory))
    members = [host.name for host in cluster.etcd]
    typer.echo(f"This replaces all that the cluster {cluster.name} holds by what it held at {_taken(found)}")
    typer.echo(f"The API is away meanwhile. Members of etcd: {', '.join(members)}")
    if not yes and not check:
        confirm_by_name(cluster, "a restore")
    variables = {"restore_file": str(found.path), "restore_confirm": True}
    result = play(cluster, inventory, ["etcd_restore"], check=check, extra_vars=variables)
    restored = result.required(EtcdRestore, members).values()
    kept = dict.fromkeys(one.kept for one in restored if one.kept)
    if kept and not check:
        typer.echo(f"The store until now is kept on the members, in {', '.join(kept)}: remove it when nobody misses it")


def _taken(found: backups.Backup) -> str:
    if not found.facts.get("time"):
        return f"an unknown time ({found.path.name})"
    return f"{found.facts['time']} (from {found.facts.get('member', 'an unknown member')})"
