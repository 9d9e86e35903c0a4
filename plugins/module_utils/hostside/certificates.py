"""Keys are made here and never leave; certificates come back from the controller's authority."""

from __future__ import annotations

import os
import ssl
from typing import Any

from .errors import HostError
from .files import attributes, read, remove_file, set_attributes, sync, sync_directory, wanted_attributes, write_file
from .host import Host


def look(host: Host, item: dict[str, Any]) -> dict[str, Any]:
    """What is there: {certificate: PEM or None, pair: key and certificate belong together, attributes: both are as
    wanted}.
    """
    certificate, key = host.path(item["certificate"]), host.path(item["key"])
    pem = read(certificate)
    return {
        "certificate": pem,
        "pair": pem is not None and _pair(certificate, key),
        "attributes": (
            attributes(certificate) == wanted_attributes(host, dict(item, mode="0644"))
            and attributes(key) == wanted_attributes(host, dict(item, mode="0600"))
        ),
    }


def _pair(certificate: str, key: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        return False
    return True


def new_key(item: dict[str, Any]) -> str:
    """Where a key waits for its certificate: the old pair goes on serving until both are here."""
    return str(item["key"]) + ".new"


def request(host: Host, item: dict[str, Any]) -> str:
    """Make a new P-256 key beside the old one and return a signing request for it (PEM). Only its public key will
    count.
    """
    key = host.path(new_key(item))
    remove_file(key)
    os.close(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-keyout", key, "-subj", f"/CN={item['name']}"]
    made = host.run([*command, "-batch"], check=False)
    if made.returncode != 0:
        remove_file(key)
        raise HostError(f"openssl made no key for {item['key']}: {made.stderr.strip()[-500:]}")
    return made.stdout


def install(host: Host, item: dict[str, Any], pem: str | None) -> None:
    """Swap in the new pair, or only mend owner and mode where `pem` is None."""
    key = host.path(item["key"])
    if pem is None:
        set_attributes(host, host.path(item["certificate"]), dict(item, mode="0644"))
        set_attributes(host, key, dict(item, mode="0600"))
        return
    fresh = host.path(new_key(item))
    set_attributes(host, fresh, dict(item, mode="0600"))
    # On the disk under its first name before the certificate is under its own: a power cut leaves either pair, or both
    # halves of none. The next run sees a pair that does not match, and asks for a new one.
    sync(fresh)
    sync_directory(fresh)
    write_file(host, {"dest": item["certificate"], "content": pem, "owner": item.get("owner", "root"), "mode": "0644"})
    os.rename(fresh, key)
    sync_directory(key)


def paths(items: list[dict[str, Any]]) -> list[str]:
    return [path for item in items for path in (item["certificate"], item["key"])]
