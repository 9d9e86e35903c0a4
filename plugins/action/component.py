"""One task that says what must be true of a service on a host; see plugins/modules/component.py for its options.

The way of a run: compare (one call, touches nothing) -> deliver what the host lacks -> sign what it asks for -> apply.
A host where nothing differs costs the first call only.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.arguments import ARGUMENTS
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.artifacts import fetch_binaries, image_archives
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.bootstrap import begin_together
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.ca_change import stage
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.delivery import deliver
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.differences import as_diff, sentence
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.refusals import (
    etcd_clusters,
    left_in_place,
    refuse_another_cluster,
    refuse_pinned_images,
    without_data,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.renewal import (
    Due,
    Item,
    accepted,
    due,
    reloading,
    restarting,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import (
    SharedFiles,
    build,
    certificate_request,
    pins_of,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.turns import turn

from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI

if TYPE_CHECKING:
    from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.component import Compared

    from kubeinstall.components import File
    from kubeinstall.components.pins import Key

Result = dict[str, Any]


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        _, self._args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        try:
            return result | self._present()
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error

    def _call(self, operation: str, **spec: Any) -> Any:
        return call(self, self._task_vars, "component", self._spec | {"operation": operation} | spec)

    def _compare(self) -> Result:
        """The host's answer, without all that the task does not ask for: no host decides what is done beyond it."""
        replaces = self._args["replaces"]
        clusters = etcd_clusters(self._formed or {}, self._args, check_mode=self._task.check_mode)
        answer: Compared = self._call("compare", etcd_clusters=clusters, replaces=replaces)
        names = {item["name"] for item in self._args["certificates"]}
        if names != answer.certificates.keys() or bool(self._spec["unit"]) != bool(answer.unit):
            raise AnsibleActionFail(
                "the host's answer is not about the certificates and the unit that it was asked for"
            )
        needs = {change.path for change in answer.needs.binaries}
        return {
            "architecture": answer.architecture,
            "changes": [change._asdict() for change in answer.changes],
            "certificates": plain(answer.certificates),
            "binaries": [item for item in self._spec["binaries"] if item["dest"] in needs],
            "images": answer.needs.images,
            "unit": plain(answer.unit),
            "bootstraps": answer.bootstraps,
            "worked": answer.worked,
            "replaces": [name for name in replaces if name in answer.replaces],
        }

    def _present(self) -> Result:
        directory = self._args["pki_directory"] or self._templar.template(
            self._task_vars.get("kubeinstall_pki_directory")
        )
        self._pki = PKI(Path(directory)) if directory else None
        if self._pki:
            self._pki.check()
        self._formed = self._pki.formed if self._pki else None
        self._shared = SharedFiles(self._pki)
        self._imaged: dict[Key, str] = {}
        self._spec = build(self, self._task_vars, self._args, self._shared)
        found = self._compare()
        refuse_another_cluster(found["changes"], self._args, self._shared)
        refuse_pinned_images(found["images"], self._args["images"], self._task_vars)
        self._begun = self._begin_together(found)
        if without_data(found["bootstraps"], self._formed, self._args):
            return {"changed": False, "changes": [], "joins": True}
        if left_in_place(found["replaces"], self._args):
            return {"changes": [], "changed": self._made_ready(found), "replaces": found["replaces"]}
        # A check predicts the end of the change.
        ca_change = "" if self._task.check_mode else stage(self._args, found, self._pki)
        if ca_change and self._args["ca_change"]["state"] == "leave":
            return {"changed": False, "changes": [], "ca_change": ca_change}
        return self._made_so(found) | ({"ca_change": ca_change} if ca_change else {})

    def _made_so(self, found: Result) -> Result:
        """Apply what differs."""
        certificates = accepted(self._args["certificates"], found["certificates"], self._pki)
        renew = due(certificates, found["certificates"], self._pki, all_of_them=self._asked_for())
        if first := self._certificates_first(found, renew):
            return self._install(found, certificates, {name: renew[name] for name in first})
        self._add_attributes(found, renew)
        changes = [*found["changes"], *(one.difference for one in renew.values())]
        renewed, unit = restarting(certificates, renew), found["unit"]
        restart = self._restart(found, renewed)
        enable = bool(unit and not unit["enabled"])
        result = self._result(changes, restart, changed=bool(changes or restart or enable))
        if self._task.check_mode:
            return result
        if result["changed"]:
            if found["bootstraps"]:
                self._make_bootstrap_token(self._begun)
            # A reload and a first start take nothing from those who depend on it: no turn is waited for.
            restarts = bool(unit and unit["living"] and (unit["why"] or renewed))
            self._apply(found, certificates, sorted(renew), restarts=restarts, renewed=renewed)
        elif self._args["await_ready"]:
            self._call("wait")
        self._pin(found["architecture"])
        return result

    @staticmethod
    def _result(changes: list[Result], restart: str | None, *, changed: bool) -> Result:
        result: Result = {"changed": changed, "changes": [sentence(change) for change in changes]}
        if restart:
            result["changes"].append(restart)
        return result | ({"diff": as_diff(changes, restart)} if changed else {})

    def _certificates_first(self, found: Result, renew: dict[str, Due]) -> list[str]:
        """The certificates that a running service reads by itself, where those of all hosts come before the rest."""
        living = bool(found["unit"] and found["unit"]["living"])
        first = self._args["certificates_first"] and not self._args["await_ready"]
        if not (first and living) or self._task.check_mode:
            return []
        return reloading(self._args["certificates"], renew)

    def _pin(self, architecture: str) -> None:
        """The host has the binaries by now: from here on the cluster keeps to them."""
        digests = {
            (one["component"], one["version"], architecture, one["name"]): one["digests"][architecture]
            for one in self._spec["binaries"]
            if architecture in one["digests"]
        }
        pins_of(self._task_vars).add(digests | self._imaged)

    def _begin_together(self, found: Result) -> bool:
        """Whether another member of the same bootstrap has data already."""
        if self._formed or not self._args["begins_with"]:
            return False
        state = {"data": next(iter(found["bootstraps"]), ""), "worked": found["worked"]}
        host, present = self._task_vars["inventory_hostname"], self._task_vars["ansible_play_hosts"]
        return begin_together(self._args["name"], host, self._args["begins_with"], present, state)

    def _make_bootstrap_token(self, begun: bool) -> None:
        """One for all members, also of the next run if this one is killed.

        Without a token, members that have data already were given the cluster's name in its place, by an older version.
        """
        if self._pki and (cluster := self._shared.bootstraps):
            self._pki.begin_bootstrap(cluster if begun else f"{cluster}-{secrets.token_hex(8)}")
            self._spec = build(self, self._task_vars, self._args, self._shared)

    def _made_ready(self, found: Result) -> bool:
        """Get what can be had before the other one goes, so that nothing is lost where it is not to be had.

        True where packages were installed.
        """
        missing = any(change["kind"] == "package" for change in found["changes"])
        if not self._task.check_mode:
            self._fetch(found)
            if missing:
                self._call("request", renew=[])
        return missing

    def _add_attributes(self, found: Result, renew: dict[str, Due]) -> None:
        for item in self._args["certificates"]:
            if item["name"] not in renew and not found["certificates"][item["name"]]["attributes"]:
                found["changes"].append(
                    {"kind": "owner and mode of", "path": item["key"], "before": "other", "after": "as wanted"}
                )

    def _asked_for(self) -> bool:
        """Whether the user wants new certificates in place of good ones."""
        wanted = self._templar.template(self._task_vars.get("kubeinstall_renew_certificates", False))
        return boolean(wanted)

    def _restart(self, found: Result, renewed: bool) -> str | None:
        unit = found["unit"]
        if not unit:
            return None
        why = unit["why"] or ("its certificates change" if renewed else None)
        if why:
            together = "; one host first, then all others together" if self._together(found) else ""
            return f"{'restart' if unit['living'] else 'start'} {self._spec['unit']}: {why}{together}"
        return f"reload {self._spec['unit']}: {unit['reload']}" if unit["reload"] else None

    def _install(self, found: Result, certificates: list[Item], renew: dict[str, Due]) -> Result:
        """Put new certificates under a service that goes on. What else differs is left to a later task."""
        changes = [one for one in found["changes"] if one["kind"] == "directory"]
        changes += [one.difference for one in renew.values()]
        self._make_shared_files(sorted(renew))
        self._call("install", signed=self._sign(certificates, sorted(renew)))
        return self._result(changes, None, changed=True) | {"deferred": True}

    def _make_shared_files(self, renew: list[str]) -> None:
        if self._pki and (renew or self._shared.missing):
            for name in self._pki.ensure():
                self._display.vv(f"made {name}")
            self._spec = build(self, self._task_vars, self._args, self._shared)

    def _apply(
        self, found: Result, certificates: list[Item], renew: list[str], *, restarts: bool, renewed: bool
    ) -> None:
        self._make_shared_files(renew)
        delivered = self._deliver_binaries(found)
        archives = self._deliver_images(found)
        signed = self._sign(certificates, renew)
        changes = {"delivered": delivered, "archives": archives, "signed": signed}
        changes |= {"restarts": restarts, "renewed": renewed}
        if restarts:
            together = self._together(found)
            at_once = len(self._task_vars["ansible_play_hosts"]) if together else self._at_once()
            with turn(self._args["name"], self._task_vars["inventory_hostname"], at_once, first_alone=together):
                self._call("apply", **changes)
        else:
            self._call("apply", **changes)

    def _together(self, found: Result) -> bool:
        """Whether a file changes that the hosts have to have alike, to do their work for each other."""
        changed = {change["path"] for change in found["changes"] if change.get("before") is not None}
        return bool(found["unit"] and found["unit"]["living"] and changed & set(self._args["alike"]))

    def _at_once(self) -> int:
        said = self._args["at_once"] or self._templar.template(self._task_vars.get("kubeinstall_restarts_at_once"))
        return max(1, int(said or 1))

    def _fetch(self, found: Result) -> list[File]:
        """The programs that the host lacks, in the cache."""
        return fetch_binaries(found["binaries"], found["architecture"], pins_of(self._task_vars))

    def _deliver_binaries(self, found: Result) -> dict[str, str]:
        files = self._fetch(found)
        if not files:
            return {}
        self._spec = build(self, self._task_vars, self._args, self._shared)
        return deliver(self, self._task_vars, [(file.path, file.sha256) for file in files])

    def _deliver_images(self, found: Result) -> dict[str, str]:
        """Images that no registry has are built from a component's binary, and loaded on the host."""
        missing = [reference for reference in found["images"] if "@" not in reference]
        wanted = [item for item in self._args["images"] if item["reference"] in missing]
        archives, digests = image_archives(wanted, found["architecture"], pins_of(self._task_vars))
        self._imaged |= digests
        places = deliver(self, self._task_vars, list(archives.values()))
        return {reference: places[digest] for reference, (_, digest) in archives.items()}

    def _sign(self, certificates: list[Item], renew: list[str]) -> dict[str, str]:
        if not renew or not self._pki:
            return {}
        asked = self._call("request", renew=renew)
        items = {item["name"]: item for item in certificates if item["name"] in renew}
        if items.keys() != asked.keys():
            raise AnsibleActionFail("the host's certificate signing requests are not those that it was asked for")
        return {name: self._pki.sign(pem, certificate_request(items[name])) for name, pem in asked.items()}
