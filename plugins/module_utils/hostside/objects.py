"""Kubernetes objects as they are shown: named, without what the API adds, secrets masked."""

from __future__ import annotations

from typing import Optional, Tuple

from .api import Document

# Set by the API for its own use: they differ without anyone having asked for a difference.
VOLATILE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MASK = "(kept secret)"
# Others are refused while these are missing; among themselves, and all the rest, stay in the order they are written in.
FIRST = ("Namespace", "CustomResourceDefinition", "PriorityClass", "ServiceAccount")


def title(document: Document) -> str:
    """`Kind namespace/name`, as it is shown."""
    metadata = document["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
    return f"{document['kind']} {name}"


def rank(document: Document) -> int:
    """What others need comes first."""
    kind = document.get("kind")
    return FIRST.index(kind) if kind in FIRST else len(FIRST)


def masked(before: Optional[Document], after: Document) -> Tuple[Optional[Document], Document]:
    """Both without the values of Secrets; one that differs from before is told by its mask."""
    if after.get("kind") != "Secret":
        return before, after
    old = {**(before or {}).get("data", {}), **(before or {}).get("stringData", {})}

    def mask(document: Document) -> Document:
        shown = dict(document)
        for field in ("data", "stringData"):
            if field in document:
                shown[field] = {
                    name: MASK if before is None or old.get(name) == value else f"{MASK}: another value"
                    for name, value in (document[field] or {}).items()
                }
        return shown

    return (None if before is None else mask(before)), mask(after)


def clean(document: Document) -> Document:
    """The document without what the API and its controllers keep in it for themselves."""
    metadata = {name: value for name, value in document["metadata"].items() if name not in VOLATILE}
    annotations = {name: value for name, value in metadata.pop("annotations", {}).items() if name != LAST_APPLIED}
    if annotations:
        metadata["annotations"] = annotations
    return {**{name: value for name, value in document.items() if name != "status"}, "metadata": metadata}
