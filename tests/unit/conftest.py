"""What tests of several kinds share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sshd import SSHD, Sshd


@pytest.fixture
def sshd(tmp_path: Path) -> Sshd:
    if SSHD is None:
        pytest.skip("there is no sshd on this machine (the package openssh-server)")
    folder = tmp_path / "sshd"
    folder.mkdir()
    return Sshd(folder)
