"""Judges each variable by itself: is it known, may it be set, is it of its type, does a version exist."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kubeinstall.cluster.inputs import Findings, HostInput, Inputs
from kubeinstall.cluster.known import Input, Known

__all__ = ["check_variables"]

# Inputs of roles that hosts have to have alike: by others than theirs they reach nobody.
SHARED = ("etcd_application_users", "flannel_backend", "flannel_direct_routing", "flannel_subnet_manager")
TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^:]*))?:(?P<effect>\w+)")
UNDEFINED = re.compile(r"'(\w+)' is undefined")
TYPE_NAMES = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "a text",
}


def check_variables(inputs: Inputs, known: Known, errors: Findings, warnings: Findings) -> None:
    """All variables of all hosts."""
    for host in inputs.hosts:
        for name in sorted(host.names):
            _check_name(name, host, known, errors, warnings)
        for name, sentence in host.failures.items():
            remedy = f"set {missing[1]} for these hosts" if (missing := UNDEFINED.fullmatch(sentence)) else ""
            errors.add(f"the template of {name} gives nothing: {sentence}", remedy, hosts=[host], name=name)
        for name, value in host.values.items():
            if name in known.inputs:
                wrong = list(_wrong(name, value, known.inputs[name]))
                for what, remedy in wrong:
                    errors.add(what, remedy, hosts=[host], name=name)
                if not wrong and name in known.versions:
                    _check_version(name, value, host, known, errors)
    _check_shared(inputs, known, errors)


def _check_name(name: str, host: HostInput, known: Known, errors: Findings, warnings: Findings) -> None:
    if name in known.inputs:
        return
    if name in known.derived:
        sources = known.derived[name]
        remedy = f"set {_alternatives(sources)} instead" if sources else "take it out"
        errors.add(f"{name} is worked out by the playbooks and cannot be set", remedy, hosts=[host], name=name)
        return
    if name.startswith("ansible_"):
        return
    ours = name.startswith(known.prefixes)
    near = _near(name, tuple(known.inputs), 0.6 if ours else 0.85)
    if ours:
        prefix = max((prefix for prefix in known.prefixes if name.startswith(prefix)), key=len)
        remedy = f"did you mean {near[0]}?" if near else f"variables of your own do not begin with {prefix}"
        errors.add(f"there is no variable {name}", remedy, hosts=[host], name=name)
    elif near:
        warnings.add(f"{name} has no effect here", f"did you mean {near[0]}?", hosts=[host], name=name)


@functools.cache
def _near(name: str, known: tuple[str, ...], cutoff: float) -> list[str]:
    """The same names are on all hosts."""
    return difflib.get_close_matches(name, known, n=1, cutoff=cutoff)


def _alternatives(sources: tuple[str, ...]) -> str:
    variables = [source for source in sources if not source.startswith("group ")]
    groups = [f"the {source.removeprefix('group ')} group" for source in sources if source.startswith("group ")]
    said = variables + groups
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"


def _wrong(name: str, value: Any, known: Input) -> Iterator[tuple[str, str]]:
    """What is wrong with a value, and the remedy, for it and for what is inside it."""
    if value is None and known.type != "raw":
        yield f"{name} is there without a value", "give it one, or take it out"
        return
    if not _is(value, known.type):
        said = "(kept secret)" if known.secret else repr(value)
        remedy = "" if known.secret else _retyped(value, known)
        yield f"{name} is {said}, which is not {TYPE_NAMES.get(known.type, known.type)}", remedy
        return
    if known.choices and value not in known.choices:
        choices = ", ".join(str(choice) for choice in known.choices)
        near = difflib.get_close_matches(str(value), [str(choice) for choice in known.choices], n=1)
        yield f"{name} is {value!r}, which is none of {choices}", f"did you mean {near[0]}?" if near else ""
        return
    if known.type == "list":
        inside = Input(type=known.elements, options=known.options, secret=known.secret)
        for position, item in enumerate(value, 1):
            yield from _wrong(f"entry {position} of {name}", item, inside)
    elif known.type == "dict" and known.options:
        yield from _wrong_keys(name, value, known.options)


def _wrong_keys(name: str, value: Mapping[str, Any], options: Mapping[str, Input]) -> Iterator[tuple[str, str]]:
    for key in value:
        if key not in options:
            near = difflib.get_close_matches(str(key), options, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(options)}"
            yield f"{name} has a key {key!r} that means nothing", remedy
    for key, option in options.items():
        if key in value:
            yield from _wrong(f"{key} of {name}", value[key], option)
        elif option.required:
            yield f"{name} lacks its {key}", ""


def _retyped(value: Any, known: Input) -> str:
    """How to write what was probably meant."""
    kind = known.type
    if isinstance(value, str) and known.options:
        example = _entry(value, known.options)
        return f"write it as {f'[{example}]' if kind == 'list' else example}"
    if kind == "str" and isinstance(value, bool | float):
        return "put it in quotes"
    if kind == "bool" and str(value).lower() in ("true", "false"):
        return "take the quotes away"
    if kind == "list" and isinstance(value, str):
        return f"write it as [{value}]"
    return ""


def _entry(text: str, options: Mapping[str, Input]) -> str:
    """A mapping with these keys: filled where the text is a taint as kubectl writes it."""
    if "effect" in options and (taint := TAINT.fullmatch(text)):
        found = {key: value for key, value in taint.groupdict().items() if value}
        return f"{{{', '.join(f'{key}: {value}' for key, value in found.items())}}}"
    return f"{{{', '.join(f'{key}: …' for key in options)}}}"


def _is(value: Any, kind: str) -> bool:
    if kind == "str" or kind == "path":
        return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    if kind == "bool":
        # A quoted "false" is a text, which every template takes for true.
        return isinstance(value, bool)
    if kind == "int":
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, str) and value.isdecimal()
        )
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "list":
        return isinstance(value, list)
    if kind == "dict":
        return isinstance(value, dict)
    return True


def _check_version(name: str, value: Any, host: HostInput, known: Known, errors: Findings) -> None:
    component, versions = known.versions[name]
    if str(value) not in versions:
        plain = str(value).removeprefix("v")
        remedy = f"write {plain}" if plain in versions else f"known: {', '.join(versions)}"
        errors.add(
            f"{name} is {str(value)!r}, which is no known version of {component}", remedy, hosts=[host], name=name
        )


def _check_shared(inputs: Inputs, known: Known, errors: Findings) -> None:
    """What is said of the cluster is the same on all hosts."""
    set_ones = dict.fromkeys(name for host in inputs.hosts for name in host.values)
    for name in set_ones:
        if not name.startswith("cluster_") and name not in SHARED:
            continue
        seen: dict[str, HostInput] = {}
        default = inputs.defaults.get(name, known.default(name))
        for host in inputs.hosts:
            seen.setdefault(repr(host.values.get(name, default)), host)
        if len(seen) > 1:
            said = "; ".join(f"{value} on {host.name}" for value, host in seen.items())
            errors.add(
                f"{name} is not the same on all hosts: {said}",
                "set it once for all hosts, in group_vars/all",
                hosts=[host for host in inputs.hosts if name in host.values][:1],
                name=name,
            )
