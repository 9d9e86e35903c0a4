"""Backups on the controller: where they go, and whether they are what was taken."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubeinstall import backups
from kubeinstall.errors import InputError, KubeinstallError
from kubeinstall.pki import PKI

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / "one.db"
    path.write_bytes(b"snapshot")
    facts = {"sha256": hashlib.sha256(b"snapshot").hexdigest(), "time": "2026-01-02T03:04:05+00:00"}
    backups.facts_file(path).write_text(json.dumps(facts))
    return path


@pytest.mark.parametrize(
    ("to", "where"),
    [("", "state/backups/lab-20260102T030405Z.db"), (".", "lab-20260102T030405Z.db"), ("mine.db", "mine.db")],
)
def test_where_a_backup_goes(tmp_path: Path, to: str, where: str) -> None:
    place = backups.destination(str(tmp_path / to) if to else "", tmp_path / "state", "lab", NOW)
    assert place == tmp_path / where
    assert place.parent.is_dir()


def test_the_clusters_own_folder_is_the_users_alone(tmp_path: Path) -> None:
    assert backups.destination("", tmp_path, "lab").parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        backups.destination(str(tmp_path / "nowhere" / "one.db"), tmp_path, "lab")


def test_a_slash_at_the_end_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/: there is no such folder \(make it: mkdir -p"):
        backups.destination(f"{tmp_path}/nowhere/", tmp_path, "lab")
    assert backups.destination(f"{tmp_path}/", tmp_path, "lab", NOW) == tmp_path / "lab-20260102T030405Z.db"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("")
    with pytest.raises(KubeinstallError, match="backups: it cannot be made"):
        backups.destination("", tmp_path, "lab")


def test_a_backup_is_read_with_what_is_known_of_it(backup: Path) -> None:
    found = backups.read(backup)
    assert (found.size, found.facts["time"]) == (8, "2026-01-02T03:04:05+00:00")


def test_a_backup_of_which_nothing_is_known_is_read_too(backup: Path) -> None:
    backups.facts_file(backup).unlink()
    assert backups.read(backup).facts == {}


def test_a_backup_that_was_altered_is_refused(backup: Path) -> None:
    backup.write_bytes(b"snapshoT")
    with pytest.raises(InputError, match=r"this is not the file that was backed up: .* one\.db\.json says"):
        backups.read(backup)


@pytest.mark.parametrize("text", ["", "[]", "{}", "5"])
def test_facts_without_a_digest_are_refused(backup: Path, text: str) -> None:
    backups.facts_file(backup).write_text(text)
    with pytest.raises(InputError, match="it should hold the digest of the backup, and does not"):
        backups.read(backup)


def test_a_backup_under_another_encryption_key_is_refused(backup: Path, tmp_path: Path) -> None:
    pki = PKI(tmp_path / "pki")
    pki.ensure()
    assert "no digest of its encryption key" in backups.check_key(backups.read(backup), pki)
    facts = json.loads(backups.facts_file(backup).read_text()) | {"encryption_key": pki.key_digest()}
    backups.facts_file(backup).write_text(json.dumps(facts))
    assert backups.check_key(backups.read(backup), pki) == ""
    (pki.directory / "encryption.key").unlink()
    pki.ensure()
    with pytest.raises(InputError, match="made under another encryption key: its Secrets could not be read"):
        backups.check_key(backups.read(backup), pki)


def test_a_backup_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.db: the backup cannot be read: No such file"):
        backups.read(tmp_path / "gone.db")
