"""What a cluster keeps in etcd, read from a real member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import etcd, etcd_objects
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError

from tests.lab import eventually
from tests.unit.hostside.conftest import program, running
from tests.unit.hostside.test_etcd_users import Member

ENCRYPTED = "k8s:enc:secretbox:v1:key1:x"


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    monkeypatch.setenv("PATH", str(program("etcdctl").parent), prepend=":")
    found = Member(tmp_path)
    monkeypatch.setattr(etcd, "LOCAL", found.endpoint)
    with running(tmp_path / "log", *found.command()):
        eventually(found.answers, 30, "the member answers")
        yield found


def look(member: Member, prefix: str = "/registry") -> dict[str, Any]:
    return dict(etcd_objects.main({"root": member.host.root, "prefix": prefix}))


def test_a_new_cluster_has_no_object_and_applications_keys_are_none(member: Member) -> None:
    member.told("put", "/apps/shop/one", "1")
    member.told("put", "/registryX/secrets/a/b", "1")
    assert look(member) == {"empty": True, "plaintext": []}
    member.told("put", "/registry/namespaces/default", "1")
    assert look(member) == {"empty": False, "plaintext": []}
    assert look(member, "/elsewhere/") == {"empty": True, "plaintext": []}


def test_secrets_that_are_not_encrypted_are_named_on_every_page(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_objects, "PAGE", 2)
    for name in ("a/one", "a/one-more", "a/one.more", "b/one", "b/two"):
        member.told("put", f"/registry/secrets/{name}", ENCRYPTED)
    assert look(member) == {"empty": False, "plaintext": []}
    member.told("put", "/registry/secrets/a/planted", "k8s\n")
    member.told("put", "/registry/secrets/z/empty", "")
    member.told("put", "/registry/secrets-of-others/z/two", "plain")
    assert look(member) == {"empty": False, "plaintext": ["a/planted", "z/empty"]}


def test_a_member_that_does_not_answer_is_an_error(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd, "LOCAL", "https://127.0.0.1:1")
    with pytest.raises(HostError, match="etcdctl get"):
        look(member)
