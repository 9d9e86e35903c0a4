from __future__ import annotations

import subprocess

import pytest

from kubeinstall import distribution
from kubeinstall.errors import KubeinstallError


def test_install_without_apt_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(
        KubeinstallError, match=r"no apt to install it with \(install what your distribution calls docker\.io"
    ):
        distribution.install_packages("a Docker engine", ["docker.io"], print)


def test_install_without_root_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "as_root", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/apt-get")
    with pytest.raises(KubeinstallError, match=r"needs root \(`sudo apt-get install docker\.io`"):
        distribution.install_packages("a Docker engine", ["docker.io"], print)


def test_install_shows_the_last_words_of_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/apt-get")
    monkeypatch.setattr(distribution, "as_root", lambda command: ["sudo", "-n", *command])
    seen: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package docker.io\n")

    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(KubeinstallError, match="Unable to locate package"):
        distribution.install_packages("a Docker engine", ["docker.io"], print)
    assert seen[0][:5] == ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
