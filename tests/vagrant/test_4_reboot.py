"""All machines are rebooted at once, and the cluster is whole again by itself."""

from __future__ import annotations

import time

from tests.lab import eventually
from tests.vagrant.machines import Machines, Seen
from tests.vagrant.test_1_up import MODULES


def test_it_comes_back_by_itself(cluster: Machines, seen: Seen) -> None:
    begun = time.monotonic()
    with seen.timed("reboot of both, until SSH answers"):
        cluster.reboot()

    def works() -> bool:
        said = cluster.command("verify", "-i", cluster.inventory, code=None)
        seen.printed["kubeinstall verify, after the reboot"] = said
        return "does its work" in said

    eventually(works, timeout=600, what="the cluster does its work again")
    seen.seconds["reboot, until verify finds all at work"] = time.monotonic() - begun


def test_it_is_rebooted_host_by_host(cluster: Machines, seen: Seen) -> None:
    before = {name: cluster.boot(name) for name in cluster.addresses}
    with seen.timed("kubeinstall reboot, one host after the other"):
        seen.printed["kubeinstall reboot"] = cluster.command("reboot", "-i", cluster.inventory, "--yes")
    assert all(cluster.boot(name) not in ("", before[name]) for name in cluster.addresses)
    assert [node["metadata"]["name"] for node in cluster.objects("nodes") if node["spec"].get("unschedulable")] == []
    assert "does its work" in cluster.command("verify", "-i", cluster.inventory)


def test_kernel_modules_are_loaded_at_boot(cluster: Machines) -> None:
    for name in cluster.addresses:
        said = cluster.sh(name, "journalctl --boot --identifier=systemd-modules-load --output=cat")
        for module in MODULES:
            assert f"'{module}'" in said, f"{name}: {module} was not loaded at boot: {said}"
        assert set(cluster.sh(name, "lsmod | cut -d ' ' -f 1").split()) >= MODULES


def test_nothing_is_left_to_do(cluster: Machines) -> None:
    cluster.changes_nothing("site")
