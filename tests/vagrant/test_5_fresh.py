"""The cluster is removed, and on hosts that carry none again more is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vagrant.machines import Machines, Seen


@pytest.fixture(scope="module")
def fresh(cluster: Machines, seen: Seen) -> Machines:
    with seen.timed("reset"):
        cluster.command("reset", "-i", cluster.inventory, "--yes")
    return cluster


def test_a_missing_kernel_module_and_the_remedy(fresh: Machines) -> None:
    node = fresh.nodes[0]
    modules = "/lib/modules/$(uname -r)"
    fresh.sh(node, "modprobe --remove vxlan")
    fresh.sh(node, f"find {modules} -name 'vxlan.ko*' -exec mv {{}} {{}}.aside ';' && depmod")
    try:
        said = fresh.apply(code=1)
    finally:
        fresh.sh(node, f"find {modules} -name 'vxlan.ko*.aside' -exec sh -c 'mv $0 ${{0%.aside}}' {{}} ';' && depmod")
    assert f"{node}: its kernel lacks vxlan, which flannel_backend vxlan needs" in said
    assert "or set flannel_backend: host-gw)" in said


def test_too_little_memory(fresh: Machines, tmp_path: Path) -> None:
    node = fresh.nodes[0]
    inventory = fresh.variant(tmp_path, {node: {"host_minimum_memory": 100000}})
    said = fresh.command("apply", "-i", inventory, code=1)
    assert f"{node}: it has " in said
    assert "MiB of memory, less than the 100000 of host_minimum_memory" in said


def test_a_box_without_python(fresh: Machines) -> None:
    node = fresh.nodes[0]
    fresh.sh(node, "mv /usr/bin/python3 /usr/bin/python3.aside")
    try:
        said = fresh.apply(code=1)
    finally:
        fresh.sh(node, "mv /usr/bin/python3.aside /usr/bin/python3")
    assert f"{node}: no Python at /usr/bin/python3: install python3 (3.9 or later) on the host" in said
