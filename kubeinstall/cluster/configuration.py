"""Checks kubelet's and kube-proxy's settings by the configuration types of the cluster's Kubernetes version.

Both programs take a file with unknown fields: they log a line, and the setting has no effect.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubeinstall.cluster.inputs import Findings, Inputs
from kubeinstall.cluster.schemas import schema_of
from kubeinstall.components.support import minor

__all__ = ["check_configuration", "wrong_gate"]

# {variable: the program whose configuration it is}
CONFIGURATIONS = {"kubelet_configuration": "kubelet", "kube_proxy_configuration": "kube-proxy"}
DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
QUANTITY = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[KMGTPE]i|[numkMGTPE]|[eE][-+]?\d+)?")
NAMES = {
    "bool": "true or false",
    "string": "a string",
    "duration": "a duration",
    "duration or nanoseconds": "a duration",
    "quantity": "a quantity",
}
EXAMPLES = {
    "duration": "for example 30s, 5m or 1h30m",
    "duration or nanoseconds": "for example 30s, 5m or 1h30m",
    "quantity": "for example 100Mi",
}
Found = Iterator[tuple[str, str]]


def check_configuration(inputs: Inputs, errors: Findings) -> None:
    """An unknown version or a value that is no mapping is an error of the variable itself."""
    version = str(inputs.cluster("cluster_kubernetes_version"))
    schema = schema_of(version)
    for name, program in CONFIGURATIONS.items() if schema else ():
        checked: dict[str, list[tuple[str, str]]] = {}
        for host in inputs.hosts:
            value = host.values.get(name)
            if not isinstance(value, Mapping):
                continue
            key = repr(value)
            if key not in checked:
                checked[key] = list(_wrong(name, value, program, version))
            for what, remedy in checked[key]:
                errors.add(what, remedy, hosts=[host], name=name)


def wrong_gate(where: str, gate: str, value: Any, version: str) -> Found:
    """What is wrong with a feature gate that `where` sets in Kubernetes `version`, with the remedy."""
    gates: Mapping[str, bool | None] = (schema_of(version) or {}).get("gates", {})
    if gate not in gates:
        yield f"{where}: Kubernetes {minor(version)} has no feature gate {gate!r}", _near(gate, gates)
    elif gates[gate] is not None and isinstance(value, bool) and value != gates[gate]:
        locked = str(gates[gate]).lower()
        yield f"{where}: the feature gate {gate} is locked to {locked} in Kubernetes {minor(version)}", "remove it"


def _wrong(name: str, value: Mapping[str, Any], program: str, version: str) -> Found:
    schema = schema_of(version) or {}
    for key in ("apiVersion", "kind"):
        if key in value and value[key] != schema[program][key]:
            yield f"{name}.{key} is {value[key]!r}, and {program} reads {schema[program][key]}", "remove it"
    rest = {key: item for key, item in value.items() if key not in ("apiVersion", "kind")}
    yield from _wrong_value(name, rest, schema[program]["fields"], program, minor(version))
    gates = value.get("featureGates")
    for gate, setting in gates.items() if isinstance(gates, Mapping) else ():
        yield from wrong_gate(f"{name}.featureGates", str(gate), setting, version)


def _wrong_value(path: str, value: Any, kind: Any, program: str, version: str) -> Found:
    if value is None:
        return  # as if it were not there
    if isinstance(kind, str):
        if not _is(value, kind):
            yield f"{path} is {value!r}, which is not {_name(value, kind)}", _remedy(value, kind)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{path} is {value!r}, which is not a list", ""
            return
        for number, item in enumerate(value):
            yield from _wrong_value(f"{path}[{number}]", item, kind[0], program, version)
    elif not isinstance(value, Mapping):
        yield f"{path} is {value!r}, which is not a mapping", ""
    else:
        for key, item in value.items():
            if "*" in kind:
                yield from _wrong_value(f"{path}.{key}", item, kind["*"], program, version)
            elif key in kind:
                yield from _wrong_value(f"{path}.{key}", item, kind[key], program, version)
            else:
                yield f"{path} has a field {key!r}, which {program} {version} does not know", _near(str(key), kind)


def _is(value: Any, kind: str) -> bool:
    number = isinstance(value, int) and not isinstance(value, bool)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str)
    if kind.startswith("float"):
        return number or isinstance(value, float)
    if kind.startswith("duration"):
        return (isinstance(value, str) and bool(DURATION.fullmatch(value))) or (number and "nanoseconds" in kind)
    if kind == "quantity":
        return number or isinstance(value, float) or (isinstance(value, str) and bool(QUANTITY.fullmatch(value)))
    lowest, highest = _limits(kind)
    return number and lowest <= value <= highest


def _limits(kind: str) -> tuple[int, int]:
    """Of int, int32, uint32 and so on."""
    bits = int(re.sub(r"\D", "", kind) or 64)
    return (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _name(value: Any, kind: str) -> str:
    if kind in NAMES:
        return NAMES[kind]
    if kind.startswith("float"):
        return "a number"
    within = " from {} to {}".format(*_limits(kind)) if isinstance(value, int) and not isinstance(value, bool) else ""
    return f"a whole number{within}"


def _remedy(value: Any, kind: str) -> str:
    if kind in EXAMPLES:
        return EXAMPLES[kind]
    if kind == "string" and isinstance(value, bool | int | float):
        return "put it in quotes"
    if isinstance(value, str) and ((kind == "bool" and value.lower() in ("true", "false")) or value.isdecimal()):
        return "remove the quotes"
    return ""


def _near(name: str, known: Iterable[str]) -> str:
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[near[0]]}?" if near else ""
