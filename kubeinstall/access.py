"""How the operator reaches the cluster: a kubeconfig with a certificate of its own, and the pinned kubectl.

Straight to an API server that answers this machine, or through SSH where none does.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import ssl
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from kubeinstall.certificates import CertificateRequest
from kubeinstall.components import fetch, machine_architecture
from kubeinstall.errors import KubeinstallError
from kubeinstall.forward import Forward, forward
from kubeinstall.pki import PKI
from kubeinstall.text import printable

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.components import Progress

__all__ = ["OPERATOR", "Kubeconfig", "Way", "kubeconfig", "kubectl", "way", "write_private"]

# How long an API server has to say that it is ready.
SECONDS = 2
SECONDS_THROUGH_SSH = 10
# The others are asked at the same time when the first one lets us wait so long.
HEAD_START_SECONDS = 0.3

# The group is bound to cluster-admin by the cluster's own roles: unlike system:masters it can be taken away again.
OPERATOR = CertificateRequest(
    authority="kubernetes",
    common_name="kubernetes-admin",
    organizations=("kubeinstall:cluster-admins",),
    names=(),
    addresses=(),
    usages=frozenset({"client"}),
)


@dataclass(frozen=True)
class Kubeconfig:
    """The operator's: the API server in it, whether that answers this machine, and the certificate and key in PEM."""

    path: Path
    server: str
    answers: bool
    certificate: str
    key: str


@dataclass(frozen=True)
class Way:
    """A kubeconfig that leads to an API server, and through the SSH of which control plane, if it does."""

    config: Path
    through: str = ""


def kubeconfig(cluster: Cluster) -> Kubeconfig:
    """The one in the cluster's state directory, 0600; made, or made anew when it no longer does.

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
    server, answers = _answering(cluster.api_servers, authority, kept.server if kept else "")
    certificate, key = (kept.certificate, kept.key) if kept else pki.issue(OPERATOR)
    made = Kubeconfig(path, server, answers, certificate, key)
    if kept is None or kept.server != server:
        write_private(path, _render(cluster.name, made, authority))
    return made


@contextlib.contextmanager
def way(cluster: Cluster, inventory: Path) -> Iterator[Way]:
    """How this machine reaches the API, for as long as the context lasts. Raises KubeinstallError where it does not.

    Straight to an API server wherever one answers, whatever it answers. Else by a port forward through SSH.
    """
    mine = kubeconfig(cluster)
    if mine.answers:
        yield Way(mine.path)
        return
    authority = PKI(cluster.pki_directory).read("kubernetes/ca.crt")
    context = ssl.create_default_context(cadata=authority)

    def unready(found: Forward) -> str:
        status, why = _asked(found.server, context, SECONDS_THROUGH_SSH, found.name)
        return "" if status == http.HTTPStatus.OK else f"its API server is not ready ({why or status})"

    with forward(cluster, inventory, unready) as found, tempfile.TemporaryDirectory(prefix="kubeinstall-") as folder:
        path = Path(folder) / "kubeconfig"
        write_private(path, _render(cluster.name, replace(mine, server=found.server), authority, found.name))
        yield Way(path, through=found.host)


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


def _read(path: Path, pki: PKI, authority: str) -> Kubeconfig | None:
    """The kubeconfig there, if it is of this authority and its certificate good for a while yet."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        target, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        pair = [base64.b64decode(user[f"client-{part}-data"]).decode() for part in ("certificate", "key")]
        found = Kubeconfig(path, str(target["server"]), False, *pair)
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
        return None
    if target.get("certificate-authority-data") != _encoded(authority) or pki.problems(found.certificate, OPERATOR):
        return None
    return found


def _answering(servers: Sequence[str], authority: str, first: str) -> tuple[str, bool]:
    """One that is ready, `first` if it is; else the one that answers, or was named before. And whether it answers."""
    best, *others = sorted(servers, key=lambda server: server != first)
    if _by_proxy(best):
        # Which servers answer there, only its callers can tell.
        return best, True
    context = ssl.create_default_context(cadata=authority)
    pool = ThreadPoolExecutor(len(servers))
    try:
        asked = {best: pool.submit(_asked, best, context, SECONDS)}
        wait(asked.values(), HEAD_START_SECONDS)
        if not asked[best].done() or asked[best].result()[0] != http.HTTPStatus.OK:
            asked |= {server: pool.submit(_asked, server, context, SECONDS) for server in others}
        answering = []
        for server, answer in asked.items():
            status, _ = answer.result()
            if status == http.HTTPStatus.OK:
                return server, True
            answering += [server] if status else []
    finally:
        # Those that are not waited for any more need not be.
        pool.shutdown(wait=False, cancel_futures=True)
    return next(iter(answering), best), bool(answering)


def _by_proxy(server: str) -> bool:
    """Whether kubectl would go to it by a proxy of the environment's."""
    bypassed = urllib.request.proxy_bypass(urlsplit(server).netloc)
    return "https" in urllib.request.getproxies() and not bypassed


def _asked(server: str, context: ssl.SSLContext, seconds: float, name: str = "") -> tuple[int, str]:
    """What it answers when it is asked whether it is ready, by HTTP's number; 0 and why for nothing at all.

    `name` is what its certificate is to say, where that is not the URL's.
    """
    url = urlsplit(server)
    try:
        with (
            socket.create_connection((url.hostname or "", url.port or 443), seconds) as plain,
            context.wrap_socket(plain, server_hostname=name or url.hostname) as stream,
        ):
            connection = http.client.HTTPConnection(url.netloc)
            connection.sock = stream
            connection.request("GET", "/readyz")
            return connection.getresponse().status, ""
    except (OSError, http.client.HTTPException) as error:
        return 0, printable(str(error))


def _render(name: str, access: Kubeconfig, authority: str, server_name: str = "") -> str:
    user = f"{name}-admin"
    pair = {"client-certificate-data": _encoded(access.certificate), "client-key-data": _encoded(access.key)}
    target = {"server": access.server, "certificate-authority-data": _encoded(authority)}
    target |= {"tls-server-name": server_name} if server_name else {}
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": target}],
        "users": [{"name": user, "user": pair}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
