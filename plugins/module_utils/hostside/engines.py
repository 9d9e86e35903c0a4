"""Which container engine of ours a host has, and what Docker Engine has besides pods: it may be another's too."""

from __future__ import annotations

import re
from typing import List, Optional

from .host import Host
from .record import Record

# By the names of their components.
CONTAINERD, DOCKER = "container-engine", "docker"
OF_COMPONENTS = {"container-engine": CONTAINERD, "docker": DOCKER, "cri-dockerd": DOCKER}
# cri-dockerd names the containers of pods so.
OF_PODS = "k8s_"
# Of a volume that goes with its container.
ANONYMOUS = re.compile(r"[0-9a-f]{64}")


def engine(host: Host, component: str = "") -> Optional[str]:
    """CONTAINERD or DOCKER, None where there is none yet: the one that this component belongs to, else what is there.

    One whose place another is taking has no unit any more.
    """
    if component in OF_COMPONENTS:
        return OF_COMPONENTS[component]
    for name in (CONTAINERD, DOCKER):
        if Record(host, name).data.get("unit"):
            return name
    return None


def docker(host: Host, *arguments: str, timeout: float = 60) -> str:
    """What `docker ARGUMENTS` prints. Raises HostError with its own words."""
    return host.run(["docker", *arguments], timeout=timeout).stdout


def end_docker_pods(host: Host, *, check: bool) -> int:
    """Remove all containers of pods with their own volumes; how many there are."""
    listed = docker(host, "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}")
    pods = [line.split()[0] for line in listed.splitlines() if line.split()[1].startswith(OF_PODS)]
    if pods and not check:
        docker(host, "rm", "--force", "--volumes", *pods, timeout=300)
    return len(pods)


def others_of_docker(host: Host) -> List[str]:
    """What somebody else has in Docker Engine: containers that are no pods', and volumes that have a name."""
    names = docker(host, "ps", "--all", "--format", "{{.Names}}").split()
    others = [f"the container {name}" for name in names if not name.startswith(OF_PODS)]
    volumes = docker(host, "volume", "ls", "--quiet").split()
    return others + [f"the volume {name}" for name in volumes if not ANONYMOUS.fullmatch(name)]
