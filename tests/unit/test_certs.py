"""What is said of certificates: of hosts, of authorities and of the operator's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import certificates_list
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.record import Record
from rich.console import Console

from kubeinstall import access, certs
from kubeinstall.pki import PKI

NOW = datetime.now(UTC)


@pytest.fixture
def pki(tmp_path: Path) -> PKI:
    made = PKI(tmp_path / "pki")
    made.ensure()
    return made


def test_a_certificate_is_described(pki: PKI) -> None:
    pem, _ = pki.issue(access.OPERATOR, now=NOW, days=100)
    assert certs.described(pem, "kubeconfig", "/x.crt", NOW + timedelta(days=1)) == {
        "component": "kubeconfig",
        "path": "/x.crt",
        "kind": "leaf",
        "subject": "kubernetes-admin (kubeinstall:cluster-admins)",
        "authority": "kubernetes",
        "expires": f"{NOW + timedelta(days=100):%Y-%m-%dT%H:%M:%SZ}",
        "days": 98,
        "problem": "",
    }


@pytest.mark.parametrize(
    ("days", "late", "problem"), [(31, False, ""), (30, True, ""), (1, True, ""), (-1, True, "it has expired")]
)
def test_what_ends_soon_is_marked(pki: PKI, days: int, late: bool, problem: str) -> None:
    pem, _ = pki.issue(access.OPERATOR, now=NOW, days=400)
    one = certs.described(pem, "etcd", "/x.crt", NOW + timedelta(days=400 - days, minutes=1))
    assert (certs.late(one), one["problem"]) == (late, problem)


@pytest.mark.parametrize(("pem", "what"), [(None, "it is missing"), ("no", "it is not a certificate")])
def test_what_cannot_be_read_is_a_problem(pem: str | None, what: str) -> None:
    one = {"host": "cp1", **certs.described(pem, "etcd", "/x.crt")}
    assert certs.problems([one]) == [f"cp1: /x.crt: {what}: kubeinstall apply makes it anew"]
    assert certs.late(one)


def test_the_authorities_and_the_operators_own(pki: PKI, tmp_path: Path) -> None:
    pki.mark_formed({})
    state = {
        "pki_directory": pki.directory,
        "state_directory": tmp_path,
        "name": "lab",
        "api_servers": ("https://a:6443",),
    }
    cluster: Any = SimpleNamespace(**state)
    assert [one["subject"] for one in certs.on_the_controller(cluster)] == [
        "kubernetes-ca",
        "etcd-ca",
        "etcd-peer-ca",
        "front-proxy-ca",
    ]
    access.kubeconfig(cluster)
    own = certs.on_the_controller(cluster)[-1]
    assert (own["host"], own["subject"]) == ("controller", "kubernetes-admin (kubeinstall:cluster-admins)")
    (tmp_path / "kubeconfig").write_text("{}")
    assert certs.problems(certs.on_the_controller(cluster)) != []


def test_a_host_lists_what_its_records_do(tmp_path: Path) -> None:
    for name, files in {"etcd": ["/etc/a.crt", "/etc/a.key", "/etc/ca.crt"], "kubelet": ["/etc/ca.crt"]}.items():
        record = Record(Host(str(tmp_path)), name)
        record.add("files", files)
        record.save()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/a.crt").write_text("pem")
    assert certificates_list.main({"root": str(tmp_path)}) == {
        "certificates": [
            {"component": "etcd", "path": "/etc/a.crt", "pem": "pem"},
            {"component": "etcd", "path": "/etc/ca.crt", "pem": None},
        ]
    }
    assert certificates_list.main({"root": str(tmp_path / "nothing")}) == {"certificates": []}


def test_the_list_marks_what_the_next_run_renews(pki: PKI) -> None:
    pem, _ = pki.issue(access.OPERATOR, now=NOW, days=20)
    out = StringIO()
    certs.show(Console(file=out, width=200), [{"host": "cp1", **certs.described(pem, "etcd", "/x.crt", NOW)}])
    line = out.getvalue().splitlines()[-1]
    assert line.split()[:3] == ["cp1", "etcd", "/x.crt"]
    assert line.rstrip().endswith(" renew")


def test_no_path_is_cut_in_a_narrow_terminal_or_a_pipe(pki: PKI) -> None:
    pem, _ = pki.issue(access.OPERATOR, now=NOW)
    path = "/etc/kubernetes/pki/apiserver-etcd-client.crt"
    out = StringIO()
    listed = [{"host": "control-1", **certs.described(pem, "kube_apiserver", path, NOW)}]
    certs.show(Console(file=out, width=60), listed)
    heading, line = out.getvalue().splitlines()
    assert line.split()[:3] == ["control-1", "kube_apiserver", path]
    assert line.index(path) == heading.index("path")
