"""Static pods as files of the component task: their values, such as a container's environment, are never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles/kubelet"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "from-an-object", "namespace": "kube-system"},
    "spec": {"containers": [{"name": "main", "image": "none", "env": [{"name": "WORD", "value": "swordfish"}]}]},
}


def files(inventory: Path, manifests: list[Any]) -> list[dict[str, Any]]:
    """What the role makes of `kubelet_static_manifests`."""
    text = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__kubelet_static_files"]
    variables = {"kubelet_static_manifests": manifests, "inventory_dir": str(inventory)}
    return list(Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text)))


def test_their_content_is_secret_and_for_root_alone(tmp_path: Path) -> None:
    (tmp_path / "from-a-path.yaml").write_text(yaml.safe_dump(POD))
    found = files(tmp_path, ["from-a-path.yaml", POD])
    assert [Path(item["dest"]).name for item in found] == ["from-a-path.yaml", "from-an-object.yaml"]
    assert all("swordfish" in item["content"] for item in found)
    assert [(item["mode"], item.get("secret")) for item in found] == [("0600", True)] * 2
