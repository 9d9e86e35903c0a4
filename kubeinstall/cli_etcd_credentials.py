"""`kubeinstall etcd credentials`: what lets an application in to its own part of etcd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kubeinstall.access import write_private
from kubeinstall.certificates import CertificateRequest
from kubeinstall.cli_support import DEFAULT_INVENTORY, InventoryPath, load_cluster
from kubeinstall.errors import InputError, KubeinstallError
from kubeinstall.pki import PKI

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster

__all__ = ["credentials", "write"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="An application of etcd_application_users.")]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="The folder to write; only you may read what is there.")
]


def credentials(name: Name, out: Out, inventory: InventoryPath = DEFAULT_INVENTORY) -> None:
    """Write a certificate and its key, by which an application is let in to its own part of etcd.

    Each call makes another one: those that were made before go on. It lasts a year.
    """
    cluster = load_cluster(inventory)
    write(cluster, name, out)
    endpoints = ",".join(f"https://{host.address}:2379" for host in cluster.etcd)
    typer.echo(f"{out}/ca.crt, {name}.crt and {name}.key reach the keys below {cluster.applications[name]} of etcd at")
    typer.echo(endpoints)
    typer.echo(f"Once `kubeinstall apply` has made the user {name}; docs/applications.md says how a pod gets them")


def write(cluster: Cluster, name: str, out: Path) -> None:
    """The authority's certificate, the application's and its key. Raises KubeinstallError, and writes nothing then."""
    if name not in cluster.applications:
        known = ", ".join(sorted(cluster.applications)) or "none so far"
        remedy = f"it names {known}; add {name}: {{prefix: /apps/{name}/}} to it, and apply"
        raise InputError(f"{name} is no application of etcd_application_users", remedy=remedy)
    if out.is_dir() and any(out.iterdir()):
        raise InputError("there is something in it already", where=str(out), remedy="name another folder")
    pki = PKI(cluster.pki_directory)
    request = CertificateRequest("etcd", name, (), (), (), frozenset({"client"}))
    certificate, key = pki.issue(request)
    try:
        out.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise KubeinstallError(f"cannot make it: {error.strerror}", where=str(out)) from error
    for file, text in (("ca.crt", pki.read("etcd/ca.crt")), (f"{name}.crt", certificate), (f"{name}.key", key)):
        write_private(out / file, text)
