"""Turns a component task into what must be true on one host: templates rendered, binaries known by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from kubeinstall.components import Pins, Store, architectures
from kubeinstall.pki import PKI, CertificateRequest

READY_TIMEOUT = 120
PLACEHOLDER = "(made by the first run)\n"
UNITS = "/etc/systemd/system"


class SharedFiles:
    """The PKI directory as templates see it: `pki.read(name)`. What doesn't exist yet reads as a placeholder."""

    def __init__(self, pki: PKI | None) -> None:
        self.pki = pki
        self.missing: set[str] = set()
        # The cluster name of a bootstrap whose token does not exist yet.
        self.bootstraps: str | None = None

    def read(self, name: str) -> str:
        if self.pki is None:
            raise AnsibleActionFail(
                f"{name} is asked for, but the task has no pki_directory: set cluster_pki_directory"
            )
        if not self.pki.has(name):
            self.missing.add(name)
            return PLACEHOLDER
        return self.pki.read(name)

    def bootstrap_token(self, cluster: str) -> str:
        """etcd's initial cluster token. It differs with each bootstrap, and so does the id of the cluster."""
        if self.pki is None or self.pki.formed is not None:
            return cluster
        token = self.pki.bootstrap_token
        if token is None:
            self.bootstraps = cluster
            return f"{cluster}-{PLACEHOLDER.strip()}"
        return token


def render(action: ActionBase, task_vars: dict[str, Any], src: str, shared: SharedFiles) -> str:
    """A template of the role, with all the task sees and `pki`."""
    source = action._find_needle("templates", src)
    text = trust_as_template(action._loader.get_text_file_contents(source))
    templar = action._templar.copy_with_new_env(
        searchpath=[str(Path(source).parent)], available_variables=task_vars | {"pki": shared}
    )
    return str(templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": True}))


def certificate_request(item: Mapping[str, Any]) -> CertificateRequest:
    return CertificateRequest(
        authority=str(item["authority"]),
        common_name=str(item["common_name"]),
        organizations=tuple(map(str, item["organizations"])),
        names=tuple(map(str, item["names"])),
        addresses=tuple(map(str, item["addresses"])),
        usages=frozenset(map(str, item["usages"])),
    )


def build(
    action: ActionBase, task_vars: dict[str, Any], args: Mapping[str, Any], shared: SharedFiles
) -> dict[str, Any]:
    """The spec that hostside/component.py documents, without its operation."""
    unit = Path(args["unit"]).name.removesuffix(".j2") if args["unit"] else None
    return {
        "name": args["name"],
        "user": args["user"],
        "packages": args["packages"],
        "kernel_modules": args["kernel_modules"],
        "sysctls": {name: str(value) for name, value in args["sysctls"].items()},
        "directories": args["directories"],
        "binaries": _binaries(args["binaries"], pins_of(task_vars)),
        "certificates": [
            {key: item[key] for key in ("name", "certificate", "key", "owner", "reload")}
            for item in args["certificates"]
        ],
        "files": _files(action, task_vars, args, unit, shared),
        "images": [{"reference": item["reference"]} for item in args["images"]],
        "unit": unit,
        "ready": {
            "timeout": ready_timeout(action, task_vars),
            **{key: value for key, value in (args["ready"] or {}).items() if value is not None},
        },
        "one_way": args["one_way"],
        "spare": {key: value for key, value in (args["spare"] or {}).items() if value},
    }


def ready_timeout(action: ActionBase, task_vars: Mapping[str, Any]) -> int:
    """Seconds that what was started gets, where the task does not say: on slow hosts the user gives it more."""
    return int(action._templar.template(task_vars.get("kubeinstall_ready_timeout")) or READY_TIMEOUT)


def pins_of(task_vars: Mapping[str, Any]) -> Pins:
    """The digests pinned beside the inventory that the task's host is in."""
    directory = task_vars.get("inventory_dir")
    return Pins(Path(directory) if directory else None)


def _binaries(groups: list[dict[str, Any]], pins: Pins) -> list[dict[str, Any]]:
    """What is pinned holds, also where the cache lacks it or has another build."""
    store, pinned, found = Store(), pins.read() if groups else {}, []
    for group in groups:
        for name in group["names"]:
            component, version = store.catalogue.component_of(name), group["version"]
            known = {arch: file.sha256 for arch in architectures if (file := store.locate(name, version, arch))}
            for arch in architectures:
                known |= {arch: pinned[key]} if (key := (component, version, arch, name)) in pinned else {}
            item = {"name": name, "component": component, "version": version, "digests": known}
            found.append(item | {"dest": f"{group['directory']}/{name}"})
    return found


def _files(
    action: ActionBase, task_vars: dict[str, Any], args: Mapping[str, Any], unit: str | None, shared: SharedFiles
) -> list[dict[str, Any]]:
    files = [_file(item, _content(action, task_vars, item, shared)) for item in args["files"]]
    files += [_file({**item, "mode": "0600"}, kubeconfig(item)) for item in args["kubeconfigs"]]
    if args["kernel_modules"]:
        text = "".join(f"{name}\n" for name in args["kernel_modules"])
        files.append(_file({"dest": f"/etc/modules-load.d/kubeinstall-{args['name']}.conf", "mode": "0644"}, text))
    if args["sysctls"]:
        text = "".join(f"{name} = {value}\n" for name, value in args["sysctls"].items())
        files.append(_file({"dest": f"/etc/sysctl.d/99-kubeinstall-{args['name']}.conf", "mode": "0644"}, text))
    if unit:
        files.append(
            _file({"dest": f"{UNITS}/{unit}", "mode": "0600"}, render(action, task_vars, args["unit"], shared))
        )
    return files


def _file(item: Mapping[str, Any], content: str) -> dict[str, Any]:
    defaults = {
        "owner": "root",
        "group": None,
        "secret": False,
        "restart": True,
        "reload": False,
        "only_if_missing": None,
        "after_ready": False,
        "identity": None,
    }
    kept = {key: item.get(key, default) for key, default in defaults.items()}
    return {"dest": item["dest"], "mode": item["mode"], "content": content, **kept}


def _content(action: ActionBase, task_vars: dict[str, Any], item: Mapping[str, Any], shared: SharedFiles) -> str:
    if item["src"]:
        return render(action, task_vars, item["src"], shared)
    if item["pki"]:
        return shared.read(item["pki"])
    return str(item["content"])


def kubeconfig(item: Mapping[str, Any]) -> str:
    """A kubeconfig that refers to its certificates by path: embedded ones could not be predicted before they are
    signed.
    """
    name = str(item["user"])
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "cluster",
                    "cluster": {"server": str(item["server"]), "certificate-authority": str(item["authority"])},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {"client-certificate": str(item["certificate"]), "client-key": str(item["key"])},
                }
            ],
            "contexts": [{"name": "default", "context": {"cluster": "cluster", "user": name}}],
            "current-context": "default",
        },
        sort_keys=False,
    )


def of_another_cluster(changes: list[dict[str, Any]], args: Mapping[str, Any]) -> str | None:
    """A host that carries a CA or a shared key other than ours belongs to another cluster: the path, or None."""
    ours = {item["dest"] for item in args["files"] if item["pki"]}
    for change in changes:
        whole = change["path"] in ours and change.get("content") and change.get("before") is not None
        if whole or change.get("other_identity"):
            return str(change["path"])
    return None


def digest_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


__all__ = [
    "SharedFiles",
    "build",
    "certificate_request",
    "digest_of",
    "kubeconfig",
    "of_another_cluster",
    "pins_of",
    "ready_timeout",
    "render",
]
