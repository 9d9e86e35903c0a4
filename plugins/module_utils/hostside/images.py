"""The images of a host's container engine, which kubelet's containers use: in containerd a namespace, in Docker all."""

from __future__ import annotations

import functools
import json
import socket
import threading
from typing import Any, Dict, Iterable, List, Literal, NamedTuple, Optional, Set

from .answers import Answer
from .engines import DOCKER, docker, engine
from .errors import HostError
from .files import clear_delivery
from .host import Host

SOCKET = "/run/containerd/containerd.sock"
DOCKER_SOCKET = "/run/docker.sock"
CTR = ["ctr", "--connect-timeout", "5s", "--namespace", "k8s.io"]
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


class Lacking(NamedTuple):
    architecture: Literal["amd64", "arm64"]
    missing: List[str]


# Each of the archives may take 600 s.
ANSWERS = {"main": Answer(Lacking, seconds=3600)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    """What the `image` task asks of a host.

    spec: images {reference: id, the digest of its configuration}, archives [path on the host] to be loaded first.
    Returns {architecture, missing: [reference]} of those the engine lacks, or has with another id, after loading.
    """
    host = Host()
    if not _listens(DOCKER_SOCKET if engine(host) == DOCKER else SOCKET):
        raise HostError("no container engine runs on this host: run kubeinstall apply, or the role container_engine")
    names_digests = bool(spec["archives"]) and engine(host) != DOCKER
    before = _targets(host) if names_digests else {}
    for archive in spec["archives"]:
        load(archive)
    if names_digests:
        _name_by_digest(host, before)
    clear_delivery(spec["archives"])
    there = identities(list(spec["images"]))
    missing = [reference for reference, wanted in spec["images"].items() if there.get(reference) != wanted]
    return {"architecture": host.architecture, "missing": missing}


def _listens(path: str) -> bool:
    """An engine that was stopped may leave its socket behind."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(path) == 0


def _targets(host: Host) -> Dict[str, str]:
    """{name: digest of its manifest or index} of all images; none where no containerd runs (yet)."""
    if not _listens(SOCKET):
        return {}
    lines = host.run([*CTR, "images", "ls"]).stdout.splitlines()[1:]
    return {fields[0]: fields[2] for fields in (line.split() for line in lines) if len(fields) > 2}


def _name_by_digest(host: Host, before: Dict[str, str]) -> None:
    """Give images that containerd has loaded the name by digest that a pull gives: pinned references ask for it."""
    for name, digest in sorted(_targets(host).items()):
        if before.get(name) != digest and "@" not in name:
            host.run([*CTR, "images", "tag", "--force", name, normalized(f"{name}@{digest}")])


def present(references: Iterable[str], component: str = "") -> Set[str]:
    """Those of `references` that the host's engine has; that of `component` where it belongs to one."""
    host = Host()
    if engine(host, component) == DOCKER:
        return set(_in_docker(host, references))
    there = _targets(host)
    return {reference for reference in references if normalized(reference) in there}


def identities(references: Iterable[str]) -> Dict[str, Optional[str]]:
    """{reference: sha256:… of the image's configuration} of those there: the digest names all its content."""
    host = Host()
    if engine(host) == DOCKER:
        return dict(_in_docker(host, references))
    there = _targets(host)
    names = {reference: there.get(normalized(reference)) for reference in references}
    return {reference: _configuration(host, digest) for reference, digest in names.items() if digest}


def _in_docker(host: Host, references: Iterable[str]) -> Dict[str, str]:
    """{reference: its id} of those there; none where Docker does not run (yet)."""
    if not _listens(DOCKER_SOCKET):
        return {}
    form = "{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}"
    listed = docker(host, "image", "ls", "--no-trunc", "--digests", "--format", form).splitlines()
    there = {}
    for name, tag, digest, identity in (line.split() for line in listed):
        there.update({normalized(full): identity for full in (f"{name}:{tag}", f"{name}@{digest}")})
    named = {reference: normalized(reference) for reference in references}
    return {reference: there[name] for reference, name in named.items() if name in there}


def _configuration(host: Host, digest: str) -> Optional[str]:
    shown = host.run([*CTR, "content", "get", digest], check=False)
    if shown.returncode != 0:
        return None
    manifest = json.loads(shown.stdout)
    if manifest.get("mediaType") not in INDEXES and "manifests" not in manifest:
        return str(manifest["config"]["digest"])
    for item in manifest["manifests"]:
        platform = item.get("platform") or {}
        # An entry without a platform is one that was saved by an engine that has only its own.
        if platform.get("architecture", host.architecture) == host.architecture:
            return _configuration(host, item["digest"])
    return None


def load(archive: str) -> None:
    """Load an archive of `docker save`'s format, or an OCI layout in a tar."""
    host = Host()
    if engine(host) == DOCKER:
        docker(host, "load", "--quiet", "--input", archive, timeout=600)
    else:
        host.run([*CTR, "images", "import", archive], timeout=600)


def normalized(reference: str) -> str:
    """A reference in full: what Docker abbreviates has its registry, folder and tag. A digest stands for the tag."""
    registry, slash, name = reference.partition("/")
    if not slash or ("." not in registry and ":" not in registry and registry != "localhost"):
        registry, name = "docker.io", reference
    if registry == "docker.io" and "/" not in name:
        name = f"library/{name}"
    name, _, digest = name.partition("@")
    if digest:
        folder, slash, last = name.rpartition("/")
        return f"{registry}/{folder}{slash}{last.partition(':')[0]}@{digest}"
    reference = f"{registry}/{name}"
    last = reference.rsplit("/", 1)[-1]
    return reference if ":" in last else f"{reference}:latest"


def registry_answers(reference: str, timeout: float = 3) -> bool:
    """Whether the registry of an image speaks to this host, within `timeout` seconds; proxies are the environment's."""
    name = normalized(reference).partition("/")[0]
    return _answers("registry-1.docker.io" if name == "docker.io" else name, timeout)


@functools.lru_cache(maxsize=None)
def _answers(registry: str, timeout: float) -> bool:
    # Here, since most runs find every image in its place and do not have to wait for these.
    import urllib.error
    import urllib.request

    answered: List[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(f"https://{registry}/v2/", timeout=timeout).close()
            answered.append(True)
        except urllib.error.HTTPError as error:
            answered.append(error.code == 401)
        except (OSError, ValueError):
            pass

    # Looking up a name knows no time limit of its own: a host without a name server would wait for half a minute.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answered and answered[0])
