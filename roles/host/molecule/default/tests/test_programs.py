"""The programs of the distribution that other roles rely upon and no other test here runs."""

from __future__ import annotations

from tests.lab import Lab


def test_openssl_makes_keys_that_sign(lab: Lab) -> None:
    (host,) = lab.all
    lab.sh(
        host,
        "cd $(mktemp -d) && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key"
        " && openssl pkey -in key -pubout -out public && openssl dgst -sha256 -sign key -out signature public"
        " && openssl dgst -sha256 -verify public -signature signature public",
    )


def test_public_authorities_are_known(lab: Lab) -> None:
    """Registries have certificates of theirs."""
    (host,) = lab.all
    (authority, *_) = lab.sh(host, "ls /usr/share/ca-certificates/mozilla/*Root*.crt").split("\n")
    lab.sh(host, f"openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt {authority}")


def test_kernel_modules_can_be_asked_for(lab: Lab) -> None:
    (host,) = lab.all
    lab.sh(host, "modprobe --showconfig")
