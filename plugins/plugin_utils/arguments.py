"""The options of the component task, as Ansible's argument specification; plugins/modules/component.py explains them.

And what is the same in all that is asked of a control plane's own API server.
"""

from __future__ import annotations

from typing import Any

from kubeinstall.pki import AUTHORITIES


def _items(**options: dict[str, Any]) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


STRING = {"type": "str"}
REQUIRED = {"type": "str", "required": True}
STRINGS = {"type": "list", "elements": "str", "default": []}
ROOT = {"type": "str", "default": "root"}
FLAG = {"type": "bool", "default": False}

_PKI = "/etc/kubernetes/pki"
API_OF_THE_HOST = {
    "server": "https://127.0.0.1:6443",
    "authority": f"{_PKI}/ca.crt",
    "certificate": f"{_PKI}/admin.crt",
    "key": f"{_PKI}/admin.key",
}

ARGUMENTS: dict[str, Any] = {
    "name": REQUIRED,
    "user": STRING,
    "packages": {"type": "dict", "default": {}},
    "kernel_modules": STRINGS,
    "sysctls": {"type": "dict", "default": {}},
    "directories": _items(path=REQUIRED, owner=ROOT, group=STRING, mode={"type": "str", "default": "0755"}),
    "binaries": _items(
        names={"type": "list", "elements": "str", "required": True},
        version=REQUIRED,
        directory={"type": "str", "default": "/usr/local/bin"},
    ),
    "certificates": _items(
        name=REQUIRED,
        authority={"type": "str", "required": True, "choices": list(AUTHORITIES)},
        accepts=STRINGS | {"choices": list(AUTHORITIES)},
        common_name=REQUIRED,
        organizations=STRINGS,
        names=STRINGS,
        addresses=STRINGS,
        usages={"type": "list", "elements": "str", "choices": ["server", "client"], "required": True},
        certificate=REQUIRED,
        key={"type": "str", "required": True, "no_log": False},
        owner=ROOT,
        reload={"type": "str", "choices": ["never", "unless_expired", "always"], "default": "never"},
    ),
    "certificates_first": FLAG,
    "await_ready": FLAG,
    "ca_change": {
        "type": "dict",
        "options": {
            "certificate": REQUIRED,
            "authority": {"type": "str", "required": True, "choices": list(AUTHORITIES)},
            "files": STRINGS,
            "state": {"type": "str", "choices": ["refuse", "leave", "trust", "issue", "finish"], "default": "refuse"},
        },
    },
    "kubeconfigs": _items(
        dest=REQUIRED,
        server=REQUIRED,
        authority=REQUIRED,
        certificate=REQUIRED,
        key={"type": "str", "required": True, "no_log": False},
        user=REQUIRED,
        owner=ROOT,
    ),
    "files": {
        **_items(
            src=STRING,
            content=STRING,
            pki=STRING,
            dest=REQUIRED,
            owner=ROOT,
            group=STRING,
            mode={"type": "str", "default": "0600"},
            secret={"type": "bool", "default": False, "no_log": False},
            restart={"type": "bool", "default": True},
            reload=FLAG,
            only_if_missing=STRING,
            after_ready=FLAG,
            identity=STRING,
        ),
        "required_one_of": [("src", "content", "pki")],
        "mutually_exclusive": [("src", "content", "pki")],
    },
    "images": _items(
        reference=REQUIRED,
        binary=REQUIRED,
        version=REQUIRED,
        path=REQUIRED,
        entrypoint={"type": "list", "elements": "str", "required": True},
    ),
    "unit": STRING,
    "ready": {
        "type": "dict",
        "required_by": {"node": "kubeconfig", "lease": "kubeconfig"},
        "options": {
            "url": STRING,
            "socket": STRING,
            "cri": STRING,
            "node": STRING,
            "lease": STRING,
            "kubeconfig": STRING,
            "followers": _items(unit=REQUIRED, ready={"type": "dict", "required": True}),
            "file": STRING,
            "ca": STRING,
            "certificate": STRING,
            "key": {"type": "str", "no_log": False},
            "status": {"type": "int", "default": 200},
            "timeout": {"type": "int"},
        },
    },
    "spare": {
        "type": "dict",
        "options": {"etcd_member": STRING, "peers": STRINGS, "ca": STRING},
        "mutually_exclusive": [("etcd_member", "peers")],
    },
    "begins_with": STRINGS,
    "at_once": {"type": "int"},
    "alike": STRINGS,
    "one_way": FLAG,
    "without_data": {"type": "str", "choices": ["refuse", "leave", "join"], "default": "refuse"},
    "replaces": STRINGS,
    "replacing": {"type": "str", "choices": ["refuse", "leave", "proceed"], "default": "refuse"},
    "pki_directory": STRING,
}
