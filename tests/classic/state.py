"""What the tests of the classic arrangement ask of a cluster, and how they change what is wanted of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from tests.clusters import Cluster
from tests.ha.state import ETCDCTL
from tests.ha.traffic import CLIENT, Request, read_log, weigh
from tests.lab import eventually

__all__ = ["FLANNEL", "WISHES", "asked_all_the_time", "gaps", "leases", "refused", "wish"]

WISHES = "group_vars/all/wishes.yml"
# etcd's client by flannel's own certificate.
FLANNEL = (
    "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd-ca.crt"
    " --cert=/etc/kubernetes/pki/flannel-etcd-client.crt --key=/etc/kubernetes/pki/flannel-etcd-client.key"
)
DIRECTORY = "/run/gap"

gaps: list[tuple[str, float]] = []
"""(change, the longest time in seconds in which a pod on another host did not answer) of this session, in order."""


def wish(cluster: Cluster, **variables: Any) -> None:
    """Write what is wanted of the cluster besides what the lab says."""
    path = cluster.inventory / WISHES
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(variables))


def leases(cluster: Cluster, asked: str) -> dict[str, dict[str, Any]]:
    """{node's address: its share and what flannel wrote of it}, as the member on a host has it."""
    said = cluster.sh(asked, f"{ETCDCTL} get /coreos.com/network/subnets/ --prefix")
    lines = said.splitlines()
    found = {}
    for key, value in zip(lines[::2], lines[1::2], strict=True):
        lease = json.loads(value)
        share = key.rpartition("/")[2].replace("-", "/")
        found[str(lease["PublicIP"])] = {"share": share, **lease}
    return found


def refused(cluster: Cluster, name: str, command: str) -> bool:
    """Whether etcd lets the command's client have it no more than that."""
    done = cluster.host(name).run(command)
    return done.rc != 0 and "permission denied" in done.stderr


@contextmanager
def asked_all_the_time(cluster: Cluster, change: str) -> Iterator[None]:
    """A pod on the first node is asked every 100 ms, from a pod of the last one and from the control plane.

    The longest time without an answer is noted.
    """
    asked, asking = cluster.nodes[0], cluster.nodes[-1]
    image = cluster.lab.kubectl("get -n kube-system deployment coredns -o jsonpath={..image}").strip()
    cluster.lab.kubectl("apply -f -", {"apiVersion": "v1", "kind": "List", "items": _pods(image, asked, asking)})
    cluster.lab.kubectl("wait --for=condition=Ready pod/asked pod/asking --timeout=90s")
    address, own = (
        cluster.lab.kubectl(f"get pod {name} -o jsonpath={{.status.podIP}}").strip() for name in ("asked", "asking")
    )
    # In the network of that node's pod: it is found by the address that is there.
    namespace = cluster.sh(
        asking,
        f"for name in $(ip netns list | cut -d ' ' -f 1); do"
        f" ip netns exec $name ip -4 -o address | grep -q ' {own}/' && echo $name; done; true",
    ).split()[0]
    # Whichever host goes first, one of the two sees how long it is alone.
    clients = {asking: f"ip netns exec {namespace} ", cluster.control_plane[0]: ""}
    for name, way in clients.items():
        cluster.sh(name, f"mkdir -p {DIRECTORY}; cat > {DIRECTORY}/client.py <<'EOF'\n{CLIENT.read_text()}\nEOF")
        command = f"{way}/usr/bin/python3 {DIRECTORY}/client.py service http://{address}:8080/health"
        output = f"--property=StandardOutput=truncate:{DIRECTORY}/log"
        cluster.sh(name, f"systemd-run --quiet --collect --unit=gap {output} {command}")

    def log(name: str) -> list[Request]:
        return read_log(cluster.sh(name, f"cat {DIRECTORY}/log"))

    try:
        for name in clients:
            eventually(lambda n=name: any(one.wrong is None for one in log(n)), what="the pod is answered")  # type: ignore[misc]
        begin = time.time()
        yield
        # Until it is answered again, and for a while after.
        time.sleep(3)
        end = time.time()
        gaps.append((change, max(weigh(log(name), begin, end).longest_gap for name in clients)))
        for name in clients:
            assert [one.wrong for one in log(name)][-10:] == [None] * 10, name
    finally:
        for name in clients:
            cluster.sh(name, f"systemctl stop gap; rm -r {DIRECTORY}")
        cluster.lab.kubectl("delete pod asked asking --now")
        cluster.lab.kubectl("delete configmap asked")


def _pods(image: str, asked: str, asking: str) -> list[dict[str, Any]]:
    corefile = ".:5353 {\n  health :8080\n  whoami\n}\n"
    core = {"apiVersion": "v1"}
    items: list[dict[str, Any]] = [
        core | {"kind": "ConfigMap", "metadata": {"name": "asked"}, "data": {"Corefile": corefile}}
    ]
    for name, node in (("asked", asked), ("asking", asking)):
        container = {
            # An image that every node has: what it answers is its own health.
            "name": name,
            "image": image,
            "args": ["-conf", "/etc/asked/Corefile"],
            "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
            "volumeMounts": [{"name": "asked", "mountPath": "/etc/asked", "readOnly": True}],
        }
        volumes = [{"name": "asked", "configMap": {"name": "asked"}}]
        spec = {"nodeName": node, "containers": [container], "volumes": volumes, "automountServiceAccountToken": False}
        items.append(core | {"kind": "Pod", "metadata": {"name": name}, "spec": spec})
    return items
