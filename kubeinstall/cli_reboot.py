"""`kubeinstall reboot`: runs playbooks/reboot.yml, after a look at what it costs and a question."""

from __future__ import annotations

from typing import Annotated

import typer

from kubeinstall.cli_membership import Yes, ask
from kubeinstall.cli_runs import play
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, InventoryPath, load_cluster
from kubeinstall.reboot import foreseen, in_order, to_reboot
from kubeinstall.results import Rebooted

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Example: kubeinstall reboot --check    or    kubeinstall reboot node-1 node-2 --yes")
def reboot(
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="HOST", help="Hosts by their names in the inventory; none: all.")
    ] = None,
    inventory: InventoryPath = DEFAULT_INVENTORY,
    check: Check = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that a run which was cut short has rebooted already.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Reboot hosts one after another: nodes first, then control planes, then members of etcd on hosts of their own.

    Each is drained, rebooted, waited for until all of it is well, and takes pods again, before the next one's turn. A
    failure leaves the rest untouched, and the next run goes on from there. What would cost etcd its quorum or the API
    its last server, and a disruption budget in the way, is refused before anything happens.
    """
    cluster, names = load_cluster(inventory), list(hosts or ())
    in_order(cluster, names)
    variables = {"reboot_hosts": names, "reboot_again": again}
    looked = play(cluster, inventory, ["reboot"], check=True, extra_vars=variables)
    for line in foreseen(cluster, names, looked):
        typer.echo(line)
    if check:
        return
    ask(cluster, "Reboot them, one after another?", yes)
    done = play(cluster, inventory, ["reboot"], extra_vars=variables)
    done.required(Rebooted, to_reboot(cluster, names, done))
