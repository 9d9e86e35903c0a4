"""Hosts that are refused before anything is touched, for what only true machines can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vagrant.machines import Machines


@pytest.mark.parametrize(("seconds", "way"), [(60, "ahead of"), (-60, "behind")])
def test_a_clock_that_is_off_by_a_minute(cluster: Machines, seconds: int, way: str) -> None:
    node = cluster.nodes[0]
    cluster.sh(node, "systemctl stop systemd-timesyncd")
    cluster.sh(node, f"date --set=@$(($(date +%s) + {seconds}))")
    try:
        said = cluster.apply(code=1)
    finally:
        cluster.sh(node, f"date --set=@$(($(date +%s) - {seconds}))")
        cluster.sh(node, "systemctl start systemd-timesyncd")
    assert f"{node}: its clock is " in said
    assert f" s {way} this machine's (run a time service on both" in said


def test_equal_machine_ids_and_the_way_out(cluster: Machines) -> None:
    control_plane, node = cluster.control_plane[0], cluster.nodes[0]
    same = cluster.sh(control_plane, "cat /etc/machine-id").strip()
    cluster.sh(node, f"echo {same} >/etc/machine-id")
    said = cluster.apply(code=1)
    assert f"{control_plane}, {node}: they have the same machine-id, {same} (on the copies: rm /etc/machine-id" in said
    # What Vagrant does to each machine before the first run.
    cluster.vagrant("provision", node, "--provision-with", "prepare")
    assert cluster.sh(node, "cat /etc/machine-id").strip() not in ("", same)
    cluster.apply()


def test_an_address_on_no_interface(cluster: Machines, tmp_path: Path) -> None:
    node = cluster.nodes[0]
    wrong = cluster.addresses[node].rpartition(".")[0] + ".250"
    said = cluster.command("apply", "-i", cluster.variant(tmp_path, {node: {"node_address": wrong}}), code=1)
    assert f"{node}: its node address {wrong} is on no interface; it has " in said
    assert f"{cluster.addresses[node]} on eth1" in said
