"""Who is a peer of etcd: three real members on loopback with the flags of the role's unit, and their change of CA."""

from __future__ import annotations

import http.client
import os
import shlex
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import etcd, etcd_membership
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from tests.lab import eventually
from tests.unit.hostside.conftest import program, running

ROLE = Path(__file__).parents[3] / "roles/etcd"
NAMES = ("one", "two", "three")
# Of this process alone, so that runs side by side don't meet.
PREFIX = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
ADDRESSES = {name: f"{PREFIX}.{number}" for number, name in enumerate(NAMES, 11)}
BOTH = frozenset({"server", "client"})
CLIENT = frozenset({"client"})


def flags(name: str, change: str) -> list[str]:
    """The arguments of the role's unit for a member, as systemd starts it."""
    variables: dict[str, Any] = {}
    for file in ("defaults/main.yml", "vars/main.yml"):
        variables |= DataLoader().load_from_file(str(ROLE / file), trusted_as_template=True)
    variables |= {"inventory_hostname": name, "etcd_address": ADDRESSES[name], "etcd_peer_ca_change": change}
    templar = Templar(DataLoader(), variables=variables)
    text = templar.template(
        trust_as_template((ROLE / "templates/etcd.service.j2").read_text()),
        escape_backslashes=False,
        overrides={"trim_blocks": True, "lstrip_blocks": True},
    )
    command = str(text).split("ExecStart=")[1].split("\n# Among")[0].replace("\\\n", " ")
    return [word for word in shlex.split(command) if word.startswith("--")]


class Cluster:
    """A cluster of which `one` is the host's own member."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack, self._binary = folder, stack, program("etcd")
        self.processes: dict[str, Popen[bytes]] = {}
        self.pki = PKI(folder / "pki")
        self.pki.ensure()
        self.host = Host(str(folder / "one"))
        for name in NAMES:
            self.write(name, "ca.crt", self.pki.read("etcd/ca.crt"))
            self.write(name, "peer-ca.crt", self.pki.read("etcd-peer/ca.crt"))
            self.write(name, "peer-ca-change.crt", self.pki.read("etcd/ca.crt") + self.pki.read("etcd-peer/ca.crt"))
            self.give(name, "server", "etcd", name, BOTH)
            self.give(name, "healthcheck-client", "etcd", "etcd-healthcheck-client", CLIENT)

    def write(self, name: str, file: str, text: str) -> None:
        path = self.folder / name / "etc/etcd/pki" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def give(
        self, name: str, file: str, ca: str, common_name: str, usages: frozenset[str], now: datetime | None = None
    ) -> None:
        # Who calls from this machine does so from 127.0.0.1, which members compare with the certificate.
        addresses = () if usages == CLIENT else (ADDRESSES[name], "127.0.0.1")
        request = CertificateRequest(ca, common_name, (), (), addresses, usages)
        certificate, key = self.pki.issue(request, now=now)
        self.write(name, f"{file}.crt", certificate)
        self.write(name, f"{file}.key", key)

    def peer_certificates(self, ca: str) -> None:
        for name in NAMES:
            self.give(name, "peer", ca, name, BOTH)

    def all_certificates(self, now: datetime | None = None) -> None:
        for name in NAMES:
            self.give(name, "server", "etcd", name, BOTH, now)
            self.give(name, "peer", "etcd-peer", name, BOTH, now)
            self.give(name, "healthcheck-client", "etcd", "etcd-healthcheck-client", CLIENT, now)

    def start(self, name: str, change: str, *, former: bool = False, state: str = "existing") -> None:
        """With the unit's flags; `former`: as before there was a CA for peers."""
        root = str(self.folder / name)
        arguments = []
        for flag in flags(name, change):
            # All hosts are one here.
            flag = flag.replace(",https://127.0.0.1:2379", "").replace("//127.0.0.1:", f"//{ADDRESSES[name]}:")
            arguments.append(flag.replace("=/etc/", f"={root}/etc/").replace("=/var/", f"={root}/var/"))
        if former:
            arguments = [
                f"--peer-trusted-ca-file={root}/etc/etcd/pki/ca.crt" if flag.startswith("--peer-trusted") else flag
                for flag in arguments
            ]
        (self.folder / name / "var/lib/etcd").mkdir(parents=True, exist_ok=True)
        members = ",".join(f"{other}=https://{address}:2380" for other, address in ADDRESSES.items())
        arguments += [f"--initial-cluster={members}", f"--initial-cluster-state={state}", "--unsafe-no-fsync"]
        log = self.folder / f"{name}.log"
        self.processes[name] = self._stack.enter_context(running(log, self._binary, *arguments))

    def stop(self, name: str) -> None:
        self.processes[name].terminate()
        self.processes[name].wait(20)

    def roll(self, change: str) -> None:
        """Restart member by member, each once all are healthy, as a run does."""
        for name in NAMES:
            self.healthy()
            self.stop(name)
            self.start(name, change)
        self.healthy()

    def healthy(self) -> None:
        def all_answer() -> bool:
            try:
                return len(etcd.members(self.host)) == 3 and not etcd.missing(self.host, etcd.members(self.host), 3)
            except HostError:
                return False

        eventually(all_answer, 60, "all members are healthy")

    def identities(self) -> tuple[str, set[tuple[str, str]]]:
        """The cluster's id, and those of its members."""
        listed = etcd.etcdctl(self.host, "member", "list")
        return f"{listed['header']['cluster_id']:x}", {(one["name"], f"{one['ID']:x}") for one in listed["members"]}

    def members_as_peer(self, member: str, ca: str, name: str, file: str) -> str:
        """What a member answers a peer that shows this certificate. OSError where it takes it for none."""
        folder = self.folder / name / "etc/etcd/pki"
        context = ssl.create_default_context(cafile=str(self.pki.directory / ca / "ca.crt"))
        context.load_cert_chain(folder / f"{file}.crt", folder / f"{file}.key")
        connection = http.client.HTTPSConnection(ADDRESSES[member], 2380, timeout=5, context=context)
        try:
            connection.request("GET", "/members")
            return connection.getresponse().read().decode()
        finally:
            connection.close()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("PATH", str(program("etcdctl").parent), prepend=":")
    monkeypatch.setattr(etcd, "LOCAL", f"https://{ADDRESSES['one']}:2379")
    with ExitStack() as stack:
        yield Cluster(tmp_path, stack)


def test_a_certificate_of_a_client_is_not_one_of_a_peer(cluster: Cluster) -> None:
    cluster.peer_certificates("etcd-peer")
    cluster.give("one", "flannel", "etcd", "flannel", CLIENT)
    for name in NAMES:
        cluster.start(name, "finish", state="new")
    cluster.healthy()
    with pytest.raises(OSError, match=r"unknown ca|certificate|reset|EOF"):
        cluster.members_as_peer("two", "etcd-peer", "one", "flannel")
    # Nor is a member's own certificate for its clients.
    with pytest.raises(OSError, match=r"unknown ca|certificate|reset|EOF"):
        cluster.members_as_peer("two", "etcd-peer", "one", "server")
    assert '"name":"three"' in cluster.members_as_peer("two", "etcd-peer", "one", "peer")


def test_a_living_cluster_changes_to_the_ca_for_peers(cluster: Cluster) -> None:
    cluster.peer_certificates("etcd")
    cluster.give("one", "flannel", "etcd", "flannel", CLIENT)
    for name in NAMES:
        cluster.start(name, "finish", former=True, state="new")
    cluster.healthy()
    before = cluster.identities()
    etcd.told(cluster.host, "put", "kept", "yes")
    # What the change is for.
    assert '"name":"three"' in cluster.members_as_peer("two", "etcd", "one", "flannel")
    assert etcd_membership.issuer(cluster.host, "/etc/etcd/pki/peer.crt") == "etcd-ca"
    cluster.roll("trust")
    processes = dict(cluster.processes)
    cluster.peer_certificates("etcd-peer")
    cluster.healthy()
    # The same processes show it to clients that connect from now on.
    assert '"name":"three"' in cluster.members_as_peer("two", "etcd-peer", "one", "peer")
    assert processes == cluster.processes
    assert [process.poll() for process in processes.values()] == [None] * 3
    cluster.roll("finish")
    assert cluster.identities() == before
    assert etcd.told(cluster.host, "get", "kept", "--print-value-only").strip() == "yes"
    assert etcd_membership.issuer(cluster.host, "/etc/etcd/pki/peer.crt") == "etcd-peer-ca"
    with pytest.raises(OSError, match=r"unknown ca|certificate|reset|EOF"):
        cluster.members_as_peer("two", "etcd-peer", "one", "flannel")


def test_members_whose_certificates_have_expired_go_on_with_new_ones(cluster: Cluster) -> None:
    cluster.all_certificates()
    for name in NAMES:
        cluster.start(name, "finish", state="new")
    cluster.healthy()
    before = cluster.identities()
    cluster.all_certificates(datetime.now(UTC) - timedelta(days=366))
    for name in NAMES:
        cluster.stop(name)
        cluster.start(name, "finish")
    processes = dict(cluster.processes)
    with pytest.raises(HostError, match=r"healthcheck-client\.crt has expired"):
        etcd.spare(cluster.host, "one", lambda: False, 0)
    cluster.all_certificates()
    cluster.healthy()
    etcd.spare(cluster.host, "one", lambda: True, 0)
    assert cluster.identities() == before
    assert [process.poll() for process in processes.values()] == [None] * 3
