"""Ways to a host besides Ansible's own one call at a time: its Python, and ssh with a stream to write to."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase


def interpreter(action: ActionBase, task_vars: Mapping[str, Any]) -> str:
    """The host's Python: what the inventory says, else /usr/bin/python3. Discovery would cost a round trip."""
    value = str(action._templar.template(task_vars.get("ansible_python_interpreter")) or "")
    return "/usr/bin/python3" if not value or value.startswith("auto") or value == "None" else value


def connection_to(action: ActionBase, variables: Mapping[str, Any]) -> ConnectionBase:
    """The connection to another host, of whose variables it is made, as a delegated task would have it."""
    name = variables.get("ansible_connection") or action._play_context.connection
    connection = action._shared_loader_obj.connection_loader.get(name, action._play_context)
    options = constants.config.get_plugin_vars("connection", connection._load_name)
    connection.set_options(var_options={option: variables[option] for option in options if option in variables})
    return connection


def streaming(connection: ConnectionBase) -> bool:
    """Whether `command_over` does: a password has to be typed for ssh by Ansible itself, and others have no stream."""
    return bool(connection.transport == "ssh" and not connection.get_option("password"))


def command_over(connection: ConnectionBase, host: str, words: list[str]) -> list[bytes]:
    """The ssh command that runs `words` on the connection's host, as the login user; `host` where it has no address."""
    connection.host = connection.get_option("host") or host
    remote = f"/bin/sh -c {shlex.quote(shlex.join(words))}"
    command: list[bytes] = connection._build_command(
        connection.get_option("ssh_executable"), "ssh", connection.host, remote
    )
    return command
