"""Measures an install, a second run, a node's addition and what is delivered, each against another in the same run.

    .venv/bin/python benchmarks/bench.py            # or: make bench

On a lab of its own (one control plane, two nodes; removed at the end). The floors: a bare `ansible -m ping` of all
hosts, and the same services started by hand: the files of a finished host unpacked over ssh and started with
systemctl, no Ansible. The addition of a node is held against the install. Times are of this machine at this moment:
the ratios are what to compare.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
NAME = "bench"
INVENTORY = ROOT / "inventory" / NAME
SSH = INVENTORY / ".kubeinstall" / "ssh"
SERVICES = (
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "flanneld",
)
KINDS = "namespaces,clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,configmaps,services,deployments"


def run(*command: Any, given: bytes | None = None) -> bytes:
    """A command's output; what it prints of its own troubles ends the benchmark."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, input=given, capture_output=True, check=False, timeout=900
    )
    if done.returncode != 0:
        sys.exit(
            f"{' '.join(map(str, command))} ended with {done.returncode}:\n"
            + (done.stderr or done.stdout).decode()[-3000:]
        )
    return done.stdout


def ssh(address: str, command: str, given: bytes | None = None) -> bytes:
    options = ("-o", f"UserKnownHostsFile={SSH / 'known_hosts'}", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
    return run("ssh", "-i", SSH / "id_ed25519", *options, f"root@{address}", command, given=given)


def seconds(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def inventory() -> tuple[dict[str, str], str]:
    """{host: address} of the lab, and the control plane's address."""
    listed = json.loads(run(BIN / "ansible-inventory", "-i", INVENTORY, "--list"))
    addresses = {name: variables["node_address"] for name, variables in listed["_meta"]["hostvars"].items()}
    return addresses, addresses[listed["control_plane"]["hosts"][0]]


def kubectl(server: str, arguments: str, given: bytes | None = None) -> bytes:
    return ssh(server, f"kubectl --kubeconfig /etc/kubernetes/admin.conf {arguments}", given)


def wait_until_whole(server: str, hosts: int) -> None:
    """All nodes are Ready, and the cluster's DNS is available: the same end for every way to get there."""
    deadline = time.monotonic() + 300
    query = "get nodes,deployments --all-namespaces -o json"
    while time.monotonic() < deadline:
        items = json.loads(kubectl(server, query))["items"]
        good = [
            any(
                c["status"] == "True" and c["type"] in ("Ready", "Available")
                for c in item.get("status", {}).get("conditions", [])
            )
            for item in items
        ]
        if all(good) and len(good) > hosts:
            return
        time.sleep(0.2)
    sys.exit("the cluster did not become whole within 300 s")


def received(addresses: dict[str, str]) -> int:
    """Bytes that have arrived at all hosts so far."""
    return sum(int(ssh(address, "cat /sys/class/net/eth0/statistics/rx_bytes")) for address in addresses.values())


def invocations(addresses: dict[str, str]) -> list[bytes]:
    units = " ".join(f"{unit}.service" for unit in SERVICES)
    return [ssh(address, f"systemctl show --property=InvocationID {units}") for address in addresses.values()]


def pack(address: str) -> bytes:
    """All that was installed on a host, as a tar: what an administrator would have prepared by hand."""
    script = (
        "import glob, json, os\n"
        "records = [json.load(open(path)) for path in sorted(glob.glob('/var/lib/kubeinstall/*.json'))]\n"
        "paths = [path for record in records for path in record['directories'] + record['files']]\n"
        "print('\\0'.join(filter(os.path.lexists, dict.fromkeys(paths))))"
    )
    names = ssh(address, f'python3 -c "{script}"').strip()
    return ssh(address, "tar --create --no-recursion --absolute-names --null --files-from=-", names)


def objects_of_ours(server: str) -> bytes:
    """What was applied to the cluster, for `kubectl apply`."""
    items = json.loads(kubectl(server, f"get {KINDS} --all-namespaces -o json --show-managed-fields"))["items"]
    accounts = {
        item["spec"]["template"]["spec"].get("serviceAccountName") for item in items if item["kind"] == "Deployment"
    }
    kept = []
    for item in items:
        metadata = item["metadata"]
        ours = any(entry["manager"] == "kubeinstall" for entry in metadata.get("managedFields", []))
        # A bare service account has no field that anybody could own.
        if ours or (item["kind"] == "ServiceAccount" and metadata["name"] in accounts):
            item["metadata"] = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
            item.pop("status", None)
            kept.append(item)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": kept}).encode()


def images_of(address: str) -> bytes:
    names = "$(ctr -n k8s.io images ls -q | grep -v @ | grep -v ^sha256)"
    return ssh(address, f"ctr -n k8s.io images export - {names}")


def start_by_hand(
    addresses: dict[str, str], server: str, files: dict[str, bytes], images: bytes, objects: bytes
) -> None:
    """Unpack and start, all hosts at once, in the order a careful hand would use."""

    def one(name: str) -> None:
        address = addresses[name]
        ssh(address, "getent passwd etcd >/dev/null || useradd --system --user-group --no-create-home etcd")
        ssh(address, "tar --extract --absolute-names --file=-", files[name])
        ssh(address, "sysctl --quiet --system; systemctl daemon-reload; systemctl enable --quiet --now containerd")
        ssh(
            address,
            "until ctr version </dev/null >/dev/null 2>&1; do sleep 0.05; done; ctr -n k8s.io images import -",
            images,
        )
        if address == server:
            ssh(address, f"systemctl enable --quiet --now {' '.join(SERVICES[1:5])}")
            ssh(address, "until curl -sk -o /dev/null --fail https://127.0.0.1:6443/readyz; do sleep 0.05; done")
            # flannel is not ready before it has its rights.
            kubectl(server, "apply --server-side -f -", objects)
        node_services = " ".join(SERVICES[5:])
        # flannel may end once or twice before its node has a network: systemd starts it again.
        ssh(address, f"systemctl enable --quiet {node_services}; systemctl start --no-block {node_services}")

    with ThreadPoolExecutor(len(addresses)) as pool:
        list(pool.map(one, addresses))
    wait_until_whole(server, len(addresses))


def add_node(addresses: dict[str, str], server: str) -> tuple[float, int]:
    """Seconds to add the last node to the cluster, and on how many other hosts something was restarted by that."""
    *others, node = addresses
    rest = {name: addresses[name] for name in others}
    run(BIN / "kubeinstall", "node", "remove", node, "-i", INVENTORY, "--yes")
    starts = invocations(rest)

    def add() -> None:
        run(BIN / "kubeinstall", "node", "add", node, "-i", INVENTORY)
        wait_until_whole(server, len(addresses))

    return seconds(add), sum(one != other for one, other in zip(starts, invocations(rest), strict=True))


def main() -> None:
    console = Console()
    kubeinstall = BIN / "kubeinstall"
    run(kubeinstall, "components", "fetch")
    run(kubeinstall, "lab", "down", "--name", NAME)
    run(kubeinstall, "lab", "up", "--name", NAME)
    try:
        addresses, server = inventory()
        site = (BIN / "ansible-playbook", "-i", INVENTORY, ROOT / "playbooks" / "site.yml")

        def install() -> None:
            run(*site)
            wait_until_whole(server, len(addresses))

        ping = statistics.median(
            seconds(lambda: run(BIN / "ansible", "-i", INVENTORY, "all", "-m", "ping")) for _ in range(5)
        )
        before = received(addresses)
        installed = seconds(install)
        delivered = received(addresses) - before
        starts = invocations(addresses)
        again = statistics.median(seconds(lambda: run(*site)) for _ in range(3))
        restarts = sum(one != other for one, other in zip(starts, invocations(addresses), strict=True))
        added, elsewhere = add_node(addresses, server)
        files = {name: pack(address) for name, address in addresses.items()}
        images, objects = images_of(server), objects_of_ours(server)
        needed = sum(map(len, files.values()))
        run(kubeinstall, "reset", "-i", INVENTORY, "--yes")
        by_hand = seconds(lambda: start_by_hand(addresses, server, files, images, objects))
    finally:
        run(kubeinstall, "lab", "down", "--name", NAME)
    table = Table("what", "measured", "floor", "ratio", title="1 control plane and 2 nodes, components from the cache")
    table.add_row("install", f"{installed:.1f} s", f"{by_hand:.1f} s started by hand", f"{installed / by_hand:.2f}")
    table.add_row("second run", f"{again:.1f} s", f"{ping:.2f} s a bare ping", f"{again / ping:.1f}")
    table.add_row("restarts in it", str(restarts), "0", "-")
    table.add_row("a node added", f"{added:.1f} s", f"{installed:.1f} s the install", f"{added / installed:.2f}")
    table.add_row("restarts elsewhere", str(elsewhere), "0", "-")
    table.add_row(
        "bytes to all hosts",
        f"{delivered / 1e6:.0f} MB",
        f"{needed / 1e6:.0f} MB of files",
        f"{delivered / needed:.2f}",
    )
    console.print(table)


if __name__ == "__main__":
    main()
