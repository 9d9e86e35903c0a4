"""How the operator reaches the cluster: a kubeconfig with a certificate of its own, and the pinned kubectl."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kubeinstall.certificates import CertificateRequest
from kubeinstall.components import fetch, machine_architecture
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.components import Progress

__all__ = ["OPERATOR", "kubeconfig", "kubectl", "write_private"]

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
    if not _does(path, pki, authority, cluster.api_server):
        certificate, key = pki.issue(OPERATOR)
        write_private(path, _render(cluster.name, cluster.api_server, authority, certificate, key))
    return path


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


def _does(path: Path, pki: PKI, authority: str, server: str) -> bool:
    """Whether the kubeconfig there is of this authority, for this server, and its certificate good for a while yet."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        target, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        certificate = base64.b64decode(user["client-certificate-data"]).decode()
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
        return False
    if target.get("server") != server or target.get("certificate-authority-data") != _encoded(authority):
        return False
    return not pki.problems(certificate, OPERATOR)


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
