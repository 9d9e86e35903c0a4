"""Judges the files that an inventory names, and the checkout: the only part of the model that looks at the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import kubeinstall
from kubeinstall.cluster.inputs import Findings, HostInput, Inputs
from kubeinstall.ownership import exposed, user_name, writers
from kubeinstall.paths import collection_root, world_writable

__all__ = ["check_manifests", "check_writers"]

# What of the collection runs, on this machine or on the hosts.
CODE = ("ansible.cfg", "components", "meta", "playbooks", "plugins", "roles")
# So many paths are named in a remedy.
NAMED = 5

MANIFESTS = ("cluster_manifests", "kubelet_static_manifests")
Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_manifests(inputs: Inputs, errors: Findings) -> None:
    """Each listed manifest, a path (relative ones from the inventory's directory) or an object, is one."""
    judged: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    for host in inputs.hosts:
        for name in MANIFESTS:
            manifests = host.values.get(name)
            for manifest in manifests if isinstance(manifests, list) else ():
                key = (name, repr(manifest))
                if key not in judged:
                    judged[key] = tuple(_wrong(name, manifest, inputs.directory))
                _add(judged[key], name, host, errors)


def check_writers(inputs: Inputs, warnings: Findings) -> None:
    """Who besides this user and root may change the playbooks, the roles, the command or the inventory."""
    root, inventory = collection_root(), inputs.directory
    # Ansible ignores the ansible.cfg in such a folder, with a warning that is easily overlooked.
    if public := world_writable():
        warnings.add(f"everyone may write to {public}, so Ansible ignores the ansible.cfg there", f"chmod o-w {public}")
    code = {root / name for name in CODE} | {Path(kubeinstall.__file__).parent}
    files = [path for path in sorted(inventory.glob("[!.]*")) if path.is_file()]
    for who, paths in exposed([*sorted(code), *files, inventory / "group_vars", inventory / "host_vars"]).items():
        _warn(who, paths, warnings)
    # The folders themselves, without what else is in them.
    for folder in (root, inventory):
        who = writers(folder.stat()) if folder.is_dir() else ""
        if who and folder != public:
            _warn(who, [folder], warnings)


def _warn(who: str, paths: Sequence[Path], warnings: Findings) -> None:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    command = f"chown -R {user_name(os.geteuid())}" if who.startswith("user ") else "chmod go-w"
    named = [*map(str, paths[:NAMED]), *(["…"] if len(paths) > NAMED else [])]
    warnings.add(
        f"{who} may write to {paths[0]}{more}, and so choose what runs as root on the hosts",
        f"{command} {' '.join(named)}",
    )


def _add(found: tuple[tuple[str, str], ...], name: str, host: HostInput, errors: Findings) -> None:
    for what, remedy in found:
        errors.add(what, remedy, hosts=[host], name=name)


def _wrong(name: str, manifest: Any, directory: Path) -> Iterator[tuple[str, str]]:
    only = "Pod" if name == "kubelet_static_manifests" else ""
    if isinstance(manifest, Mapping):
        yield from _wrong_object(manifest, f"an entry of {name}", only)
        return
    if not isinstance(manifest, str):
        # Not the value: it may be a part of an object that holds a password.
        kind = type(manifest).__name__
        yield f"{name} holds a value of type {kind}, which is neither a path nor an object", ""
        return
    path = directory / manifest
    try:
        documents = [document for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader) if document]
    except FileNotFoundError:
        remedy = "" if Path(manifest).is_absolute() else f"relative paths begin at {directory}"
        yield f"{name} names {manifest}, and there is no such file", remedy
        return
    except (OSError, UnicodeDecodeError) as error:
        yield f"{name} names {manifest}, which cannot be read: {error}", ""
        return
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        yield f"{name} names {manifest}, which is not YAML{line}: {error.problem}", ""
        return
    if not documents:
        yield f"{name} names {manifest}, which is empty", ""
    if only and len(documents) > 1:
        yield f"{name} names {manifest}, which holds {len(documents)} objects", "kubelet takes one Pod from a file"
    for document in documents:
        yield from _wrong_object(document, manifest, only)


def _wrong_object(found: Any, where: str, only: str) -> Iterator[tuple[str, str]]:
    if not isinstance(found, Mapping):
        yield f"{where} holds a {type(found).__name__} where a Kubernetes object should be", ""
        return
    metadata = found.get("metadata")
    lacking = [key for key in ("apiVersion", "kind") if not found.get(key)]
    if not isinstance(metadata, Mapping) or not (metadata.get("name") or found.get("items")):
        lacking.append("metadata.name")
    if lacking and not (found.get("kind") == "List" and found.get("apiVersion")):
        yield f"{where} holds an object without {', '.join(lacking)}", ""
    elif only and found.get("kind") != only:
        yield f"{where} holds a {found.get('kind')}", f"kubelet runs nothing but a {only} by itself"
