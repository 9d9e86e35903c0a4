"""Images of a host, in a real containerd from the components cache; and what an archive says it holds."""

from __future__ import annotations

import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import images
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.archives import contents
from kubeinstall.components import Catalogue, Store, machine_architecture
from kubeinstall.errors import InputError
from kubeinstall.images import scratch_archive

CONFIGURATION = """\
version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/containerd.sock"
[ttrpc]
address = "{folder}/ttrpc.sock"
"""


def archive(folder: Path, reference: str, text: str = "one") -> Path:
    (folder / "content").write_text(text)
    files = {"/content": folder / "content"}
    return scratch_archive(reference, files, entrypoint=["/content"], architecture=machine_architecture(), cache=folder)


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a containerd of the test's own; its `ctr` is the one that hostside/images.py runs."""
    catalogue = Catalogue.load()
    version = catalogue.default("containerd")
    programs = [Store().locate(name, version, machine_architecture()) for name in ("containerd", "ctr")]
    if os.geteuid() != 0 or not all(programs):
        pytest.skip(
            "needs root, and containerd and ctr in the components cache (kubeinstall components fetch containerd)"
        )
    paths = [program.path for program in programs if program]
    folder = tmp_path_factory.mktemp("containerd")
    (folder / "config.toml").write_text(CONFIGURATION.format(folder=folder))
    socket = folder / "containerd.sock"
    with (
        pytest.MonkeyPatch.context() as patch,
        (folder / "log").open("wb") as log,
        subprocess.Popen([paths[0], "--config", folder / "config.toml"], stdout=log, stderr=log) as process,
    ):
        deadline = time.monotonic() + 30
        while subprocess.run([paths[1], "--address", socket, "version"], capture_output=True, check=False).returncode:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        patch.setattr(images, "SOCKET", str(socket))
        patch.setattr(images, "CTR", [str(paths[1]), "--address", str(socket), *images.CTR[1:]])
        yield socket
        process.terminate()


@pytest.mark.usefixtures("containerd")
def test_each_image_is_known_by_its_content(tmp_path: Path) -> None:
    full, short = "example.org/one:1", "two:1"
    wanted = {}
    for reference in (full, short):
        (image,) = contents(archive(tmp_path, reference))
        assert image.references == (reference,)
        wanted[reference] = image.identity
    asked = {"images": wanted, "archives": []}
    assert images.main(asked)["missing"] == [full, short]
    delivered = tmp_path / "delivered"
    delivered.mkdir()
    places = [archive(tmp_path, reference).rename(delivered / str(n)) for n, reference in enumerate(wanted)]
    assert images.main(asked | {"archives": [str(path) for path in places]})["missing"] == []
    assert not delivered.exists()
    assert images.present([full, short, "example.org/one:2"]) == {full, short}
    (other,) = contents(archive(tmp_path, full, "another content"))
    assert images.main({"images": {full: other.identity}, "archives": []})["missing"] == [full]


@pytest.mark.usefixtures("containerd")
def test_a_loaded_image_is_known_by_its_digest_too(tmp_path: Path) -> None:
    """As after a pull: kubelet asks for the name without its tag where a reference is pinned."""
    reference = "example.org/pinned:1"
    asked = {"images": {}, "archives": [str(archive(tmp_path, reference))]}
    images.main(asked)
    digest = images._targets(Host())[reference]
    pinned, other = f"{reference}@{digest}", f"{reference}@sha256:{'0' * 64}"
    assert images.present([pinned, f"example.org/pinned@{digest}", other]) == {pinned, f"example.org/pinned@{digest}"}


def test_no_container_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SOCKET", str(tmp_path / "none.sock"))
    assert images.present(["example.org/one:1"]) == set()
    with pytest.raises(Exception, match="no container engine runs on this host"):
        images.main({"images": {}, "archives": []})


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("someone/thing:1", "docker.io/someone/thing:1"),
        ("localhost/thing", "localhost/thing:latest"),
        ("registry:5000/thing", "registry:5000/thing:latest"),
        ("registry.k8s.io/pause:3.10.1", "registry.k8s.io/pause:3.10.1"),
        ("registry.k8s.io/pause:3.10.1@sha256:1", "registry.k8s.io/pause@sha256:1"),
        ("registry:5000/thing@sha256:1", "registry:5000/thing@sha256:1"),
        ("nginx:1@sha256:1", "docker.io/library/nginx@sha256:1"),
    ],
)
def test_references_in_full(reference: str, full: str) -> None:
    assert images.normalized(reference) == full


def test_a_registry_that_is_not_there() -> None:
    assert images.registry_answers("127.0.0.1:1/thing:1") is False


def test_archives_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no tar")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(tmp_path / "text", "text")
    for name in ("text", "other.tar"):
        with pytest.raises(InputError, match="not an archive of container images"):
            contents(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        contents(tmp_path / "none.tar")
