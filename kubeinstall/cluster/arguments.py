"""Checks `…_extra_arguments`: by the parsers of the programs themselves, and by the arguments that are set already."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kubeinstall.cluster.configuration import wrong_gate
from kubeinstall.cluster.inputs import Findings, HostInput, Inputs
from kubeinstall.cluster.known import Known
from kubeinstall.components import Store, machine_architecture
from kubeinstall.components.flags import Flags
from kubeinstall.errors import ComponentError, InputError

__all__ = ["Program", "check_arguments"]

SUFFIX = "_extra_arguments"
KUBERNETES = "cluster_kubernetes_version"
# {role: (its program, the variable that chooses its version)}
PROGRAMS = {
    "container_engine": ("containerd", "container_engine_containerd_version"),
    "etcd": ("etcd", "etcd_version"),
    "flannel": ("flanneld", "flannel_version"),
    "kube_apiserver": ("kube-apiserver", KUBERNETES),
    "kube_controller_manager": ("kube-controller-manager", KUBERNETES),
    "kube_proxy": ("kube-proxy", KUBERNETES),
    "kube_scheduler": ("kube-scheduler", KUBERNETES),
    "kubelet": ("kubelet", KUBERNETES),
}
GATES = "feature-gates"
Found = Iterator[tuple[str, str]]


class Program(NamedTuple):
    name: str
    version: str


def check_arguments(inputs: Inputs, known: Known, errors: Findings, warnings: Findings) -> frozenset[Program]:
    """Those of all hosts. Returns the programs that were not asked, since the component cache lacks them."""
    missing: set[Program] = set()
    # Of a Docker Engine's package, nothing is known here.
    asked: dict[Program, Flags | None] = {}
    judged: dict[str, list[tuple[str, str]]] = {}
    for host in inputs.hosts:
        for role in PROGRAMS:
            name = f"{role}{SUFFIX}"
            arguments = host.values.get(name)
            if not isinstance(arguments, Mapping) or not arguments:
                continue
            program = _program(role, host, inputs, known)
            try:
                flags = _flags(program, asked)
                key = repr((name, program, arguments))
                if key not in judged:
                    judged[key] = list(_wrong(role, arguments, program, flags, known))
            except (ComponentError, InputError) as error:
                warnings.add(f"{name} is not checked: {error}", hosts=[host], name=name)
                continue
            for what, remedy in judged[key]:
                errors.add(what, remedy, hosts=[host], name=name)
            if program and not flags:
                missing.add(program)
                what = f"{name} is not checked: {program.name} {program.version} is not in the component cache"
                warnings.add(what, f"kubeinstall components fetch {program.name}", hosts=[host], name=name)
    return frozenset(missing)


def _program(role: str, host: HostInput, inputs: Inputs, known: Known) -> Program | None:
    name, variable = PROGRAMS[role]
    if name == "containerd" and host.values.get("container_engine", known.default("container_engine")) != name:
        return None
    if variable == KUBERNETES:
        return Program(name, str(inputs.cluster(variable)))
    return Program(name, str(host.values.get(variable, known.default(variable))))


def _flags(program: Program | None, asked: dict[Program, Flags | None]) -> Flags | None:
    """Whatever the hosts' architecture: a program has the same flags on all."""
    if program is None:
        return None
    if program not in asked:
        file = Store().locate(*program, machine_architecture())
        asked[program] = Flags(file) if file else None
    return asked[program]


def _wrong(
    role: str, arguments: Mapping[Any, Any], program: Program | None, flags: Flags | None, known: Known
) -> Found:
    variable = f"{role}{SUFFIX}"
    for name, value in arguments.items():
        flag, where = str(name), f"{name} in {variable}"
        if not isinstance(name, str) or name.startswith("-"):
            yield f"{variable} has the key {name!r}, which is not a flag without dashes", f"write {flag.lstrip('-')}"
        # Kubernetes' programs read `_` as `-`.
        elif (dashed := flag.replace("_", "-")) in (reserved := known.reserved.get(role, {})):
            yield f"{where} is set by kubeinstall", _instead(reserved[dashed])
        elif value is None or isinstance(value, Mapping | list):
            yield f"{where} is {value!r}, which is not one value", _one_value(value)
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield from _refused(where, flag, text, program, flags)
            if dashed == GATES and program and PROGRAMS[role][1] == KUBERNETES:
                yield from _wrong_gates(where, text, program.version)


def _refused(where: str, flag: str, value: str, program: Program | None, flags: Flags | None) -> Found:
    if program is None or flags is None:
        return
    refusal = flags.refusal(flag, value)
    if not refusal:
        return
    if refusal.startswith("invalid"):
        yield f"{where} is {value!r}, which {program.name} {program.version} refuses: {refusal}", ""
        return
    near = difflib.get_close_matches(flag, flags.names, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"its flags: {program.name} --help"
    yield f"{where} is not a flag of {program.name} {program.version}", remedy


def _wrong_gates(where: str, text: str, version: str) -> Found:
    for gate in filter(None, text.split(",")):
        name, _, value = gate.strip().rpartition(":")[2].partition("=")
        yield from wrong_gate(where, name, {"true": True, "false": False}.get(value.lower()), version)


def _instead(sources: tuple[str, ...]) -> str:
    """What a user sets for it. A long list is the description of the hosts and no setting."""
    settings = [source for source in sources if not source.startswith("group ")]
    if len(sources) == 1 and settings:
        return f"remove it, and set {settings[0]} instead"
    groups = [source.removeprefix("group ") for source in sources if source.startswith("group ")]
    if groups:
        return f"remove it: it follows from the hosts in the group {groups[0]}"
    return "remove it: other services rely on it"


def _one_value(value: Any) -> str:
    return f"write it as {','.join(map(str, value))!r}" if isinstance(value, list) else ""
