"""What may be set in an inventory: read from the roles' defaults and specs and from playbooks/vars/cluster.yml."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from kubeinstall.cluster.balancer import BALANCERS
from kubeinstall.components.catalogue import Catalogue
from kubeinstall.paths import collection_root

__all__ = ["Input", "Known", "known_inputs"]

IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")
GROUP = re.compile(r"groups\['([a-z_]+)'\]")
# The reader in C where there is one: the files are read at the start of each run.
Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Input(BaseModel):
    """A variable, or a key inside one: its type as in argument_specs, its default as written (perhaps a template).

    `secret`: its value is never shown.
    """

    model_config = ConfigDict(frozen=True)

    type: str = "raw"
    elements: str = "raw"
    choices: tuple[Any, ...] = ()
    options: Mapping[str, Input] = Field(default_factory=dict)
    required: bool = False
    secret: bool = False
    default: Any = None


class Known(BaseModel):
    """All variables of kubeinstall.

    inputs    what a user sets, by name
    derived   what the wiring sets: the names to set instead, which may be `group NAME`
    prefixes  under which an unknown name is an error
    versions  known versions by the variable that chooses one, newest first, after the component's name
    reserved  {role: {flag that its unit sets for the other services' sake: what it follows from, as in `derived`}}
    """

    model_config = ConfigDict(frozen=True)

    inputs: Mapping[str, Input]
    derived: Mapping[str, tuple[str, ...]]
    prefixes: tuple[str, ...]
    versions: Mapping[str, tuple[str, tuple[str, ...]]]
    reserved: Mapping[str, Mapping[str, tuple[str, ...]]] = Field(default_factory=dict)

    def default(self, name: str) -> Any:
        """The default of an input as it is written, None for one that has none."""
        return self.inputs[name].default if name in self.inputs else None


# What a host says of itself as a node; documented in inventory/example.
NODE_INPUTS = {
    "node_address": Input(type="str"),
    "node_labels": Input(type="dict"),
    "node_taints": Input(
        type="list",
        elements="dict",
        options={
            "key": Input(type="str", required=True),
            "value": Input(type="str"),
            "effect": Input(type="str", required=True, choices=("NoSchedule", "PreferNoSchedule", "NoExecute")),
        },
    ),
}
# Of variables of the cluster, which have no specification but their default.
CHOICES = {"cluster_api_balancer": BALANCERS}
TYPES = {bool: "bool", int: "int", str: "str", list: "list", dict: "dict"}


@functools.cache
def known_inputs(root: Path | None = None) -> Known:
    """Reads the collection's folder (this one's own by default) and the catalogue of components."""
    root = root or collection_root()
    wiring = _yaml(root / "playbooks" / "vars" / "cluster.yml")
    inputs = {
        f"cluster_{name}": Input(
            type=TYPES.get(type(default), "raw"), choices=CHOICES.get(f"cluster_{name}", ()), default=default
        )
        for name, default in wiring.pop("cluster_defaults", {}).items()
    }
    inputs |= NODE_INPUTS
    prefixes = ["cluster_", "node_"]
    for role in sorted((root / "roles").glob("*")):
        if role.is_dir():
            prefixes.append(f"{role.name}_")
            inputs |= dict(_role_inputs(role))
    derived = {"cluster_defaults": (), **{name: _sources(name, wiring, inputs) for name in wiring}}
    reserved = dict(_reserved(root, wiring, inputs))
    inputs = {name: known for name, known in inputs.items() if name not in derived}
    return Known(
        inputs=inputs,
        derived=derived,
        prefixes=tuple(prefixes),
        versions=dict(_versions(inputs, prefixes, Catalogue.load())),
        reserved=reserved,
    )


def _role_inputs(role: Path) -> Iterator[tuple[str, Input]]:
    defaults = _yaml(role / "defaults" / "main.yml")
    spec = _yaml(role / "meta" / "argument_specs.yml").get("argument_specs", {}).get("main", {})
    options = spec.get("options") or {}
    for name in {**defaults, **options}:
        yield name, _input(options.get(name, {}), defaults.get(name))


def _input(spec: Mapping[str, Any], default: Any = None) -> Input:
    return Input(
        type=spec.get("type", "raw"),
        elements=spec.get("elements", "raw"),
        choices=tuple(spec.get("choices") or ()),
        options=(options := {name: _input(option) for name, option in (spec.get("options") or {}).items()}),
        required=bool(spec.get("required")),
        # Who holds a secret is one: written at the wrong place, it would be shown as a part of that.
        secret=bool(spec.get("no_log")) or any(option.secret for option in options.values()),
        default=default,
    )


def _sources(name: str, wiring: Mapping[str, Any], inputs: Mapping[str, Input]) -> tuple[str, ...]:
    """What a derived variable follows from in the end: variables that users set, and groups."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        text = str(wiring[current])
        found |= {f"group {group}": None for group in GROUP.findall(text)}
        for word in IDENTIFIER.findall(text):
            if word in wiring:
                waiting.append(word)
            elif word in inputs:
                found[word] = None
    return tuple(found)


def _reserved(
    root: Path, wiring: Mapping[str, Any], inputs: Mapping[str, Input]
) -> Iterator[tuple[str, Mapping[str, tuple[str, ...]]]]:
    for role in sorted((root / "roles").glob("*")):
        flags = dict(_leaves(_yaml(role / "vars" / "main.yml").get(f"__{role.name}_arguments", {})))
        yield role.name, {flag: _sources("", {**wiring, "": value}, inputs) for flag, value in flags.items()}


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A role whose unit has several forms has a mapping for each."""
    for name, value in values.items():
        yield from _leaves(value) if isinstance(value, Mapping) else [(name, value)]


def _versions(
    inputs: Mapping[str, Input], prefixes: list[str], catalogue: Catalogue
) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """etcd_version chooses one of etcd's versions, container_engine_runc_version one of runc's."""
    for name in inputs:
        if not name.endswith("_version"):
            continue
        words = name.removesuffix("_version")
        shorter = [words.removeprefix(prefix) for prefix in prefixes if words.startswith(prefix)]
        for component in (word.replace("_", "-") for word in (words, *shorter)):
            if component in catalogue.components:
                yield name, (component, catalogue.versions(component))
                break


def _yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return dict(yaml.load(path.read_text(encoding="utf-8"), Loader) or {})  # noqa: S506 a safe loader
