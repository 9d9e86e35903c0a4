"""`kubeinstall etcd`: the store of the cluster's state, its members and its backups."""

from __future__ import annotations

import typer

from kubeinstall.cli_etcd_backup import backup, restore
from kubeinstall.cli_etcd_credentials import credentials
from kubeinstall.cli_etcd_members import add, remove, replace

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def _etcd() -> None:
    """The store of the cluster's state: its members, its backups."""


app.command(epilog="Example: kubeinstall etcd add control-3")(add)
app.command(epilog="Example: kubeinstall etcd remove control-3")(remove)
app.command(epilog="Example: kubeinstall etcd replace control-2")(replace)
app.command(epilog="Example: kubeinstall etcd credentials shop --out ./shop")(credentials)
app.command(epilog="Example: kubeinstall etcd backup --to ~/backups")(backup)
app.command(epilog="Example: kubeinstall etcd restore .kubeinstall/backups/lab-20260101T000000Z.db")(restore)
