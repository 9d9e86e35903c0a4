"""What the engine's answers mean, where a test can't have it answer so at will."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import docker.errors

from kubeinstall.lab.engine import Engine


class Api:
    """Lists two containers, of which another process has removed one since."""

    def containers(self, **_: Any) -> list[dict[str, str]]:
        return [{"Id": "gone"}, {"Id": "kept"}]

    def inspect_container(self, name: str) -> dict[str, Any]:
        if name == "gone":
            raise docker.errors.NotFound("No such container: gone")
        config = {"Image": "host", "Labels": {}}
        return {"Name": "/kept", "State": {"Status": "running"}, "NetworkSettings": {}, "Config": config}


def test_a_container_that_was_removed_meanwhile_is_not_listed() -> None:
    client: Any = SimpleNamespace(api=Api(), close=lambda: None)
    assert [container.name for container in Engine(client).containers("kubeinstall")] == ["kept"]
