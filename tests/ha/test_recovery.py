"""The procedures of docs/recovery.md that no other test runs, by the page's own commands, on a small lab of its own.

Quorum and all members lost: test_etcd_data.py. A control plane lost: test_membership.py. Expired certificates:
test_aged.py. Failed changes: test_changes.py.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.clusters import ROOT, Cluster, lab_of
from tests.ha.state import ETCDCTL
from tests.lab import BIN, eventually

NAME = "test-recovery"
MEGABYTE = "head -c 750000 /dev/urandom | base64 -w0 > /tmp/blob"


def commands(heading: str) -> str:
    """The last block of commands in a section of the page."""
    section = (ROOT / "docs/recovery.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^ {4}.*\n)+", section, re.MULTILINE)
    return "\n".join(line[4:] for line in blocks[-1].splitlines())


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with lab_of(NAME, "--control-planes", "1", "--nodes", "1", keep=request.config.getoption("--keep-lab")) as lab:
        lab.apply()
        lab.kubectl("create", "secret", "generic", "treasure", "--from-literal=is=here", code=None)
        yield lab
        (lab.inventory / "group_vars/all/recovery.yml").unlink(missing_ok=True)


def treasure(cluster: Cluster) -> str:
    return cluster.kubectl("get", "secret", "treasure", "-o", "jsonpath={.data.is}")


def test_a_lost_pki_directory_is_collected_from_a_control_plane(cluster: Cluster) -> None:
    (control_plane,) = cluster.control_plane
    pki = cluster.inventory / ".kubeinstall" / "pki"
    before = cluster.invocations()
    kept = {path.name: path.read_text() for path in pki.iterdir() if path.is_file()}
    pki.rename(pki.with_name("lost"))
    assert "it belongs to another cluster" in cluster.apply(code=1)
    cluster.command("status", "-i", cluster.inventory)
    cluster.command("etcd", "backup", "-i", cluster.inventory)
    levels = dict.fromkeys(("enforce", "audit", "warn"), "baseline")
    settings = cluster.inventory / "group_vars/all/recovery.yml"
    settings.write_text(yaml.safe_dump({"kube_apiserver_pod_security": levels}))
    script = commands("PKI directory").replace("CONTROL-PLANE", control_plane)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cluster.inventory,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert cluster.invocations() == before, done.stdout
    for name in ("encryption.key", "service-account.key", "service-account.pub"):
        assert (pki / name).read_text().strip() == kept[name].strip()
    cluster.changes_nothing("site")
    assert treasure(cluster)
    cluster.command("verify", "-i", cluster.inventory)


def test_a_full_disk_costs_no_write(cluster: Cluster) -> None:
    (member,) = cluster.etcd
    data, filler = "/var/lib/etcd", "/var/lib/etcd/filler"
    cluster.sh(
        member,
        f"systemctl stop etcd && cp -a {data} /var/tmp/etcd && mount -t tmpfs -o size=256m,mode=0700 tmpfs {data}"
        f" && chown --reference=/var/tmp/etcd {data} && cp -a /var/tmp/etcd/. {data} && systemctl start etcd",
    )
    try:
        cluster.sh(member, f"dd if=/dev/zero of={filler} bs=1M 2>/dev/null; df {data} | grep -q 100%")
        cluster.sh(
            member,
            f"{MEGABYTE}; for i in $(seq 100); do timeout 10 {ETCDCTL} put /blob/$i < /tmp/blob >/dev/null 2>&1"
            " || break; echo $i > /tmp/written; done; test $i -lt 100",
        )
        written = int(cluster.sh(member, "cat /tmp/written"))
        eventually(
            lambda: cluster.sh(member, "journalctl -u etcd | grep -c 'no space left on device'"), 60, "it is full"
        )
        cluster.command("status", "-i", cluster.inventory, code=1)
        cluster.sh(member, f"rm {filler}")
        eventually(lambda: cluster.host(member).service("etcd").is_running, 60, "etcd is active again")
        cluster.apply()
        kept = cluster.sh(member, f"{ETCDCTL} get /blob/ --prefix --keys-only | grep -c blob")
        assert int(kept) >= written
        assert treasure(cluster)
    finally:
        cluster.sh(
            member,
            f"rm -f {filler}; {ETCDCTL} del /blob/ --prefix; systemctl stop etcd; rm -rf /var/tmp/etcd"
            f" && cp -a {data} /var/tmp/etcd && umount {data} && rm -rf {data}/* && cp -a /var/tmp/etcd/. {data}"
            " && rm -rf /var/tmp/etcd; systemctl start etcd",
        )


def test_a_cluster_over_its_quota_is_writable_again(cluster: Cluster) -> None:
    (member,) = cluster.etcd
    settings = cluster.inventory / "group_vars/all/quota.yml"
    settings.write_text(yaml.safe_dump({"etcd_extra_arguments": {"quota-backend-bytes": "33554432"}}))
    try:
        cluster.apply()
        refused = cluster.sh(
            member,
            f"{MEGABYTE}; for i in $(seq 100); do {ETCDCTL} put /blob/$i < /tmp/blob 2>&1 || break; done | tail -n 3",
        )
        assert "database space exceeded" in refused
        assert "database space exceeded" in cluster.kubectl("create", "configmap", "more", code=1)
        cluster.sh(member, f"{ETCDCTL} del /blob/ --prefix")
        script = commands("etcd quota").replace("MEMBER", cluster.addresses[member])
        assert "NOSPACE" in cluster.sh(member, script)
        cluster.kubectl("create", "configmap", "more")
    finally:
        settings.unlink()
    cluster.apply()
    cluster.command("verify", "-i", cluster.inventory)
