"""Hosts of etcd members that boot without their data, as after a mount that failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kubeinstall import lab as labs
from tests.clusters import Cluster
from tests.lab import eventually

DATA = "/var/lib/etcd/default.etcd"
MOVED = "/var/lib/etcd-moved"


@contextmanager
def boot_without_data(cluster: Cluster, lost: Sequence[str]) -> Iterator[None]:
    """Power these hosts off and on without etcd's data; etcd has to stay down and give the reason. Undone after."""
    for name in lost:
        cluster.sh(name, f"systemctl stop etcd; mv {DATA} {MOVED}")
        labs.stop(name)
    for name in lost:
        labs.start(name)
    try:
        for name in lost:
            _stays_down(cluster, name)
        status = " ".join(cluster.command("status", "-i", cluster.inventory, code=1).split())
        for name in lost:
            assert f"{name}: etcd.service failed: etcd data is missing" in status
        yield
    finally:
        for name in lost:
            cluster.sh(name, f"mv {MOVED} {DATA}; systemctl start --no-block etcd")


def _stays_down(cluster: Cluster, name: str) -> None:
    eventually(
        lambda: "failed" in cluster.host(name).run("systemctl is-active etcd").stdout,
        what=f"etcd of {name} is refused",
    )
    shown = cluster.host(name).run("systemctl status --no-pager --full etcd").stdout
    assert f"etcd data is missing: {DATA}/member does not exist" in shown
    cluster.sh(name, f"! test -e {DATA}")
    # It does not start again and again.
    assert cluster.sh(name, "systemctl show -P NRestarts etcd").strip() == "0"
