"""Reads an inventory as Ansible does, in process: sources, variables, templates. The only importer of Ansible here."""

from __future__ import annotations

import difflib
import functools
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible import constants
from ansible._internal._datatag._tags import Origin
from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.inventory import manager as manager_module
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, init_plugin_loader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from kubeinstall.cluster.inputs import CONNECTION, GROUPS, HostInput, Inputs
from kubeinstall.cluster.known import Known
from kubeinstall.cluster.sources import check_sources, directory_of, encrypted_files, shares_directory, shown
from kubeinstall.errors import InputError, Problem
from kubeinstall.paths import collection_root

__all__ = ["HostVariables", "check_limit", "gather", "host_variables", "load", "ssh_command"]

# Ansible's own variables, which no user sets by these names.
MAGIC = frozenset(
    {"environment", "group_names", "groups", "hostvars", "inventory_dir", "inventory_file", "omit", "vars"}
)

SUBSCRIPT = re.compile(r"(?P<stem>.+)\[(?P<first>\d{1,6}):(?P<last>\d{1,6})\]")
# What Ansible has found of a host, under the prefix of its connection variables.
FACTS = frozenset({"ansible_facts", "ansible_local"})


class HostVariables(Mapping[str, Any]):
    """A host's variables, templated when asked for.

    Iterating gives what the inventory sets; the wiring and the roles' defaults can be asked for besides.
    """

    def __init__(self, variables: Mapping[str, Any], beneath: Mapping[str, Any], loader: DataLoader) -> None:
        self._set = variables
        self._variables = {**beneath, **variables}
        self._templar = Templar(loader, self._variables)

    def __getitem__(self, name: str) -> Any:
        return self._templar.template(self._variables[name])

    def __iter__(self) -> Iterator[str]:
        yield from self._set

    def __len__(self) -> int:
        return len(self._set)


def load(path: Path, known: Known) -> Inputs:
    """The inventory at `path` (a file or a directory). Raises InputError where it cannot be read at all."""
    if not path.exists():
        raise InputError(
            "there is no such inventory", where=str(path), remedy="`kubeinstall init NAME` writes one to start from"
        )
    # Ansible keeps what it found at a path, also after a change of the working directory.
    path = path.absolute()
    warnings = check_sources(path, vault_password=_has_vault_password())
    _initialise()
    loader = DataLoader()
    try:
        _unlock(loader)
        _check_vault_password(loader, path)
        with _unprinted() as said:
            manager = InventoryManager(loader, sources=[str(path)])
        if not manager.hosts:
            raise InputError(
                f"the inventory names no host{': ' if said else ''}{'; '.join(said)}",
                where=shown(path),
                remedy="inventory/example shows what it looks like",
            )
        hostvars = HostVars(manager, VariableManager(loader, manager), loader)
        groups = {name: tuple(members) for name, members in manager.get_groups_dict().items()}
        inputs = gather(groups, host_variables(hostvars, groups, loader), known, path)
    except AnsibleError as error:
        raise InputError(_sentence(error), where=shown(path)) from error
    return inputs.model_copy(update={"said": (*warnings, *said)})


def check_limit(path: Path, limit: str) -> None:
    """InputError for each part of the limit that matches no host, and where the whole leaves none of the cluster."""
    try:
        _, manager = _opened(path)
        with _unprinted():
            parts = [part for part in manager_module.split_host_pattern(limit) if not part.startswith("@")]
            problems = [_unmatched(part, manager) for part in parts if not manager.get_hosts(part.lstrip("!&"))]
            manager.subset(limit)
            if not problems and not any(manager.get_hosts(group) for group in GROUPS):
                problems.append(Problem("--limit", f"{limit} leaves no host of the cluster"))
    except AnsibleError as error:
        raise InputError(_sentence(error), where="--limit") from error
    if problems:
        raise InputError("the limit matches no host", problems=problems)


def _opened(path: Path) -> tuple[DataLoader, InventoryManager]:
    """An inventory that was loaded before, so that what is wrong with it has been said. Raises AnsibleError."""
    _initialise()
    loader = DataLoader()
    _unlock(loader)
    with _unprinted():
        return loader, InventoryManager(loader, sources=[str(path.absolute())])


def _unmatched(part: str, manager: InventoryManager) -> Problem:
    name = part.lstrip("!&")
    known = sorted({*manager.groups, *manager.hosts})
    if subscript := SUBSCRIPT.fullmatch(name):
        first, last = int(subscript["first"]), int(subscript["last"])
        listed = [f"{subscript['stem']}{number}" for number in range(first, min(last, first + 20) + 1)]
        if found := [one for one in listed if one in known]:
            what = f"{name} matches no host: a range in brackets picks from the hosts of a group"
            return Problem("--limit", what, f"did you mean {','.join(found)}?")
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(known[:20])}"
    return Problem("--limit", f"there is no host or group {name}", remedy)


def ssh_command(path: Path, host: str, options: Sequence[str], words: Sequence[str]) -> list[str]:
    """The ssh command that runs `words` on a host, reached as Ansible reaches it, over a connection of its own.

    `options` are more of ssh's. Raises InputError for a host that is reached otherwise, or by typing a password.
    """
    try:
        loader, manager = _opened(path)
        hostvars = HostVars(manager, VariableManager(loader, manager), loader)
        connection = _connection(host, host_variables(hostvars, manager.get_groups_dict(), loader)[host])
        if connection.get_option("password"):
            raise InputError("it is reached with a password, which only a run can type", where=host)
        ssh, *arguments = connection._build_command(connection.get_option("ssh_executable"), "ssh", connection.host)
    except AnsibleError as error:
        raise InputError(_sentence(error), where=host) from error
    # Of what is said twice, ssh takes the first.
    own = ("-oControlMaster=no", "-oControlPath=none", *options)
    remote = f"/bin/sh -c {shlex.quote(shlex.join(words))}"
    return [os.fsdecode(ssh), *own, *map(os.fsdecode, arguments), remote]


def _connection(host: str, variables: HostVariables) -> Any:
    name = variables.get("ansible_connection") or constants.DEFAULT_TRANSPORT
    connection = connection_loader.get(name, PlayContext())
    if connection is None or connection.transport != "ssh":
        raise InputError(f"it is reached by the connection {name}, and only ssh forwards a port", where=host)
    known = constants.config.get_plugin_vars("connection", connection._load_name)
    connection.set_options(var_options={option: variables[option] for option in known if option in variables})
    connection.host = connection.get_option("host") or host
    return connection


def host_variables(
    hostvars: HostVars, groups: Mapping[str, Sequence[str]], loader: DataLoader
) -> dict[str, HostVariables]:
    """Each host's variables over the wiring and the roles' defaults, as the roles will see them."""
    beneath = {**_beneath(loader), "hostvars": hostvars, "groups": dict(groups)}
    return {name: HostVariables(hostvars.raw_get(name), beneath, loader) for name in _ours(groups)}


def gather(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]], known: Known, path: Path
) -> Inputs:
    """What there is to judge of the inventory at `path`. A template that gives nothing is noted, not raised."""
    hosts = tuple(_host(name, hostvars[name], known) for name in _ours(groups))
    defaults: dict[str, Any] = {}
    for host in groups.get("control_plane", ())[:1]:
        try:
            defaults = {f"cluster_{name}": _plain(value) for name, value in hostvars[host]["cluster_defaults"].items()}
        except (AnsibleError, KeyError):
            # Only a host without an address can do this, which is said of that host.
            defaults = {name: entry.default for name, entry in known.inputs.items() if name.startswith("cluster_")}
    return Inputs(
        directory=directory_of(path),
        shared_directory=shares_directory(path),
        groups={name: tuple(members) for name, members in groups.items()},
        hosts=hosts,
        defaults=defaults,
    )


def _host(name: str, variables: Mapping[str, Any], known: Known) -> HostInput:
    names = {str(key): key for key in variables if key not in MAGIC}
    values: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for variable in names:
        connects = variable.startswith("ansible_") and variable not in FACTS
        if variable in known.inputs or connects:
            try:
                value = _plain(variables[variable])
            except Exception as error:  # a template can raise anything
                failures[variable] = _sentence(error)
                continue
            # Of the others only that their templates work: some are passwords.
            if variable in known.inputs or variable in CONNECTION:
                values[variable] = value
    places = {variable: place for variable, key in names.items() if (place := _place(key))}
    return HostInput(name=name, values=values, names=frozenset(names), failures=failures, places=places)


def _ours(groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in GROUPS for name in groups.get(group, ())))


def _beneath(loader: DataLoader) -> dict[str, Any]:
    root = collection_root()
    files = [*sorted(root.glob("roles/*/defaults/main.yml")), root / "playbooks" / "vars" / "cluster.yml"]
    variables: dict[str, Any] = {}
    for file in files:
        variables |= loader.load_from_file(str(file), trusted_as_template=True) or {}
    return variables


def _place(key: object) -> str:
    origin = Origin.get_tag(key)
    if origin is None or not origin.path:
        return ""
    file = shown(Path(origin.path))
    return f"{file}:{origin.line_num}" if origin.line_num else file


def _plain(value: Any) -> Any:
    """Without Ansible's tags, which would follow the value into every message and file."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def _sentence(error: BaseException | str) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    undefined = isinstance(error, AnsibleUndefinedVariable) and "undefined" not in said
    return f"{said} is undefined" if undefined else said


def _unlock(loader: DataLoader) -> None:
    """Encrypted variables are read with what ansible.cfg or the environment says; nobody is asked for a password."""
    if _has_vault_password():
        from ansible.cli import CLI

        loader.set_vault_secrets(
            CLI.setup_vault_secrets(loader, vault_ids=constants.DEFAULT_VAULT_IDENTITY_LIST, auto_prompt=False)
        )


def _has_vault_password() -> bool:
    return bool(constants.DEFAULT_VAULT_PASSWORD_FILE or constants.DEFAULT_VAULT_IDENTITY_LIST)


def _check_vault_password(loader: DataLoader, path: Path) -> None:
    """InputError with every encrypted file that none of the vault passwords decrypts."""
    problems = []
    for file in encrypted_files(path):
        try:
            loader.get_text_file_contents(str(file))
        except AnsibleError as error:
            what = f"the vault password does not decrypt it: {_sentence(error)}"
            problems.append(Problem(shown(file), what, "ansible-vault view shows whether another one does"))
    if problems:
        raise InputError("the inventory cannot be decrypted", problems=problems)


@contextmanager
def _unprinted() -> Iterator[list[str]]:
    """What Ansible would print of a source that it cannot read becomes part of our own answer."""
    said: list[str] = []

    class Display:
        def warning(self, msg: str, *_: object, **__: object) -> None:
            if "is available" not in msg and "as an inventory source" not in msg:
                said.append(_sentence(msg))

        def error_as_warning(self, exception: BaseException, **_: object) -> None:
            said.append(_sentence(exception))

        def __getattr__(self, name: str) -> Any:
            return getattr(printing, name)

    printing = manager_module.display
    manager_module.display = Display()
    try:
        yield said
    finally:
        manager_module.display = printing


@functools.cache
def _initialise() -> None:
    init_plugin_loader()
