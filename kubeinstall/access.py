"""How the operator reaches the cluster: a kubeconfig with a certificate of its own, and the pinned kubectl."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from kubeinstall.certificates import CertificateRequest
from kubeinstall.components import fetch, machine_architecture
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.components import Progress

__all__ = ["OPERATOR", "kubeconfig", "kubectl", "server_of", "write_private"]

# How long an API server has to say that it is ready, before the next one is asked.
SECONDS = 2

# The group is bound to cluster-admin by the cluster's own roles: unlike system:masters it can be taken away again.
OPERATOR = CertificateRequest(
    authority="kubernetes",
    common_name="kubernetes-admin",
    organizations=("kubeinstall:cluster-admins",),
    names=(),
    addresses=(),
    usages=frozenset({"client"}),
)


def kubeconfig(cluster: Cluster) -> Path:
    """The operator's kubeconfig in the cluster's state directory, 0600; made, or made anew when it no longer does.

    Where there are several API servers it names one that answers: the one that it named before, while that does.
    Raises KubeinstallError while the cluster has not been formed, PKIError when the authority's key is needed and away.
    """
    pki = PKI(cluster.pki_directory)
    if pki.formed is None:
        raise KubeinstallError(
            f"the cluster {cluster.name} does not exist yet",
            where=str(cluster.inventory),
            remedy=f"install it first: kubeinstall apply -i {cluster.inventory}",
        )
    path = cluster.state_directory / "kubeconfig"
    authority = pki.read("kubernetes/ca.crt")
    before = _read(path, pki, authority)
    # Whatever was named before and is none of the cluster's any more goes, and its certificate with it.
    kept = before if before and before.server in cluster.api_servers else None
    server = _answering(cluster.api_servers, authority, kept.server if kept else "")
    if kept is None or kept.server != server:
        certificate, key = (kept.certificate, kept.key) if kept else pki.issue(OPERATOR)
        write_private(path, _render(cluster.name, server, authority, certificate, key))
    return path


def server_of(config: Path) -> str:
    """The URL that a kubeconfig of ours names."""
    return str(yaml.safe_load(config.read_text(encoding="utf-8"))["clusters"][0]["cluster"]["server"])


def kubectl(cluster: Cluster, progress: Progress | None = None) -> Path:
    """The kubectl of the cluster's version, from the component cache; fetched when it is not there."""
    versions = {"kubernetes": cluster.kubernetes_version}
    found = fetch(["kubectl"], versions=versions, architecture=machine_architecture(), progress=progress)
    return found[0].path


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all. Raises KubeinstallError where that fails."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            # mkstemp makes it 0600.
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        what = f"cannot write it: {error.strerror}"
        raise KubeinstallError(what, where=str(path), remedy="name a file in a folder you may write to") from error


@dataclass(frozen=True)
class _Access:
    """What a kubeconfig says: the API's URL, and the operator's certificate and key in PEM."""

    server: str
    certificate: str
    key: str


def _read(path: Path, pki: PKI, authority: str) -> _Access | None:
    """The kubeconfig there, if it is of this authority and its certificate good for a while yet."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        target, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        pair = [base64.b64decode(user[f"client-{part}-data"]).decode() for part in ("certificate", "key")]
        found = _Access(str(target["server"]), *pair)
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
        return None
    if target.get("certificate-authority-data") != _encoded(authority) or pki.problems(found.certificate, OPERATOR):
        return None
    return found


def _answering(servers: Sequence[str], authority: str, first: str) -> str:
    """One that is ready, `first` if it is. Where none is, the caller's own try says why."""
    ordered = sorted(servers, key=lambda server: server != first)
    if len(ordered) == 1:
        return ordered[0]
    context = ssl.create_default_context(cadata=authority)
    return next((server for server in ordered if _ready(server, context)), ordered[0])


def _ready(server: str, context: ssl.SSLContext) -> bool:
    url = urlsplit(server)
    connection = http.client.HTTPSConnection(url.netloc, timeout=SECONDS, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _render(name: str, server: str, authority: str, certificate: str, key: str) -> str:
    user = f"{name}-admin"
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _encoded(authority)}}],
        "users": [
            {"name": user, "user": {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}}
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
