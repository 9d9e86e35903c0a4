"""Who may change what decides what runs as root on the hosts."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from kubeinstall import ownership
from kubeinstall.ownership import exposed, writers

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch(mode=0o644)
    return path


def test_what_only_its_owner_changes_is_in_order(file: Path) -> None:
    assert writers(file.stat()) == ""
    file.chmod(0o646)
    assert writers(file.stat()) == "every user"


@needs_root
def test_other_owners_and_groups_are_named(file: Path) -> None:
    file.chmod(0o664)
    assert writers(file.stat()) == "", "root's own group has no other members"
    os.chown(file, 0, grp.getgrnam("daemon").gr_gid)
    assert writers(file.stat()) == "group daemon"
    os.chown(file, pwd.getpwnam("nobody").pw_uid, -1)
    assert writers(file.stat()) == "user nobody"


@needs_root
def test_a_group_of_the_users_own_is_no_other(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many distributions give each user a group, and files that it may write to."""
    user = pwd.getpwnam("daemon")
    file.chmod(0o664)
    os.chown(file, user.pw_uid, user.pw_gid)
    monkeypatch.setattr(os, "geteuid", lambda: user.pw_uid)
    ownership._private.cache_clear()
    assert writers(file.stat()) == ""
    os.chown(file, -1, grp.getgrnam("mail").gr_gid)
    assert writers(file.stat()) == "group mail"
    ownership._private.cache_clear()


def test_a_tree_is_looked_at_whole(tmp_path: Path) -> None:
    deep = tmp_path / "roles/etcd/tasks/main.yml"
    deep.parent.mkdir(parents=True)
    deep.touch(mode=0o644)
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    assert exposed([tmp_path, tmp_path / "none"]) == {}
    deep.chmod(0o666)
    (tmp_path / "roles").chmod(0o777)
    assert exposed([tmp_path]) == {"every user": [tmp_path / "roles", deep]}
