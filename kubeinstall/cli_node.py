"""`kubeinstall node`: nodes come and go."""

from __future__ import annotations

from kubeinstall.cli_membership import Hosts, Yes, sub_app
from kubeinstall.cli_membership import add as add_
from kubeinstall.cli_membership import remove as remove_
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, Diff, InventoryPath

__all__ = ["app"]

app = sub_app("node", "Nodes come and go; the inventory lists them before they come and until they are gone.")


@app.command(epilog="Example: kubeinstall node add node-4")
def add(hosts: Hosts, inventory: InventoryPath = DEFAULT_INVENTORY, check: Check = False, diff: Diff = False) -> None:
    """Make nodes of hosts that are newly listed in the group node. Nothing is restarted anywhere else.

    A host that was removed before comes back by this, and by nothing else.
    """
    add_(inventory, "node", hosts, check=check, diff=diff)


@app.command(epilog="Example: kubeinstall node remove node-3    or    kubeinstall node remove node-3 --check")
def remove(hosts: Hosts, inventory: InventoryPath = DEFAULT_INVENTORY, check: Check = False, yes: Yes = False) -> None:
    """Drain nodes, take them out of the cluster, and the cluster off them.

    A disruption budget in the way is named before anything happens. A host that is off is taken out all the same.
    """
    remove_(inventory, "node", hosts, check=check, yes=yes)
