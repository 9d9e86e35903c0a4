"""Who asks the API and a Service every 100 ms while something is done to the cluster, and what they got.

    with traffic(cluster) as seen:
        ...
    assert seen.api.failures == 0
    assert seen.service.longest_gap < 10

The API is asked on a node, the way that node's own kubelet goes, and the Service on a control plane; both are hosts
that stay: name those that don't with `without`. What was seen is a row of the table at the end of the session.
"""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.table import Table

from tests.clusters import Cluster
from tests.lab import eventually

__all__ = ["Request", "Seen", "Traffic", "read_log", "rows", "table", "traffic", "weigh"]

CLIENT = Path(__file__).with_name("client.py")
DIRECTORY = "/run/traffic"
PORT = 8080

rows: list[Seen] = []
"""What was seen in this session, in order."""


@dataclass(frozen=True)
class Request:
    """One request: when it ended (seconds since 1970), what it was, how long it took (seconds), what went wrong, and
    whether the server had it asked once more before."""

    end: float
    what: str
    seconds: float
    wrong: str | None
    again: bool = False


@dataclass(frozen=True)
class Traffic:
    """What became of requests: how many there were and failed, the longest time (seconds) in which none succeeded,
    the slowest one that did (seconds), what went wrong how often, and how many were asked once more because a server
    that stops said so (a Retry-After)."""

    requests: int = 0
    failures: int = 0
    longest_gap: float = 0
    slowest: float = 0
    wrong: dict[str, int] = field(default_factory=dict)
    asked_again: int = 0


@dataclass
class Seen:
    """What both clients saw during a change; whole when the change has ended."""

    change: str
    api: Traffic = field(default_factory=Traffic)
    service: Traffic = field(default_factory=Traffic)


def table() -> Table:
    """The rows, to be printed."""
    asked = ("failed", "asked again", "longest gap")
    made = Table("change or fault", "API requests", *asked, "Service requests", *asked, box=box.SIMPLE)
    for seen in rows:
        made.add_row(seen.change, *_cells(seen.api), *_cells(seen.service))
    return made


def _cells(traffic: Traffic) -> tuple[str, ...]:
    return str(traffic.requests), str(traffic.failures), str(traffic.asked_again), f"{traffic.longest_gap:.1f} s"


def read_log(text: str) -> list[Request]:
    """The requests that client.py noted; a line that it has not finished yet is none."""
    return [Request(*json.loads(line)) for line in text.splitlines() if line.endswith(("]", "]\n"))]


def weigh(requests: Iterable[Request], begin: float, end: float) -> Traffic:
    """What became of the requests that ended between two moments (seconds since 1970).

    Each kind has gaps of its own, and the longest of all counts: reads that go on hide no write that cannot be made.
    The time before the first success and after the last one belongs to them.
    """
    every = list(requests)
    within = [request for request in every if begin <= request.end <= end]
    good = [request for request in within if request.wrong is None]
    wrong = Counter(request.wrong for request in within if request.wrong is not None)
    gaps = [0.0]
    for kind in {request.what for request in every}:
        moments = [begin, *sorted(request.end for request in good if request.what == kind), end]
        gaps += [after - before for before, after in pairwise(moments)]
    return Traffic(
        requests=len(within),
        failures=len(within) - len(good),
        longest_gap=max(gaps) if every else end - begin,
        slowest=max((request.seconds for request in good), default=0),
        wrong=dict(wrong.most_common()),
        asked_again=sum(request.again for request in within),
    )


@contextmanager
def traffic(cluster: Cluster, change: str = "", without: Collection[str] = ()) -> Iterator[Seen]:
    """Requests from the first success of both clients until the end; `change` is the row's title, by default the
    test's name."""
    seen = Seen(change or _test())
    service = _serve(cluster)
    clients = {"api": _first(cluster.nodes, without), "service": _first(reversed(cluster.control_plane), without)}
    # The way that clients of the API have on that host: its kubelet's.
    server = re.search(r"server: (\S+)", cluster.sh(clients["api"], "cat /etc/kubernetes/kubelet.conf"))
    assert server, "kubelet.conf names no server"
    arguments = {"api": f"{server[1]} {DIRECTORY}", "service": service}
    try:
        for client, host in clients.items():
            _start(cluster, client, host, arguments[client])
        for client, host in clients.items():
            eventually(lambda c=client, h=host: _answered(_log(cluster, c, h)), what=f"{client} is answered")  # type: ignore[misc]
        begin = time.time()
        try:
            yield seen
        finally:
            end = time.time()
            logs = {client: _log(cluster, client, host) for client, host in clients.items()}
            seen.api, seen.service = (weigh(logs[client], begin, end) for client in ("api", "service"))
            rows.append(seen)
    finally:
        for client, host in clients.items():
            cluster.sh(host, f"systemctl stop traffic-{client}; rm -r {DIRECTORY}/{client}*")


def _test() -> str:
    """The running test's name, as words."""
    name = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].rpartition(" ")[0]
    return name.removeprefix("test_").replace("_", " ")


def _first(names: Iterable[str], without: Collection[str]) -> str:
    return next(name for name in names if name not in without)


def _answered(requests: list[Request]) -> bool:
    """Whether the last request of each kind went well."""
    last = {request.what: request.wrong for request in requests}
    return bool(last) and not any(last.values())


def _log(cluster: Cluster, client: str, host: str) -> list[Request]:
    return read_log(cluster.sh(host, f"cat {DIRECTORY}/{client}.log"))


def _start(cluster: Cluster, client: str, host: str, arguments: str) -> None:
    """Run a client on a host, with what it needs there. Its key is the operator's, for a cluster that lives briefly."""
    files = {f"{client}.py": CLIENT.read_text()}
    if client == "api":
        with tempfile.TemporaryDirectory() as folder:
            cluster.command("kubeconfig", "-i", cluster.inventory, "--out", f"{folder}/config")
            config = yaml.safe_load(Path(folder, "config").read_text())
        user, target = config["users"][0]["user"], config["clusters"][0]["cluster"]
        for name, data in (
            ("ca.crt", target["certificate-authority-data"]),
            ("client.crt", user["client-certificate-data"]),
            ("client.key", user["client-key-data"]),
        ):
            files[name] = base64.b64decode(data).decode()
    put = "".join(f"cat > {DIRECTORY}/{name} <<'EOF'\n{text}\nEOF\n" for name, text in files.items())
    cluster.sh(host, f"umask 077; systemctl stop traffic-{client} 2>/dev/null; mkdir -p {DIRECTORY}\n{put}")
    output = f"--property=StandardOutput=truncate:{DIRECTORY}/{client}.log"
    command = f"/usr/bin/python3 {DIRECTORY}/{client}.py {client} {arguments}"
    cluster.sh(host, f"systemd-run --quiet --collect --unit=traffic-{client} {output} {command}")


def _serve(cluster: Cluster) -> str:
    """The URL of a Service with a pod on each of two nodes, all of them ready, and the ConfigMap that is written."""
    image = cluster.lab.kubectl("get -n kube-system deployment coredns -o jsonpath={..image}").strip()
    cluster.lab.kubectl(
        "apply -f -", {"apiVersion": "v1", "kind": "List", "items": _objects(image, len(cluster.nodes))}
    )
    cluster.lab.kubectl("rollout status -n traffic deployment traffic --timeout=90s")
    address = cluster.lab.kubectl("get -n traffic service traffic -o jsonpath={.spec.clusterIP}").strip()
    return f"http://{address}:{PORT}/health"


def _objects(image: str, replicas: int) -> list[dict[str, Any]]:
    labels = {"app": "traffic"}
    metadata = {"name": "traffic", "namespace": "traffic"}
    container = {
        # An image that every node has: what it answers is its own health.
        "name": "traffic",
        "image": image,
        "args": ["-conf", "/etc/traffic/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "traffic", "mountPath": "/etc/traffic", "readOnly": True}],
    }
    apart = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    pod = {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "traffic", "configMap": {"name": "pods"}}],
    }
    # A pod that is told to go answers on until it is no backend any more.
    corefile = f".:5353 {{\n  health :{PORT} {{\n    lameduck 5s\n  }}\n  whoami\n}}\n"
    deployment = {
        "replicas": min(replicas, 2),
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
        # One pod a node: a new one has no place before an old one has gone.
        "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    }
    service = {"selector": labels, "ports": [{"port": PORT}]}
    core = {"apiVersion": "v1"}
    return [
        core | {"kind": "Namespace", "metadata": {"name": "traffic"}},
        core | {"kind": "ConfigMap", "metadata": metadata},
        core | {"kind": "ConfigMap", "metadata": metadata | {"name": "pods"}, "data": {"Corefile": corefile}},
        core | {"kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
    ]
