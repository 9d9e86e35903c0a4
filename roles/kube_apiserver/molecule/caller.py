"""Who calls the API over the network, from none of the cluster's hosts."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from tests.lab import Lab

__all__ = ["Caller", "authorities"]


def authorities(lab: Lab) -> PKI:
    """The cluster's own."""
    return PKI(lab.inventory / ".kubeinstall" / "pki")


class Caller:
    """Somebody with a certificate (`user`, of `groups`), with a token, or with neither; `signer` is who certified."""

    def __init__(
        self, lab: Lab, user: str = "", groups: Sequence[str] = (), token: str = "", signer: PKI | None = None
    ) -> None:
        self.url = f"https://{lab.address(lab['control_plane'][0])}:6443"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._context = ssl.create_default_context(cadata=authorities(lab).read("kubernetes/ca.crt"))
        if user:
            self._show(signer or authorities(lab), user, groups)

    def _show(self, signer: PKI, user: str, groups: Sequence[str]) -> None:
        request = CertificateRequest(
            authority="kubernetes",
            common_name=user,
            organizations=tuple(groups),
            names=(),
            addresses=(),
            usages=frozenset({"client"}),
        )
        with TemporaryDirectory() as folder:
            file = Path(folder) / "certificate.pem"
            file.write_text("".join(signer.issue(request)))
            self._context.load_cert_chain(file)

    def ask(self, path: str, body: object = None) -> httpx.Response:
        """What is answered to a GET, or to a POST where there is a body."""
        method = "GET" if body is None else "POST"
        try:
            return httpx.request(
                method,
                self.url + path,
                json=body,
                headers=self._headers,
                verify=self._context,
                timeout=10,
                trust_env=False,
            )
        except httpx.TransportError as error:
            raise AssertionError(f"the API server at {self.url} does not answer: {error}") from None
