from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubeinstall import components
from kubeinstall.components import File
from kubeinstall.lab import example_images as module
from kubeinstall.lab.example_images import BUSYBOX, MONGO, NGINX, REDIS, example_images
from tests.unit.test_images import read


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What root trees were asked for; each is made at once, of empty layers. FerretDB is there already."""
    made: list[Sequence[str]] = []

    def root_tree(packages: Sequence[str], _: None, __: object, *, architecture: str, hooks: Sequence[str]) -> None:
        assert architecture == "arm64"
        made.append(packages)
        for hook in hooks:
            words = hook.split()
            if words[0] == "sh":
                with tarfile.open(words[3], "w"):
                    pass
            else:
                Path(words[-1].lstrip(">")).write_text("1.22.1-9\n")

    binary = tmp_path / "ferretdb"
    binary.write_bytes(b"ferret")
    file = File("ferretdb", "ferretdb", "1.24.0", "arm64", "0" * 64, 6, binary, "a test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "root_tree", root_tree)
    monkeypatch.setattr(components, "fetch", lambda *_, **__: [file])
    monkeypatch.setattr(components, "machine_architecture", lambda: "amd64")
    return made


def test_images_say_what_is_in_them(trees: list[Sequence[str]]) -> None:
    archives = example_images(print, architecture="arm64")
    assert set(archives) == {NGINX, REDIS, MONGO, BUSYBOX}
    for reference, archive in archives.items():
        manifest, document, _ = read(archive)
        assert manifest["RepoTags"] == [reference]
        assert document["architecture"] == "arm64"
        labels = document["config"]["Labels"]
        assert labels["io.kubeinstall.made"] == "local"
        assert labels["org.opencontainers.image.description"]
        assert labels["org.opencontainers.image.version"] == ("1.24.0" if reference == MONGO else "1.22.1-9")
    _, nginx, _ = read(archives[NGINX])
    assert nginx["config"]["Cmd"] == ["nginx", "-g", "daemon off;"]
    assert nginx["config"]["StopSignal"] == "SIGQUIT"
    _, mongo, members = read(archives[MONGO])
    assert mongo["config"]["User"] == "65532:65532"
    assert members["data/db"].mode == 0o1777


def test_images_are_made_once(trees: list[Sequence[str]]) -> None:
    said: list[str] = []
    assert example_images(said.append, architecture="arm64") == example_images(said.append, architecture="arm64")
    assert trees == [["busybox-static", "libnginx-mod-stream", "nginx", "redis-server", "redis-tools"]]
    assert len(said) == 1
