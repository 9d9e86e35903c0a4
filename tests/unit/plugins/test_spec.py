"""What a component task asks of a host: binaries by their pinned digests, and the keys that tell clusters apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import spec

from kubeinstall.components import Pins, Store

PAUSE = [{"names": ["pause"], "version": "1.0.0", "directory": "/usr/local/bin"}]
KEY = ("pause", "1.0.0", "amd64", "pause")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A cache with a pause for amd64."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = Store()
    with store.lock(*KEY[:3]) as directory, store.workspace(directory) as folder:
        (folder / "made").write_bytes(b"pause")
        store.add("pause", "1.0.0", "amd64", folder / "made", "built from the module pause")
    return store


def test_a_cluster_keeps_to_what_its_hosts_run(store: Store, tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    file = store.locate("pause", "1.0.0", "amd64")
    assert file
    (item,) = spec._binaries(PAUSE, pins)
    assert item["digests"] == {"amd64": file.sha256}
    pins.add({KEY: "1" * 64, ("pause", "1.0.0", "arm64", "pause"): "2" * 64})
    # Whatever the cache has, and where it has nothing.
    (item,) = spec._binaries(PAUSE, pins)
    assert item["digests"] == {"amd64": "1" * 64, "arm64": "2" * 64}


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"path": "/pki/sa.pub", "content": True, "before": "another key"}, True),
        ({"path": "/pki/sa.key", "content": True, "before": "(kept secret)\n"}, True),
        ({"path": "/pki/ca.crt", "content": True, "before": "another CA"}, True),
        ({"path": "/encryption.yaml", "content": True, "before": "(kept secret)\n", "other_identity": True}, True),
        ({"path": "/encryption.yaml", "content": True, "before": "(kept secret)\n", "other_identity": False}, False),
        ({"path": "/pki/sa.pub", "content": True, "before": None}, False),
        ({"path": "/pki/sa.pub", "content": False, "before": "the key"}, False),
        ({"path": "/config.yaml", "content": True, "before": "another"}, False),
    ],
)
def test_a_host_with_other_keys_is_of_another_cluster(change: dict[str, Any], refused: bool) -> None:
    files = [
        {"dest": "/pki/ca.crt", "pki": "kubernetes/ca.crt"},
        {"dest": "/pki/sa.pub", "pki": "service-account.pub"},
        {"dest": "/pki/sa.key", "pki": "service-account.key"},
        {"dest": "/encryption.yaml", "pki": None},
        {"dest": "/config.yaml", "pki": None},
    ]
    assert spec.of_another_cluster([change], {"files": files}) == (change["path"] if refused else None)
