"""Asks registries whether they take the credentials that the inventory has for them, as the container engine would."""

from __future__ import annotations

import base64
import re
import ssl
import threading
import time
from http.client import HTTPException, HTTPSConnection
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

# For all of them, which are asked side by side.
SECONDS = 5
ACCEPTED, REFUSED = "accepted", "refused"
DOCKER_HUB = "registry-1.docker.io"
PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def ask(spec: dict[str, Any]) -> dict[str, str]:
    """{name: "accepted", "refused", or why there is no answer} of each registry.

    spec: {registries: [{name, username, password, authority: PEM or ""}], proxy: URL or "",
    no_proxy: [name, address or network]}.
    """
    answers: dict[str, str] = {}

    def ask_one(registry: dict[str, str]) -> None:
        try:
            answers[registry["name"]] = _Asker(registry, spec["proxy"], spec["no_proxy"]).answer()
        except (OSError, HTTPException, ValueError) as error:
            answers[registry["name"]] = sentence(error)

    # Looking up a name knows no time limit of its own: nobody waits for what a thread still does.
    threads = [threading.Thread(target=ask_one, args=[one], daemon=True) for one in spec["registries"]]
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {one["name"]: answers.get(one["name"], f"nothing within {SECONDS} s") for one in spec["registries"]}


class _Asker:
    """One registry, with its user's credentials."""

    def __init__(self, registry: dict[str, str], proxy: str, no_proxy: list[str]) -> None:
        self.host = DOCKER_HUB if registry["name"] == "docker.io" else registry["name"]
        self.user, self.proxy, self.no_proxy = registry["username"], proxy, no_proxy
        self.authorization = basic(registry["username"], registry["password"])
        self.context = ssl.create_default_context()
        if registry["authority"]:
            self.context.load_verify_locations(cadata=registry["authority"])

    def answer(self) -> str:
        status, challenges = self.get(f"https://{self.host}/v2/")
        if status == 401 and (bearer := [text for text in challenges if text.lower().startswith("bearer ")]):
            # Who issues the registry's tokens is who knows its users.
            said = dict(PARAMETER.findall(bearer[0]))
            query = {"service": said["service"]} if "service" in said else {}
            status, _ = self.get(f"{said.get('realm', '')}?{urlencode({**query, 'account': self.user})}")
            status = 401 if status == 403 else status
        if status == 401:
            return REFUSED
        return ACCEPTED if status == 200 else f"it answers with the status {status}"

    def get(self, url: str) -> tuple[int, list[str]]:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError("it sends credentials to an address that is not https")
        connection = self.connection(parts.hostname, parts.port or 443)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request("GET", target, headers={"Authorization": self.authorization})
            response = connection.getresponse()
            return response.status, response.headers.get_all("WWW-Authenticate") or []
        finally:
            connection.close()

    def connection(self, host: str, port: int) -> HTTPSConnection:
        if not self.proxy or unproxied(host, port, self.no_proxy):
            return HTTPSConnection(host, port, timeout=SECONDS, context=self.context)
        proxy = urlsplit(self.proxy)
        if proxy.scheme != "http" or not proxy.hostname:
            raise ValueError("its proxy speaks TLS, by which only the container engine asks")
        connection = HTTPSConnection(proxy.hostname, proxy.port or 80, timeout=SECONDS, context=self.context)
        user, password = unquote(proxy.username or ""), unquote(proxy.password or "")
        connection.set_tunnel(host, port, {"Proxy-Authorization": basic(user, password)} if user else {})
        return connection


def sentence(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"nothing within {SECONDS} s"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def unproxied(host: str, port: int, no_proxy: list[str]) -> bool:
    """Whether a host is reached without a proxy, by the rules of Go's programs."""
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address and address.is_loopback):
        return True
    for entry in no_proxy:
        name, _, only = entry.lower().removeprefix("*").partition(":")
        if entry == "*":
            return True
        if only and only != str(port):
            continue
        if address:
            try:
                if address in ip_network(name, strict=False):
                    return True
            except ValueError:
                pass
        elif (host == name.lstrip(".") and not name.startswith(".")) or host.endswith(f".{name.lstrip('.')}"):
            return True
    return False
