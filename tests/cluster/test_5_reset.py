"""Reset: the host is as it was, and can serve again."""

from __future__ import annotations

import difflib

from tests.cluster.conftest import INVENTORY
from tests.clusters import Cluster
from tests.lab import SNAPSHOT


def test_reset_needs_a_yes(cluster: Cluster) -> None:
    cluster.command("reset", "-i", INVENTORY, code=None)
    assert cluster.host(cluster.nodes[0]).service("kubelet").is_running


def test_a_check_lists_what_would_go_and_changes_nothing(cluster: Cluster) -> None:
    output = cluster.command("reset", "-i", INVENTORY, "--check")
    for name in cluster.addresses:
        assert f"{name}: would be removed:" in output
        assert cluster.host(name).service("kubelet").is_running
    assert "    /var/lib/etcd\n" in output


def test_reset_leaves_every_host_as_it_was(cluster: Cluster, untouched: dict[str, str]) -> None:
    cluster.command("reset", "-i", INVENTORY, "--yes")
    for name, before in untouched.items():
        after = cluster.sh(name, SNAPSHOT)
        left = "\n".join(
            difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=0)
        )
        assert not left, f"{name} is not as it was:\n{left}"


def test_a_second_reset_has_nothing_to_do(cluster: Cluster) -> None:
    cluster.command("reset", "-i", INVENTORY, "--yes")


def test_the_same_hosts_take_a_cluster_again(cluster: Cluster) -> None:
    cluster.apply()
    cluster.command("verify", "-i", INVENTORY)
