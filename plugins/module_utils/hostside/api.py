"""A client of the Kubernetes API, with a client certificate: requests, discovery, patience while it comes up."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import time
import urllib.parse
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence

from .answers import Answer
from .errors import HostError
from .host import Host
from .waiting import pause

Document = Dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
# What an API server answers while it, or its etcd, is not up yet or has too much to do.
NOT_NOW = (429, 502, 503, 504)
# With 500 it also answers what no patience mends, such as an unknown field: only these words in it mean later.
LATER = ("etcdserver:", "rpc error", "timed out", "deadline exceeded", "failed calling webhook")
RESTING = 0.25
# How long one of several API servers has to say that it is ready, before the next one is asked.
CHOOSING = 2
# How long one answer may take: an API server without etcd gives none.
SLOWEST = 15


class UnreachableError(HostError):
    """Nothing that speaks for a cluster answers: it doesn't run (yet), or this is no control plane."""


class RefusedError(Exception):
    """The API understood and said no: `status` is HTTP's, `message` its own words, `causes` its finer ones if any."""

    def __init__(self, status: int, message: str, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.causes = status, message, tuple(causes)


class Resource(NamedTuple):
    """Where the objects of a kind are: the API's path, the plural name in it, and whether they live in namespaces."""

    base: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        parts = [self.base]
        if self.namespaced and namespace:
            parts += ["namespaces", urllib.parse.quote(namespace)]
        parts.append(self.plural)
        return "/".join(parts + ([urllib.parse.quote(name)] if name else []))


class API:
    """One connection to an API server.

    `server` is its URL; authority, certificate and key are paths on this host. Where there are `others`, URLs too, the
    first of them all that is ready serves, and another one when that is lost. A request that finds none is repeated for
    `patience` seconds, counted for each request, then UnreachableError says what was seen last.
    """

    def __init__(
        self,
        server: str,
        authority: str,
        certificate: str,
        key: str,
        *,
        others: Sequence[str] = (),
        patience: float = 60,
    ) -> None:
        self.server, self.patience = server, patience
        self._servers = (server, *others)
        for path in (authority, certificate, key):
            if not os.path.exists(path):
                raise UnreachableError(f"{path} is not on this host: the control plane is not installed here")
        self._context = ssl.create_default_context(cafile=authority)
        self._context.load_cert_chain(certificate, key)
        self._connection: Optional[http.client.HTTPSConnection] = None
        self._resources: Dict[str, Dict[str, Resource]] = {}

    def close(self) -> None:
        """The next request opens it again, to whichever server is ready then."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str) -> Optional[Document]:
        """The document at `path`, None where there is none."""
        try:
            return self.request("GET", path)
        except RefusedError as refusal:
            if refusal.status == 404:
                return None
            raise

    def request(self, method: str, path: str, body: Optional[Document] = None, kind: str = JSON) -> Document:
        """The API's answer. Raises RefusedError when it says no for good, UnreachableError where nothing answers."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                status, answer = self._ask(method, path, body, kind)
                if status < 400:
                    return answer
                late = time.monotonic() >= deadline
                message = str(answer.get("message") or f"HTTP status {status}")
                passes = status in NOT_NOW or (status == 500 and any(words in message for words in LATER))
                if late or not passes:
                    causes = (answer.get("details") or {}).get("causes") or []
                    raise RefusedError(status, message, [str(one.get("message")) for one in causes])
            except (OSError, http.client.HTTPException) as error:
                late = time.monotonic() >= deadline
                if isinstance(error, ssl.SSLCertVerificationError) and (late or len(self._servers) == 1):
                    raise HostError(
                        f"{self.server} is not the API server it should be: {error.verify_message}"
                    ) from None
                if late:
                    raise self._unreachable(error) from None
            self.close()
            pause(RESTING)

    def _ask(self, method: str, path: str, body: Optional[Document], kind: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        if self._connection is None:
            self.server = self._choose()
            self._connection = self._connect(self.server, min(SLOWEST, self.patience))
        self._connection.request(method, path, data, {"Content-Type": kind, "Accept": JSON})
        response = self._connection.getresponse()
        text = response.read()
        try:
            return response.status, json.loads(text or b"{}")
        except ValueError:
            return response.status, {"message": text[-500:].decode(errors="replace")}

    def _unreachable(self, error: Exception) -> UnreachableError:
        said = f"within {self.patience:.0f} s: {error or type(error).__name__}"
        command = "systemctl status kube-apiserver etcd"
        if len(self._servers) == 1:
            return UnreachableError(f"the API server at {self.server} did not answer {said} (on this host: {command})")
        servers = ", ".join(self._servers)
        return UnreachableError(f"none of the API servers {servers} answered {said} (on their hosts: {command})")

    def _choose(self) -> str:
        """The first that is ready. Where none is, the first of all: the request itself says why."""
        if len(self._servers) == 1:
            return self._servers[0]
        return next((server for server in self._servers if self._ready(server)), self._servers[0])

    def _ready(self, server: str) -> bool:
        with contextlib.closing(self._connect(server, CHOOSING)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False

    def version(self, server: str) -> str:
        """The version of an API server of this cluster, empty where it does not answer at once."""
        with contextlib.closing(self._connect(server, CHOOSING)) as connection:
            try:
                connection.request("GET", "/version")
                return str(json.loads(connection.getresponse().read())["gitVersion"]).removeprefix("v")
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
                return ""

    def _connect(self, server: str, timeout: float) -> http.client.HTTPSConnection:
        netloc = urllib.parse.urlsplit(server).netloc
        return http.client.HTTPSConnection(netloc, timeout=timeout, context=self._context)

    def resource(self, version: str, kind: str, *, fresh: bool = False) -> Optional[Resource]:
        """Where objects of `kind` in apiVersion `version` are; None if there is no such kind. `fresh` asks again."""
        if fresh or version not in self._resources:
            base = f"/apis/{version}" if "/" in version else f"/api/{version}"
            found = self.get(base) or {"resources": []}
            self._resources[version] = {
                item["kind"]: Resource(base, item["name"], bool(item["namespaced"]))
                for item in found["resources"]
                if "/" not in item["name"]
            }
        return self._resources[version].get(kind)


def operate(spec: Dict[str, Any], operations: Mapping[str, Operation], answers: Mapping[str, Answer]) -> Dict[str, Any]:
    """What one of the operations, {name: function of the API and the spec}, makes of the API that the spec names.

    `answers` are the module's ANSWERS: all but those that only read take this host's lock.
    """
    # To be asked again elsewhere costs less than to wait here.
    patience = 5 if spec["operation"] == "ask" else 10
    access = {key: spec[key] for key in ("server", "authority", "certificate", "key")}
    reads = spec["check"] or answers[spec["operation"]].reads
    try:
        with (
            Host(spec.get("root", "/")).acting(f"{spec['operation']} {spec.get('name') or ''}".strip(), check=reads),
            contextlib.closing(API(**access, patience=patience)) as api,
        ):
            return operations[spec["operation"]](api, spec)
    except RefusedError as refusal:
        raise HostError(f"the API refuses it: {refusal.message}") from None


Operation = Callable[[API, Dict[str, Any]], Dict[str, Any]]
