"""What an image archive of `docker save`'s format holds, read without an engine."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from kubeinstall.errors import InputError

__all__ = ["ArchivedImage", "contents"]


@dataclass(frozen=True)
class ArchivedImage:
    """One image: its references, its `identity` (sha256:… of its configuration, which names all of its content), its
    architecture as Go calls it."""

    references: tuple[str, ...]
    identity: str
    architecture: str


def contents(path: Path) -> tuple[ArchivedImage, ...]:
    """The images in an archive. Raises InputError where it is none, or an image in it has no name."""
    remedy = "`docker save` makes such an archive: docker save -o FILE IMAGE"
    try:
        with tarfile.open(path) as archive:
            images = [_image(archive, entry) for entry in json.loads(_member(archive, "manifest.json"))]
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except (OSError, KeyError, TypeError, ValueError, tarfile.TarError):
        raise InputError("this is not an archive of container images", where=str(path), remedy=remedy) from None
    if not all(image.references for image in images):
        raise InputError(
            "an image in this archive has no name", where=str(path), remedy="save it by its name, not its id"
        )
    return tuple(images)


def _image(archive: tarfile.TarFile, entry: dict[str, list[str] | str]) -> ArchivedImage:
    text = _member(archive, str(entry["Config"]))
    identity = f"sha256:{hashlib.sha256(text).hexdigest()}"
    return ArchivedImage(tuple(entry["RepoTags"] or ()), identity, str(json.loads(text)["architecture"]))


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()
