"""Container image archives without a registry, and mostly without an engine.

An archive has the format of `docker save`: manifest.json, one configuration, one tar for each layer. Docker loads it,
and so does containerd. `scratch_archive` makes one out of a few files, with the same bytes each time; `wrap` makes one
out of a root tree that something else has put into a tar.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from platformdirs import user_cache_path

from kubeinstall.errors import InputError

if TYPE_CHECKING:
    from kubeinstall.lab.engine import Engine

__all__ = ["MADE_LOCALLY", "ImageConfig", "archived_id", "atomic", "export", "image_cache", "scratch_archive", "wrap"]

# Marks what was made here, so that nobody takes it for the image upstream publishes.
MADE_LOCALLY = "io.kubeinstall.made"
_TITLE = "org.opencontainers.image.title"

# An image says when it was made; a time that never changes keeps the bytes the same.
_CREATED = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class ImageConfig:
    """How a container of the image runs. `architecture` is Go's name for it (`amd64`, `arm64`)."""

    architecture: str
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""
    environment: Sequence[str] = ()
    working_dir: str = "/"
    stop_signal: str = ""
    exposed_ports: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self, reference: str, diff_id: str) -> bytes:
        """The image's configuration as the archive holds it, for one layer with the digest `diff_id`."""
        name = reference.rsplit("/", 1)[-1].split(":")[0]
        config: dict[str, object] = {
            "Labels": {_TITLE: name, **self.labels, MADE_LOCALLY: "local"},
            "WorkingDir": self.working_dir,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *self.environment],
        }
        if self.entrypoint:
            config["Entrypoint"] = list(self.entrypoint)
        if self.command:
            config["Cmd"] = list(self.command)
        if self.user:
            config["User"] = self.user
        if self.stop_signal:
            config["StopSignal"] = self.stop_signal
        if self.exposed_ports:
            config["ExposedPorts"] = {port: {} for port in self.exposed_ports}
        return _canonical(
            {
                "architecture": self.architecture,
                "os": "linux",
                "created": _CREATED,
                "config": config,
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
                "history": [{"created": _CREATED, "created_by": "kubeinstall"}],
            }
        )


def image_cache() -> Path:
    """Where archives are kept; made when missing."""
    folder = user_cache_path("kubeinstall") / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def scratch_archive(
    reference: str,
    files: Mapping[str, Path],
    *,
    entrypoint: Sequence[str],
    architecture: str,
    user: str = "",
    labels: Mapping[str, str] | None = None,
    command: Sequence[str] = (),
    folders: Mapping[str, int] | None = None,
    cache: Path | None = None,
) -> Path:
    """An archive of an image that holds `files` (path in the image -> local file) and nothing else.

    Files keep whether they are executable and belong to root. Folders are made as needed; `folders` (path -> mode) adds
    others, and there is a /tmp everybody may write to. The same input makes the same bytes, and a second call finds the
    first one's archive in the cache (default: `image_cache()`). Raises InputError where a file is missing or a path in
    the image is not absolute.
    """
    for inside in (*files, *(folders or ())):
        if not inside.startswith("/") or ".." in Path(inside).parts:
            raise InputError(f"{inside!r} is no absolute path in the image {reference}")
    for path in files.values():
        if not path.is_file():
            raise InputError(f"the image {reference} is to hold {path}, which is not there")
    config = ImageConfig(architecture, entrypoint, command, user, labels=labels or {})
    # Beside the archives: components are large, and /tmp may be memory.
    with tempfile.TemporaryDirectory(prefix=".layer-", dir=cache or image_cache()) as work:
        layer = Path(work) / "layer.tar"
        with layer.open("wb") as stream:
            _write_layer(stream, files, folders or {})
        return wrap(reference, layer, config, cache=cache)


def wrap(
    reference: str, layer: Path, config: ImageConfig, *, cache: Path | None = None, target: Path | None = None
) -> Path:
    """An archive of an image with one layer: a tar of a root tree, uncompressed.

    It is written to `target`, or into the cache under a name that holds the image's id. The layer is read, not moved.
    """
    with layer.open("rb") as stream:
        diff_id = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    document = config.document(reference, diff_id)
    image_id = hashlib.sha256(document).hexdigest()
    target = target or _cached(reference, image_id, cache)
    if target.exists():
        return target
    layer_name = f"{diff_id.removeprefix('sha256:')}/layer.tar"
    manifest = [{"Config": f"{image_id}.json", "RepoTags": [_tagged(reference)], "Layers": [layer_name]}]
    with atomic(target) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, f"{image_id}.json", document)
        with layer.open("rb") as stream:
            member = tarfile.TarInfo(layer_name)
            member.size = layer.stat().st_size
            member.mode = 0o644
            tar.addfile(member, stream)
        # Last, so that whoever sees a manifest has seen what it names.
        _add(tar, "manifest.json", _canonical(manifest))
    return target


def export(reference: str, engine: Engine, *, cache: Path | None = None) -> Path:
    """The archive of an image of the local Docker engine, kept in the cache by the image's id.

    Raises InputError where the engine has no such image, or where `reference` is a digest: what is loaded from an
    archive is known by its name.
    """
    if "@" in reference or reference.startswith("sha256:"):
        raise InputError(
            f"{reference} is a digest, and an image that is loaded needs a name",
            remedy=f"`docker tag {reference} NAME:TAG`, then load that",
        )
    name = _tagged(reference)
    identity = engine.image_id(name)
    if identity is None:
        raise InputError(
            f"the local Docker engine has no image {name}", remedy=f"`docker pull {name}`, or build it first"
        )
    target = _cached(reference, identity.removeprefix("sha256:"), cache)
    if not target.exists():
        with atomic(target) as out:
            engine.save(name, out)
    return target


def archived_id(archive: Path) -> str:
    """The id (`sha256:…`) of the image in an archive that was made here."""
    with tarfile.open(archive) as tar:
        stream = tar.extractfile("manifest.json")
        assert stream is not None  # noqa: S101 a file's member has a stream
        return "sha256:" + str(json.load(stream)[0]["Config"]).removesuffix(".json")


def _cached(reference: str, image_id: str, cache: Path | None) -> Path:
    # The name is in it too: the same image under two names makes two archives, each loading as what was asked for.
    name = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in _tagged(reference))
    return (cache or image_cache()) / f"{name}-{image_id[:24]}.tar"


def _tagged(reference: str) -> str:
    return reference if ":" in reference.rsplit("/", 1)[-1] or "@" in reference else f"{reference}:latest"


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def _write_layer(stream: IO[bytes], files: Mapping[str, Path], folders: Mapping[str, int]) -> None:
    modes = {parent: 0o755 for inside in (*files, *folders) for parent in map(str, Path(inside).parents)}
    modes |= {"/tmp": 0o1777, **folders}  # noqa: S108 the image's own
    del modes["/"]
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder, mode in sorted(modes.items()):
            member = tarfile.TarInfo(folder.lstrip("/"))
            member.type, member.mode = tarfile.DIRTYPE, mode
            tar.addfile(member)
        for inside, path in sorted(files.items()):
            member = tarfile.TarInfo(inside.lstrip("/"))
            with path.open("rb") as content:
                status = os.fstat(content.fileno())
                member.size = status.st_size
                member.mode = 0o755 if status.st_mode & 0o111 else 0o644
                tar.addfile(member, content)


@contextmanager
def atomic(target: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `target` whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as out:
        try:
            yield out
            out.flush()
            os.fsync(out.fileno())
            Path(out.name).chmod(0o644)
            Path(out.name).replace(target)
        except BaseException:
            Path(out.name).unlink(missing_ok=True)
            raise
