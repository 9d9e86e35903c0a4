"""A cluster that was installed long ago: by a former version, and with certificates that have expired.

On a lab of its own, three control planes and a node, which goes before the next one comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.clusters import Cluster, lab_of
from tests.expired import expire
from tests.former import Former
from tests.ha.state import ETCDCTL, whole
from tests.ha.traffic import traffic

# etcd's peers and clients have certificates of one CA there.
FORMER = "9eac11e"
NAME = "test-ha-aged"


@pytest.fixture(scope="module")
def aged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Installed by the former version, where this clone has it."""
    keep = request.config.getoption("--keep-lab")
    with lab_of(NAME, "--control-planes", "3", "--nodes", "1", keep=keep) as cluster:
        if keep and (cluster.inventory / ".kubeinstall/pki/formed.json").exists():
            yield cluster
            return
        if not Former.known(FORMER):
            cluster.apply()
            yield cluster
            return
        former = Former(FORMER, tmp_path_factory.mktemp("former"))
        former.command("apply", "-i", cluster.inventory)
        yield cluster


def members(cluster: Cluster) -> tuple[str, dict[str, str]]:
    """The id of etcd's cluster, and those of its members."""
    listed = json.loads(cluster.sh(cluster.etcd[0], f"{ETCDCTL} member list --write-out=json"))
    return str(listed["header"]["cluster_id"]), {one["name"]: str(one["ID"]) for one in listed["members"]}


def issuers(cluster: Cluster) -> set[str]:
    """The CAs of the certificates that the members show their peers now."""
    command = "openssl s_client -connect {}:2380 </dev/null 2>/dev/null | openssl x509 -noout -issuer"
    return {cluster.sh(name, command.format(cluster.addresses[name])).split("=")[-1].strip() for name in cluster.etcd}


def answered_as_peer(cluster: Cluster, certificate: str) -> bool:
    """Whether a member answers a peer that shows this certificate, as each API server and application has one."""
    first, second, *_ = cluster.etcd
    url = f"https://{cluster.addresses[second]}:2380/members"
    done = cluster.host(first).run(
        "python3 - <<'END'\n"
        "import ssl, urllib.request\n"
        "context = ssl._create_unverified_context()\n"
        f"context.load_cert_chain('{certificate}.crt', '{certificate}.key')\n"
        f"print(urllib.request.urlopen('{url}', timeout=5, context=context).read().decode())\n"
        "END"
    )
    return done.rc == 0 and "peerURLs" in done.stdout


CLIENT = "/etc/etcd/pki/healthcheck-client"


@pytest.mark.skipif(not Former.known(FORMER), reason=f"this clone lacks the commit {FORMER}")
def test_peers_change_to_a_ca_of_their_own(aged: Cluster) -> None:
    assert issuers(aged) == {"etcd-ca"}
    assert answered_as_peer(aged, CLIENT)
    before = members(aged)
    assert "/etc/etcd/pki/peer-ca.crt" in aged.apply("--check", "--diff")
    assert issuers(aged) == {"etcd-ca"}
    with traffic(aged, "etcd's peers change to a CA of their own") as seen:
        aged.apply()
    assert members(aged) == before
    assert issuers(aged) == {"etcd-peer-ca"}
    assert not answered_as_peer(aged, CLIENT)
    assert answered_as_peer(aged, "/etc/etcd/pki/peer")
    assert {aged.sh(name, "stat -c '%U:%G %a' /etc/etcd/pki").strip() for name in aged.etcd} == {"root:etcd 750"}
    assert {aged.host(name).file("/etc/etcd/pki/peer-ca-change.crt").exists for name in aged.etcd} == {False}
    assert seen.api.longest_gap < 10, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(aged)


def test_a_yearly_renewal_restarts_nothing(aged: Cluster) -> None:
    before = aged.invocations()
    serials = {name: aged.sh(name, "openssl x509 -noout -serial -in /etc/etcd/pki/peer.crt") for name in aged.etcd}
    with traffic(aged, "all certificates are renewed") as seen:
        aged.command("certs", "renew", "-i", aged.inventory)
    assert aged.invocations() == before
    after = {name: aged.sh(name, "openssl x509 -noout -serial -in /etc/etcd/pki/peer.crt") for name in aged.etcd}
    assert not {name for name in serials if serials[name] == after[name]}
    assert seen.api.failures == 0, f"{seen.api}"
    whole(aged)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("command", [("apply",), ("certs", "renew")], ids=" ".join)
def test_expired_certificates_heal(aged: Cluster, command: tuple[str, ...], restarted: bool) -> None:
    replaced = expire(aged)
    assert "/etc/etcd/pki/peer.crt" in replaced[aged.etcd[0]]
    if restarted:
        for name in aged.addresses:
            units = " ".join(unit for unit in aged.units(name) if unit not in ("containerd", "api-balancer"))
            aged.sh(name, f"systemctl --no-block restart {units}")
    before = aged.invocations()
    output = aged.command(*command, "-i", aged.inventory)
    # Preflight names them, and goes on.
    assert "its certificate /etc/etcd/pki/peer.crt expired on" in " ".join(output.split())
    if not restarted:
        after = aged.invocations()
        assert {unit for unit in before if unit.endswith("/etcd.service") and before[unit] != after[unit]} == set()
    whole(aged)
