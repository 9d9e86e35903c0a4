"""Kubernetes objects as people write them: YAML read as the API's own tools read it, each object with its place."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
INTEGER = re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]*|[-+]?[1-9][0-9_]*|[-+]?0x[0-9a-fA-F_]+)$")
LEFT_OUT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")


class KubernetesLoader(yaml.SafeLoader):
    """YAML without what Kubernetes doesn't know: dates, and times of day that PyYAML takes for numbers (`80:30`)."""

    yaml_implicit_resolvers = {  # noqa: RUF012 PyYAML's own name and form
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in LEFT_OUT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


KubernetesLoader.add_implicit_resolver("tag:yaml.org,2002:int", INTEGER, list("-+0123456789"))


class DocumentError(ValueError):
    """What was written is no Kubernetes object; the message says where and why."""


def parse(text: str, place: str) -> list[tuple[str, Any]]:
    """[(place, value)] of the documents in a YAML text, empty ones left out. Raises DocumentError."""
    try:
        documents = [document for document in yaml.load_all(text, KubernetesLoader) if document is not None]
    except yaml.YAMLError as error:
        raise DocumentError(f"{place}: this is not YAML: {' '.join(str(error).split())}") from None
    if len(documents) < 2:
        return [(place, document) for document in documents]
    return [(f"{place}, document {number}", document) for number, document in enumerate(documents, 1)]


def from_file(path: str) -> list[tuple[str, Any]]:
    """`parse` of a file. Raises DocumentError."""
    try:
        return parse(Path(path).expanduser().read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: the manifest can't be read: {error}") from None


def objects(found: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """[{object, place}] of documents, lists taken apart. Raises DocumentError with all that is wrong, a line each."""
    items, problems = [], []
    seen: dict[tuple[str, ...], str] = {}
    for place, value in _members(found):
        problem = _problem(value)
        if problem:
            problems.append(f"{place}: {problem}")
            continue
        document = plain(value)
        metadata = document["metadata"]
        identity = (document["apiVersion"], document["kind"], metadata.get("namespace", ""), metadata["name"])
        if identity in seen:
            problems.append(f"{place}: {document['kind']} {metadata['name']} was written before, in {seen[identity]}")
        seen[identity] = place
        items.append({"object": document, "place": place})
    if problems:
        raise DocumentError("\n".join(problems))
    return items


def _members(found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for place, value in found:
        if (
            isinstance(value, Mapping)
            and str(value.get("kind")).endswith("List")
            and isinstance(value.get("items"), list)
        ):
            for number, member in enumerate(value["items"], 1):
                yield f"{place}, item {number}", member
        else:
            yield place, value


def _problem(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return f"a Kubernetes object is a mapping, this is a {type(value).__name__}"
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field), str):
            return f"the object has no {field}"
    metadata = value.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        return f"the {value['kind']} has no metadata.name (a generated one would be another object in each run)"
    return None


def plain(value: Any) -> Any:
    """The value as JSON has it: Ansible's own kinds of text and number become plain ones, dates are written out."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()
    return next((kind(value) for kind in (int, float) if isinstance(value, kind)), str(value))


def text(document: Any) -> str:
    """A document as YAML, for people; nothing where there is none."""
    return "" if document is None else str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


__all__ = ["DocumentError", "KubernetesLoader", "from_file", "objects", "parse", "plain", "text"]
