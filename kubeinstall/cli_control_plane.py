"""`kubeinstall control-plane`: control planes come and go, with the members of etcd on them."""

from __future__ import annotations

from kubeinstall.cli_membership import Hosts, Yes, sub_app
from kubeinstall.cli_membership import add as add_
from kubeinstall.cli_membership import remove as remove_
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, Diff, InventoryPath, WithBackups

__all__ = ["app"]

app = sub_app("control-plane", "Control planes come and go, each with its member of etcd where it is listed as one.")


@app.command(epilog="Example: kubeinstall control-plane add control-4")
def add(hosts: Hosts, inventory: InventoryPath = DEFAULT_INVENTORY, check: Check = False, diff: Diff = False) -> None:
    """Make control planes of hosts that are newly listed in the group control_plane.

    Where it is listed in the group etcd too, it joins that first, and the API servers are told of it one by one.
    """
    add_(inventory, "control_plane", hosts, check=check, diff=diff)


@app.command(epilog="Example: kubeinstall control-plane remove control-3")
def remove(
    hosts: Hosts,
    inventory: InventoryPath = DEFAULT_INVENTORY,
    check: Check = False,
    with_backups: WithBackups = False,
    yes: Yes = False,
) -> None:
    """Take control planes out, their members of etcd first, and the cluster off them.

    Refused for the last one, and for a member without which etcd would have no quorum. A host that is off is taken out
    all the same.
    """
    remove_(inventory, "control_plane", hosts, check=check, yes=yes, with_backups=with_backups)
