"""The defaults in the bootstrap record: derived from what etcd holds, recorded once, refused when damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeinstall import bootstrap
from kubeinstall.bootstrap import NEW, BootstrapDefaults, derive
from kubeinstall.errors import PKIError
from kubeinstall.pki import PKI

LIVING = BootstrapDefaults("privileged", plaintext_secrets=False)
DOUBTFUL = BootstrapDefaults("privileged", plaintext_secrets=True)


@pytest.fixture
def pki(tmp_path: Path) -> PKI:
    pki = PKI(tmp_path)
    pki.ensure()
    pki.mark_formed({"at": "2026-01-01T00:00:00+00:00", "cluster_id": "1f", "members": ["one"]})
    return pki


@pytest.mark.parametrize(
    ("recorded", "empty", "plaintext", "wanted"),
    [
        (None, True, False, NEW),
        (None, False, False, LIVING),
        (None, False, True, DOUBTFUL),
        (DOUBTFUL, False, True, DOUBTFUL),
        (DOUBTFUL, False, False, LIVING),
        (NEW, False, False, NEW),
    ],
    ids=["new", "living", "living with plaintext", "still plaintext", "encrypted since", "once new"],
)
def test_they_follow_from_what_etcd_holds(
    recorded: BootstrapDefaults | None, empty: bool, plaintext: bool, wanted: BootstrapDefaults
) -> None:
    assert derive(recorded, empty=empty, plaintext=plaintext) == wanted


def test_a_record_of_an_earlier_version_has_none(pki: PKI) -> None:
    assert bootstrap.read(pki) is None


def test_they_are_kept_beside_what_the_record_holds(pki: PKI) -> None:
    before = pki.formed or {}
    bootstrap.record(pki, NEW)
    assert bootstrap.read(pki) == NEW
    assert {key: value for key, value in (pki.formed or {}).items() if key != "defaults"} == before


def test_without_a_record_nothing_is_recorded(tmp_path: Path) -> None:
    assert bootstrap.read(PKI(tmp_path)) is None
    with pytest.raises(PKIError, match="not bootstrapped yet"):
        bootstrap.record(PKI(tmp_path), NEW)


GOOD = {"version": 1, "pod_security": "baseline", "plaintext_secrets": False}


@pytest.mark.parametrize(
    "damaged",
    [
        "baseline",
        {},
        GOOD | {"version": 2},
        GOOD | {"pod_security": "none"},
        GOOD | {"plaintext_secrets": "no"},
        GOOD | {"more": 1},
    ],
    ids=["text", "empty", "newer", "level", "type", "key"],
)
def test_a_damaged_record_is_an_error(pki: PKI, damaged: Any) -> None:
    file = pki.directory / "formed.json"
    file.write_text(json.dumps((pki.formed or {}) | {"defaults": damaged}))
    with pytest.raises(PKIError, match=r"formed.json: its defaults are not of version 1 \(restore it from a backup"):
        bootstrap.read(pki)
