"""Takes images to a host's container engine, each only where it is lacking; see plugins/modules/image.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.delivery import deliver
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import digest_of

from kubeinstall.archives import ArchivedImage, contents
from kubeinstall.errors import KubeinstallError

Result = dict[str, Any]


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        paths = {"type": "list", "elements": "path", "required": True}
        _, args = self.validate_argument_spec(argument_spec={"archives": paths})
        try:
            archives = {Path(path): contents(Path(path)) for path in args["archives"]}
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        return result | self._load(task_vars or {}, archives)

    def _load(self, task_vars: Result, archives: dict[Path, tuple[ArchivedImage, ...]]) -> Result:
        every = [image for images in archives.values() for image in images]
        wanted = {reference: image.identity for image in every for reference in image.references}
        found = call(self, task_vars, "images", {"images": wanted, "archives": []})
        missing = [reference for reference in wanted if reference in found.missing]
        result = {
            "changed": bool(missing),
            "changes": [f"load {reference}" for reference in missing],
            "diff": [{"before": "", "after": "".join(f"{reference} {wanted[reference]}\n" for reference in missing)}],
        }
        if not missing:
            return result | {"diff": []}
        for image in every:
            if image.architecture != found.architecture:
                raise AnsibleActionFail(
                    f"{', '.join(image.references)} is made for {image.architecture}, and this host is"
                    f" {found.architecture}: load an image of that architecture"
                )
        if not self._task.check_mode:
            lacking = [
                path for path, images in archives.items() if any(set(i.references) & set(missing) for i in images)
            ]
            places = deliver(self, task_vars, [(path, digest_of(path)) for path in lacking])
            left = call(self, task_vars, "images", {"images": wanted, "archives": list(places.values())}).missing
            if left:
                raise AnsibleActionFail(f"the container engine took the archives, and still lacks {', '.join(left)}")
        return result
