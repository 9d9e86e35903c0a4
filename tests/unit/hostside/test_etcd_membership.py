"""Members come and go, with real ones on loopback: each has an address of its own there, and the usual ports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import etcd, etcd_membership
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from tests.lab import eventually
from tests.unit.hostside.conftest import program, running

NAMES = ("one", "two", "three")
# Of this process alone, so that runs side by side don't meet.
PREFIX = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
ADDRESSES = {name: f"{PREFIX}.{number}" for number, name in enumerate(NAMES, 1)}


class Members:
    """A cluster of `one`, which is the host's own member."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack, self._binary = folder, stack, program("etcd")
        self.host = Host(str(folder / "root"))
        self.processes: dict[str, Popen[bytes]] = {}
        pki = PKI(folder / "pki")
        pki.ensure()
        self._pki = folder / "root/etc/etcd/pki"
        self._pki.mkdir(parents=True)
        usages = frozenset({"server", "client"})
        # Whoever calls from this machine does so from 127.0.0.1, which members compare with the certificate.
        request = CertificateRequest("etcd", "member", (), (), ("127.0.0.1", *ADDRESSES.values()), usages)
        certificate, key = pki.issue(request)
        for name in ("healthcheck-client", "peer"):
            (self._pki / f"{name}.crt").write_text(certificate)
        (self._pki / "healthcheck-client.key").write_text(key)
        (self._pki / "ca.crt").write_text(pki.read("etcd/ca.crt"))

    def start(self, name: str, members: dict[str, str], state: str = "existing") -> None:
        address, files = ADDRESSES[name], self._pki
        flags: dict[str, Any] = {
            "name": name,
            "data-dir": self.folder / name,
            "listen-client-urls": f"https://{address}:2379",
            "advertise-client-urls": f"https://{address}:2379",
            "listen-peer-urls": f"https://{address}:2380",
            "initial-advertise-peer-urls": f"https://{address}:2380",
            "initial-cluster": ",".join(f"{other}=https://{at}:2380" for other, at in members.items()),
            "initial-cluster-state": state,
        }
        for kind in ("", "peer-"):
            flags[f"{kind}cert-file"] = files / "healthcheck-client.crt"
            flags[f"{kind}key-file"] = files / "healthcheck-client.key"
            flags[f"{kind}trusted-ca-file"] = files / "ca.crt"
            flags[f"{kind}client-cert-auth"] = "true"
        arguments = ["--unsafe-no-fsync", *(f"--{flag}={value}" for flag, value in flags.items())]
        self.processes[name] = self._stack.enter_context(running(self.folder / f"{name}.log", self._binary, *arguments))

    def change(self, operation: str, name: str = "", *, check: bool = False) -> Any:
        address = ADDRESSES.get(name, "")
        spec = {"operation": operation, "name": name, "address": address, "check": check, "seconds": 20}
        return etcd_membership.main({**spec, "root": self.host.root, "endpoints": []})

    def join(self, name: str) -> None:
        self.start(name, self.change("announce", name)["members"])
        eventually(lambda: any(m.name == name for m in etcd.members(self.host)), 30, f"{name} has started")
        assert self.change("promote")["changes"] == [f"promote {name}: it is a member of etcd with a vote"]

    def known(self) -> dict[str, bool]:
        """{name: whether it is a learner}."""
        return {member["name"]: member["learner"] for member in self.change("ask")["members"]}


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Members]:
    monkeypatch.setenv("PATH", str(program("etcdctl").parent), prepend=":")
    monkeypatch.setattr(etcd, "LOCAL", f"https://{ADDRESSES['one']}:2379")
    with ExitStack() as stack:
        found = Members(tmp_path, stack)
        found.start("one", {"one": ADDRESSES["one"]}, "new")

        def answers() -> bool:
            try:
                return bool(etcd.members(found.host))
            except HostError:
                return False

        eventually(answers, 30, "one answers")
        yield found


def test_a_member_joins_as_a_learner_and_leaves(members: Members) -> None:
    told = ["add two to etcd as a learner, and promote it once it has what the others have"]
    assert members.change("announce", "two", check=True)["changes"] == told
    assert members.known() == {"one": False}
    announced = members.change("announce", "two")
    assert announced == {"changes": told, "members": {name: ADDRESSES[name] for name in ("one", "two")}}
    # A run that was cut short here goes on: it is known already.
    assert members.change("announce", "two") == {"changes": [], "members": announced["members"]}
    assert members.change("promote")["changes"] == []
    members.start("two", announced["members"])
    eventually(lambda: members.known() == {"one": False, "two": True}, 30, "two has started")
    with pytest.raises(HostError, match=r"two is a member of etcd, and its data is not on the host.*etcd replace two"):
        members.change("announce", "two")
    # The next one lets it in first.
    assert members.change("announce", "three")["changes"][0].startswith("promote two")
    assert members.known() == {"one": False, "two": False, "": True}
    assert members.change("remove", "three")["changes"] == ["remove three from the members of etcd"]
    assert members.change("remove", "two", check=True)["changes"] == ["remove two from the members of etcd"]
    assert members.change("remove", "two")["changes"] == ["remove two from the members of etcd"]
    assert members.change("remove", "two")["changes"] == []
    assert members.known() == {"one": False}
    with pytest.raises(HostError, match="one is the last member of etcd"):
        members.change("remove", "one")


def test_a_member_that_the_others_need_stays(members: Members) -> None:
    members.join("two")
    members.join("three")
    members.processes["three"].kill()
    members.processes["three"].wait()
    with pytest.raises(
        HostError, match=r"without two etcd would have no quorum: of the 2 members that stay 2 are.*three"
    ):
        members.change("remove", "two")
    assert members.known() == dict.fromkeys(NAMES, False)
    assert members.change("remove", "three")["changes"]
    assert members.known() == {"one": False, "two": False}


def test_an_address_that_a_member_has_is_not_given_to_another(members: Members) -> None:
    there = [etcd.Member("1", "two", f"https://{ADDRESSES['two']}:2380", "", False)]
    with pytest.raises(HostError, match=r"the address .* of four is that of two, a member of etcd"):
        etcd_membership.refuse(there, "four", ADDRESSES["two"])
