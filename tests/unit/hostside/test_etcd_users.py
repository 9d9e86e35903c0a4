"""etcd's users and its authentication, with a real member on loopback that knows its clients by their certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import etcd, etcd_users, flannel_network
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from tests.lab import eventually
from tests.unit.hostside.conftest import free_ports, program, running

FULL = {"root": "", "etcd-healthcheck-client": ""}
FLANNEL = {"flannel": "/coreos.com/network/"}
SHOP = {"shop": "/apps/shop/"}
NETWORK = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'


class Member:
    """A member that runs, and clients of it by their names."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, Host(str(folder / "root"))
        client, peer = free_ports(2)
        self.endpoint, self._peer = f"https://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self._pki = PKI(folder / "pki")
        self._pki.ensure()
        self.files = folder / "root/etc/etcd/pki"
        self.files.mkdir(parents=True)
        (self.files / "ca.crt").write_text(self._pki.read("etcd/ca.crt"))
        self.certificate("server", "one", ("127.0.0.1",), frozenset({"server", "client"}))
        self.certificate("healthcheck-client", "etcd-healthcheck-client")
        for name in ("flannel", "shop", "nobody"):
            self.certificate(name, name)

    def certificate(
        self,
        file: str,
        name: str,
        addresses: tuple[str, ...] = (),
        usages: frozenset[str] = frozenset({"client"}),
    ) -> None:
        certificate, key = self._pki.issue(CertificateRequest("etcd", name, (), (), addresses, usages))
        (self.files / f"{file}.crt").write_text(certificate)
        (self.files / f"{file}.key").write_text(key)

    def command(self) -> list[str]:
        return [
            str(program("etcd")),
            f"--data-dir={self.folder / 'data'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls={self._peer}",
            f"--initial-advertise-peer-urls={self._peer}",
            f"--initial-cluster=default={self._peer}",
            f"--cert-file={self.files / 'server.crt'}",
            f"--key-file={self.files / 'server.key'}",
            f"--trusted-ca-file={self.files / 'ca.crt'}",
            "--client-cert-auth",
        ]

    def told(self, *arguments: str, client: str = "healthcheck-client") -> str:
        return str(etcd.told(self.host, *arguments, endpoints=self.endpoint, client=f"{etcd.PKI}/{client}"))

    def change(self, operation: str, users: dict[str, str], *, check: bool = False) -> list[str]:
        spec = {"root": self.host.root, "operation": operation, "check": check, "endpoints": self.endpoint}
        return list(etcd_users.main({**spec, "users": users, "belongings": FLANNEL})["changes"])

    def network(self, operation: str = "put", *, check: bool = False, **more: Any) -> list[str]:
        spec = {"root": self.host.root, "operation": operation, "check": check, "endpoints": self.endpoint}
        leases = {"10.244.1.0/24": "192.0.2.21"}
        spec |= {"prefix": "/coreos.com/network", "config": NETWORK, "leases": leases}
        return list(flannel_network.main({**spec, **more})["changes"])

    def answers(self) -> bool:
        try:
            return bool(self.told("get", "health", "--write-out=json"))
        except HostError:
            return False


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    monkeypatch.setenv("PATH", str(program("etcdctl").parent), prepend=":")
    found = Member(tmp_path)
    monkeypatch.setattr(etcd, "LOCAL", found.endpoint)
    with running(tmp_path / "log", *found.command()):
        eventually(found.answers, 30, "the member answers")
        yield found


def test_users_reach_their_prefix_and_no_further(member: Member) -> None:
    users = {**FULL, **FLANNEL, **SHOP}
    made = member.change("make", users, check=True)
    assert made == [
        "make the etcd user root, with all rights",
        "make the etcd user etcd-healthcheck-client, with all rights",
        "make the etcd user flannel, limited to /coreos.com/network/",
        "make the etcd user shop, limited to /apps/shop/",
    ]
    assert member.told("user", "list") == ""
    assert member.change("make", users) == made
    assert member.change("make", users) == []
    # Authentication is off as yet.
    member.told("put", "/registry/secrets/default/one", "secret", client="nobody")
    assert member.change("enable", users) == ["enable etcd's authentication: it lets nobody in but its users"]
    assert member.change("enable", users) == []
    member.told("put", "/apps/shop/one", "1", client="shop")
    assert member.told("get", "/apps/shop/", "--prefix", "--print-value-only", client="shop") == "1\n"
    for name in ("shop", "flannel"):
        for arguments in (
            ("get", "/registry/secrets/", "--prefix"),
            ("get", "", "--prefix"),
            ("put", "/registry/secrets/default/one", "x"),
            ("put", "/apps/other/one", "x"),
            ("user", "add", "x", "--no-password"),
            ("auth", "disable"),
            ("snapshot", "save", str(member.folder / "stolen.db")),
        ):
            with pytest.raises(HostError, match="permission denied"):
                member.told(*arguments, client=name)
    with pytest.raises(HostError, match=r"permission denied|user name"):
        member.told("get", "/registry/secrets/", "--prefix", client="nobody")
    assert member.told("get", "/registry/secrets/default/one", "--print-value-only") == "secret\n"
    member.told("snapshot", "save", str(member.folder / "snapshot.db"))


def test_a_user_that_is_not_wanted_any_more_goes_and_one_that_moves_loses_what_it_had(member: Member) -> None:
    member.change("enable", {**FULL, **SHOP, "toys": "/apps/toys/"})
    changes = member.change("enable", {**FULL, "shop": "/apps/store/"})
    assert changes == ["change the etcd user shop, limited to /apps/store/", "take away the etcd user toys"]
    member.told("put", "/apps/store/one", "1", client="shop")
    with pytest.raises(HostError, match="permission denied"):
        member.told("get", "/apps/shop/", "--prefix", client="shop")
    assert member.told("user", "list").split() == ["etcd-healthcheck-client", "root", "shop"]


def test_what_others_made_is_left_alone(member: Member) -> None:
    member.told("role", "add", "root")
    member.told("user", "add", "root", "--no-password")
    member.told("user", "grant-role", "root", "root")
    member.told("user", "add", "shop", "--no-password")
    member.told("role", "add", "own")
    member.told("user", "grant-role", "shop", "own")
    with pytest.raises(HostError, match="the etcd user shop is there already, and was not made by kubeinstall"):
        member.change("make", {**FULL, **SHOP})
    member.change("enable", {**FULL, **FLANNEL})
    member.change("remove", {})
    assert member.told("user", "list").split() == ["root", "shop"]
    assert member.told("role", "list").split() == ["own", "root"]


def test_the_way_back_leaves_nothing_of_ours(member: Member) -> None:
    member.change("make", {**FULL, **FLANNEL, **SHOP})
    member.network()
    member.told("put", "/apps/shop/one", "1")
    member.change("enable", {**FULL, **FLANNEL, **SHOP})
    assert member.change("remove", {}, check=True)[0] == "disable etcd's authentication: it lets everybody in"
    changes = member.change("remove", {})
    assert changes[-1] == "take away the etcd role root"
    assert "take away the etcd user flannel, and all under /coreos.com/network/" in changes
    assert member.told("user", "list") == member.told("role", "list") == ""
    # flannel's network is of no use to anybody else; what an application wrote is its own.
    assert member.told("get", "", "--prefix", "--keys-only").split() == ["/apps/shop/one"]
    assert member.change("remove", {}) == []


def test_users_whose_making_or_removal_was_cut_short(member: Member) -> None:
    member.told("role", "add", "kubeinstall-shop")
    member.told("user", "add", "shop", "--no-password")
    member.told("role", "add", "kubeinstall-toys")
    assert member.change("make", {**FULL, **SHOP})[-2:] == [
        "change the etcd user shop, limited to /apps/shop/",
        "take away the etcd user toys",
    ]
    assert member.change("make", {**FULL, **SHOP}) == []


def test_the_proof(member: Member) -> None:
    spec = {"root": member.host.root, "operation": "prove", "seconds": 0, "api": None}
    spec |= {"member": member.endpoint, "flannel": {"client": f"{etcd.PKI}/flannel", "prefix": FLANNEL["flannel"]}}
    with pytest.raises(HostError, match="reads nothing of the cluster; flannel's certificate reads the cluster's Secr"):
        etcd_users.main(spec)
    member.told("put", "/registry/x", "1")
    member.change("enable", {**FULL, **FLANNEL})
    assert etcd_users.main(spec) == {}
    with pytest.raises(HostError, match=r"flannel does not reach its network: .*permission denied"):
        etcd_users.main({**spec, "flannel": {"client": f"{etcd.PKI}/shop", "prefix": FLANNEL["flannel"]}})


def test_flannels_network_and_the_shares_of_nodes(member: Member) -> None:
    assert member.network(check=True) == member.network()
    assert member.network() == []
    member.told("put", "/coreos.com/network/subnets/10.244.2.0-24", '{"PublicIP":"192.0.2.22","BackendType":"vxlan"}')
    # A node that has another share keeps it, and one that somebody has is nobody else's.
    assert member.network(leases={"10.244.7.0/24": "192.0.2.22", "10.244.1.0/24": "192.0.2.23"}) == []
    assert member.network(config=NETWORK.replace("vxlan", "host-gw"), check=True) == [
        'change flannel\'s network in etcd: {"Network": "10.244.0.0/16", "Backend": {"Type": "host-gw"}}'
    ]
    assert member.network("drop", address="192.0.2.22") == [
        "take back 192.0.2.22's share of flannel's network in etcd, 10.244.2.0-24"
    ]
    assert member.network("drop", address="192.0.2.22") == []


def test_nobody_is_asked_before_the_first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    spec = {"root": str(tmp_path), "operation": "enable", "endpoints": "https://127.0.0.1:1", "check": True}
    assert len(etcd_users.main({**spec, "users": FULL, "belongings": {}})["changes"]) == 3
    with pytest.raises(HostError, match="etcdctl is not on this host"):
        etcd_users.main({**spec, "check": False, "users": FULL, "belongings": {}})
