from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import IO, Any

import pytest

from kubeinstall.errors import InputError
from kubeinstall.images import ImageConfig, archived_id, export, scratch_archive, wrap
from kubeinstall.lab.engine import Engine, EngineDeniedError, connect

REFERENCE = "kubeinstall.local/tool:1"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF of a kind")
    path.chmod(0o700)
    return path


def archive(program: Path, cache: Path, **more: Any) -> Path:
    cache.mkdir(exist_ok=True)
    files = more.pop("files", {"/usr/bin/tool": program})
    return scratch_archive(REFERENCE, files, entrypoint=["/usr/bin/tool"], architecture="amd64", cache=cache, **more)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, tarfile.TarInfo]]:
    """An archive's manifest, its configuration and its layer's members; every digest in it is checked on the way."""
    with tarfile.open(path) as tar:

        def content(name: str) -> bytes:
            stream = tar.extractfile(name)
            assert stream is not None
            return stream.read()

        (manifest,) = json.loads(content("manifest.json"))
        config = content(manifest["Config"])
        assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
        (layer,) = manifest["Layers"]
        document = json.loads(config)
        assert document["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(content(layer)).hexdigest()}"]
        with tarfile.open(fileobj=io.BytesIO(content(layer))) as tree:
            return manifest, document, {member.name: member for member in tree.getmembers()}


def test_archive_reads_back(program: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("settings")
    path = archive(
        program,
        tmp_path / "cache",
        files={"/usr/bin/tool": program, "/etc/tool/conf": plain},
        user="65532:65532",
        labels={"org.opencontainers.image.version": "1.2.3"},
        folders={"/data/db": 0o1777},
    )
    manifest, document, members = read(path)
    assert manifest["RepoTags"] == [REFERENCE]
    assert (document["os"], document["architecture"]) == ("linux", "amd64")
    assert document["config"]["Entrypoint"] == ["/usr/bin/tool"]
    assert document["config"]["User"] == "65532:65532"
    assert document["config"]["Labels"] == {
        "io.kubeinstall.made": "local",
        "org.opencontainers.image.title": "tool",
        "org.opencontainers.image.version": "1.2.3",
    }
    assert {name: oct(member.mode) for name, member in members.items()} == {
        "data": "0o755",
        "data/db": "0o1777",
        "etc": "0o755",
        "etc/tool": "0o755",
        "etc/tool/conf": "0o644",
        "tmp": "0o1777",
        "usr": "0o755",
        "usr/bin": "0o755",
        "usr/bin/tool": "0o755",
    }
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}


def test_same_input_same_bytes(program: Path, tmp_path: Path) -> None:
    first = archive(program, tmp_path / "one")
    program.touch()
    program.chmod(0o755)
    second = archive(program, tmp_path / "two")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_the_cache_is_used_and_left_tidy(program: Path, tmp_path: Path) -> None:
    first = archive(program, tmp_path / "cache")
    before = first.stat().st_mtime_ns
    assert archive(program, tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == before
    assert list((tmp_path / "cache").iterdir()) == [first]


def test_other_input_other_archive(program: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    paths = {archive(program, cache), archive(program, cache, user="1"), archive(program, cache, labels={"a": "b"})}
    program.write_bytes(b"another")
    assert len(paths | {archive(program, cache)}) == 4


@pytest.mark.parametrize("inside", ["usr/bin/tool", "/usr/../bin/tool", ""])
def test_paths_in_the_image_are_absolute(program: Path, tmp_path: Path, inside: str) -> None:
    with pytest.raises(InputError, match="is no absolute path in the image"):
        archive(program, tmp_path / "cache", files={inside: program})


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which is not there"):
        archive(tmp_path / "nothing", tmp_path / "cache")


def test_a_name_without_a_tag_means_latest(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w"):
        pass
    manifest, document, members = read(wrap("registry.example:5000/x", layer, ImageConfig("arm64"), cache=tmp_path))
    assert manifest["RepoTags"] == ["registry.example:5000/x:latest"]
    assert document["config"]["Labels"]["org.opencontainers.image.title"] == "x"
    assert "Entrypoint" not in document["config"]
    assert members == {}


class OneImage(Engine):
    """An engine with a single image."""

    def __init__(self) -> None:
        self.saved = 0

    def image_id(self, reference: str) -> str | None:
        return "sha256:" + "ab" * 32 if reference == "nginx:latest" else None

    def save(self, reference: str, out: IO[bytes]) -> None:
        self.saved += 1
        out.write(b"an archive of " + reference.encode())


def test_export_saves_once(tmp_path: Path) -> None:
    engine = OneImage()
    path = export("nginx", engine, cache=tmp_path)
    assert path.name == "nginx_latest-abababababababababababab.tar"
    assert path.read_bytes() == b"an archive of nginx:latest"
    assert export("nginx:latest", engine, cache=tmp_path) == path
    assert engine.saved == 1


def test_export_leaves_nothing_half_written(tmp_path: Path) -> None:
    class Broken(OneImage):
        def save(self, reference: str, out: IO[bytes]) -> None:  # noqa: ARG002
            out.write(b"half")
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        export("nginx", Broken(), cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_export_of_an_unknown_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no image redis:8 \(`docker pull redis:8`"):
        export("redis:8", OneImage(), cache=tmp_path)


@pytest.mark.parametrize("reference", ["sha256:" + "ab" * 32, "nginx@sha256:" + "ab" * 32])
def test_export_needs_a_name(tmp_path: Path, reference: str) -> None:
    with pytest.raises(InputError, match="an image that is loaded needs a name"):
        export(reference, OneImage(), cache=tmp_path)


def test_docker_takes_the_archive(program: Path, tmp_path: Path) -> None:
    try:
        engine = connect()
    except EngineDeniedError as denied:
        pytest.skip(str(denied))
    if engine is None:
        pytest.skip("no Docker engine answers on this machine")
    name = f"kubeinstall.local/unit-test-{tmp_path.name}:1".replace("_", "-")
    path = scratch_archive(
        name, {"/tool": program}, entrypoint=["/tool"], architecture="amd64", cache=tmp_path, labels={"unit": "test"}
    )
    try:
        engine.load(path)
        _, document, _ = read(path)
        identity = hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        assert archived_id(path) == f"sha256:{identity}"
        # An engine with containerd's image store names an image by its manifest instead.
        assert engine.image_id(name)
        (tmp_path / "out").mkdir()
        _, saved, _ = read(export(name, engine, cache=tmp_path / "out"))
        assert saved["config"]["Labels"] == document["config"]["Labels"]
    finally:
        engine.remove_image(name)
