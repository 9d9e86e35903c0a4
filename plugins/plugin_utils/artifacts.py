"""The binaries and images that a host lacks, from the cache, checked against the digests that the cluster keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import digest_of

if TYPE_CHECKING:
    from kubeinstall.components import File, Pins
    from kubeinstall.components.pins import Key

__all__ = ["fetch_binaries", "image_archives"]


def fetch_binaries(binaries: Sequence[dict[str, Any]], architecture: str, pins: Pins) -> list[File]:
    """The files of `binaries` (as in the component's spec), fetched or built where the cache lacks them."""
    if not binaries:
        return []
    # Imported where needed: they cost a run with nothing to deliver more than its round trips.
    from kubeinstall.components import Catalogue, fetch

    catalogue = Catalogue.load()
    versions = {catalogue.component_of(item["name"]): item["version"] for item in binaries}
    # In the cache or not: fetching verifies each file before it leaves the control node.
    files = fetch([item["name"] for item in binaries], versions=versions, architecture=architecture)
    pins.check(files)
    return files


def image_archives(
    images: Sequence[dict[str, Any]], architecture: str, pins: Pins
) -> tuple[dict[str, tuple[Path, str]], dict[Key, str]]:
    """Archives of images that are built from a binary, {reference: (path, sha256)}, and the binaries' digests."""
    if not images:
        return {}, {}
    from kubeinstall import images as image

    archives, digests = {}, {}
    for item in images:
        (file,) = fetch_binaries([{"name": item["binary"], "version": item["version"]}], architecture, pins)
        digests[file.component, file.version, file.architecture, file.name] = file.sha256
        archive = image.scratch_archive(
            item["reference"], {item["path"]: file.path}, entrypoint=item["entrypoint"], architecture=architecture
        )
        archives[item["reference"]] = (archive, digest_of(archive))
    return archives, digests
