"""`kubeinstall etcd add|remove|replace`: members come and go."""

from __future__ import annotations

from kubeinstall.cli_membership import Hosts, Yes
from kubeinstall.cli_membership import add as add_
from kubeinstall.cli_membership import remove as remove_
from kubeinstall.cli_membership import replace as replace_
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, Diff, InventoryPath, WithBackups

__all__ = ["add", "remove", "replace"]


def add(hosts: Hosts, inventory: InventoryPath = DEFAULT_INVENTORY, check: Check = False, diff: Diff = False) -> None:
    """Let hosts that are newly listed in the group etcd join, one by one; no other member is restarted.

    The API servers are told of them afterwards, one by one.
    """
    add_(inventory, "etcd", hosts, check=check, diff=diff)


def remove(
    hosts: Hosts,
    inventory: InventoryPath = DEFAULT_INVENTORY,
    check: Check = False,
    with_backups: WithBackups = False,
    yes: Yes = False,
) -> None:
    """Take members out, and their data off their hosts. Refused where the others would be no quorum.

    Backups of etcd on their disks stay, unless --with-backups is given.
    """
    remove_(inventory, "etcd", hosts, check=check, yes=yes, with_backups=with_backups)


def replace(
    hosts: Hosts,
    inventory: InventoryPath = DEFAULT_INVENTORY,
    check: Check = False,
    diff: Diff = False,
    yes: Yes = False,
) -> None:
    """Let members begin anew from the others' data: those that lost theirs, were damaged, or whose host is new."""
    replace_(inventory, hosts, check=check, diff=diff, yes=yes)
