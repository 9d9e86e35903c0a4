"""`kubeinstall certs`: every certificate of the cluster, and new ones in their place."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from kubeinstall import access, certs
from kubeinstall.cli_runs import provision
from kubeinstall.cli_support import DEFAULT_INVENTORY, Check, Diff, InventoryPath, Limit, load_cluster

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True, epilog="Example: kubeinstall certs --json")
def certificates(
    context: typer.Context,
    inventory: InventoryPath = DEFAULT_INVENTORY,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """List every certificate with its host, what it is for, who signed it and the days it has left.

    The exit code is 1 when one has expired or can't be read, or a host does not answer.
    """
    if context.invoked_subcommand:
        return
    cluster = load_cluster(inventory)
    with Console(stderr=True).status("Asking the hosts"):
        found, silent = certs.ask(cluster)
    problems = [*silent, *certs.problems(found)]
    if as_json:
        listed = [{**one, "renew": certs.late(one)} for one in found]
        typer.echo(json.dumps({"cluster": cluster.name, "certificates": listed, "problems": problems}, indent=2))
    else:
        console = Console()
        certs.show(console, found)
        for problem in problems:
            console.print(Text(problem, "red"), soft_wrap=True)
    raise typer.Exit(1 if problems else 0)


@app.command(epilog="Example: kubeinstall certs renew --limit node2")
def renew(
    inventory: InventoryPath = DEFAULT_INVENTORY, check: Check = False, diff: Diff = False, limit: Limit = ""
) -> None:
    """Renew the hosts' certificates and your own.

    Expired ones too. Services that read new certificates by themselves are not restarted. The CAs stay.
    `kubeinstall apply` renews what has less than 30 days left, and nothing else.
    """
    variables = {"kubeinstall_renew_certificates": True}
    provision(inventory, ["site"], check=check, diff=diff, limit=limit, extra_vars=variables)
    if not check and not limit:
        cluster = load_cluster(inventory)
        (cluster.state_directory / "kubeconfig").unlink(missing_ok=True)
        typer.echo(f"Your own is new too, in {access.kubeconfig(cluster).path}")
