"""`kubeinstall verify`: runs playbooks/verify.yml, and shows each check on each host."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.text import Text

from kubeinstall import report, runs
from kubeinstall.cli_support import DEFAULT_INVENTORY, InventoryPath, load_cluster
from kubeinstall.events import Event
from kubeinstall.paths import playbook
from kubeinstall.verify import read, show

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Example: kubeinstall verify -i inventory/production")
def verify(
    inventory: InventoryPath = DEFAULT_INVENTORY,
    as_json: bool = typer.Option(False, "--json", help="Print it for programs."),
) -> None:
    """Prove from outside that the cluster does its work.

    Every component answers its own health check; certificates match their hosts and dates; every node is Ready at the
    right version; pods on different hosts reach each other; ClusterIP, NodePort and DNS work from every node and from a
    pod on it; etcd holds what the API wrote. The exit code is 1 when something is wrong.
    """
    cluster, console = load_cluster(inventory), Console()
    errors = Console(stderr=True)
    with runs.alone(inventory), errors.status("Verifying") as status, report.waits(errors) as waits:

        def say(event: Event) -> None:
            waits.hear(event)
            if event.kind == "task":
                status.update(event.task)

        result = runs.run([playbook("verify")], inventory, on_event=say)
        if result.status == "interrupted":
            status.update("Interrupted: taking the pods away")
            runs.run([playbook("verify_clean")], inventory)
    if result.status == "interrupted":
        raise typer.Exit(130)
    found = read(result, cluster.hosts, cluster.api_balancer)
    if as_json:
        checks = [
            {"check": c.check, "host": c.host, "problems": list(c.problems), "detail": c.detail} for c in found.checks
        ]
        typer.echo(json.dumps({"cluster": cluster.name, "checks": checks, "problems": found.problems}, indent=2))
    else:
        show(console, found)
        if not found.problems:
            words = f"The cluster {cluster.name} does its work ({result.seconds:.1f} s)"
            console.print(Text(words, "green"), soft_wrap=True)
    raise typer.Exit(1 if found.problems or result.status != "ok" else 0)
