"""The PKI directory on real files, with certificates read back and chains checked by another program, openssl."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubeinstall.errors import PKIError
from kubeinstall.pki import AUTHORITIES, PKI, CertificateRequest

SERVER = CertificateRequest(
    authority="kubernetes",
    common_name="kube-apiserver",
    organizations=("example",),
    names=("kubernetes", "kubernetes.default.svc.cluster.local", "node-1"),
    addresses=("10.96.0.1", "192.0.2.11"),
    usages=frozenset({"server"}),
)
# The CAs before etcd's peers had their own.
FORMER = ("kubernetes", "etcd", "front-proxy")
CLIENT = CertificateRequest("etcd", "kube-apiserver", usages=frozenset({"client"}))


@pytest.fixture
def pki(tmp_path: Path) -> PKI:
    made = PKI(tmp_path / "state" / "pki")
    made.ensure()
    return made


def signing_request(common_name: str = "somebody else") -> str:
    """A request as a host sends it: its subject is of no interest."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("evil.example")]), critical=False)
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def test_ensure_creates_all_and_then_nothing(tmp_path: Path) -> None:
    pki = PKI(tmp_path / "a" / "b")
    assert pki.ensure() == [
        "kubernetes/ca.crt",
        "etcd/ca.crt",
        "etcd-peer/ca.crt",
        "front-proxy/ca.crt",
        "service-account.key",
        "service-account.pub",
        "encryption.key",
    ]
    before = {path: path.read_bytes() for path in pki.directory.rglob("*") if path.is_file()}
    assert pki.ensure() == []
    assert before == {path: path.read_bytes() for path in pki.directory.rglob("*") if path.is_file()}


def test_only_the_owner_can_read(pki: PKI) -> None:
    for path in (pki.directory, *pki.directory.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_directory_that_was_opened_is_closed_again(pki: PKI) -> None:
    pki.directory.chmod(0o755)
    (pki.directory / "etcd" / "ca.key").chmod(0o644)
    pki.ensure()
    assert stat.S_IMODE(pki.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((pki.directory / "etcd" / "ca.key").stat().st_mode) == 0o600


def test_opening_it_closes_every_file_to_others(pki: PKI) -> None:
    pki.directory.chmod(0o755)
    (pki.directory / "etcd").chmod(0o750)
    for name in ("etcd/ca.key", "service-account.key", "encryption.key", "formed.json"):
        (pki.directory / name).touch()
        (pki.directory / name).chmod(0o644)
    PKI(pki.directory)
    for path in (pki.directory, *pki.directory.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", [".", "etcd", "etcd/ca.key", "encryption.key"])
def test_a_foreign_owner_is_refused(pki: PKI, name: str) -> None:
    os.chown(pki.directory / name, 12345, -1)
    with pytest.raises(PKIError, match=r"belongs to user 12345, not to root .*chown -R root "):
        PKI(pki.directory)


def test_opening_it_closes_the_bootstrap_token_to_others(pki: PKI) -> None:
    pki.begin_bootstrap("lab-1")
    (pki.directory / "bootstrap.json").chmod(0o644)
    PKI(pki.directory)
    assert stat.S_IMODE((pki.directory / "bootstrap.json").stat().st_mode) == 0o600


def test_a_check_with_an_empty_record_needs_all_shared_keys(pki: PKI) -> None:
    (pki.directory / "formed.json").write_text("{}")
    (pki.directory / "encryption.key").unlink()
    with pytest.raises(PKIError, match=r"formed with encryption\.key, which is missing"):
        pki.check()


def test_keys_are_pinned_only_in_a_record(pki: PKI) -> None:
    with pytest.raises(PKIError, match="not bootstrapped yet"):
        pki.pin_keys()
    assert pki.formed is None


def _replaced(pki: PKI, other: PKI, *names: str) -> None:
    for name in names:
        (pki.directory / name).write_text((other.directory / name).read_text())


@pytest.fixture
def other(tmp_path: Path) -> PKI:
    made = PKI(tmp_path / "other")
    made.ensure()
    return made


def test_a_pinned_cluster_refuses_another_encryption_key(pki: PKI, other: PKI) -> None:
    pki.mark_formed({})
    pki.pin_keys()
    pki.check()
    _replaced(pki, other, "encryption.key")
    for open_it in (pki.check, pki.ensure):
        with pytest.raises(PKIError, match=r"encryption\.key: .*not the encryption\.key that the cluster uses"):
            open_it()


def test_a_pinned_cluster_refuses_another_service_account_key(pki: PKI, other: PKI) -> None:
    pki.mark_formed({})
    pki.pin_keys()
    _replaced(pki, other, "service-account.key", "service-account.pub")
    with pytest.raises(PKIError, match=r"not the service-account\.pub that the cluster uses"):
        pki.check()


def test_a_key_and_its_public_key_belong_together(pki: PKI, other: PKI) -> None:
    _replaced(pki, other, "service-account.key")
    for open_it in (pki.check, pki.ensure):
        with pytest.raises(PKIError, match=r"service-account\.key does not belong to service-account\.pub"):
            open_it()


@pytest.mark.parametrize("name", ["etcd/ca.crt", "service-account.pub", "encryption.key"])
def test_a_check_names_what_a_formed_cluster_lacks(pki: PKI, name: str) -> None:
    pki.mark_formed({})
    (pki.directory / name).unlink()
    with pytest.raises(PKIError, match=rf"formed with {name}, which is missing"):
        pki.check()


def test_pins_do_not_give_a_key_away_and_last(pki: PKI) -> None:
    assert pki.pinned is False
    pki.mark_formed({"cluster_id": "1"})
    pki.pin_keys()
    assert pki.pinned is True
    before = pki.formed
    assert before is not None
    key = pki.read("encryption.key").strip()
    text = (pki.directory / "formed.json").read_text()
    assert key not in text
    for plain in (key.encode(), base64.b64decode(key)):
        assert hashlib.sha256(plain).hexdigest() not in text
    pki.mark_formed({**before, "restored": "now"})
    assert (pki.formed or {})["keys"] == before["keys"]
    # White space around a key does not make it another one.
    (pki.directory / "encryption.key").write_text(f"{key}\n")
    pki.check()


def _ensure(directory: Path, start: Event, results: Queue[tuple[list[str], str]]) -> None:
    start.wait()
    created = PKI(directory).ensure()
    results.put((created, (directory / "etcd" / "ca.crt").read_text()))


def test_fifty_workers_at_once_make_one_authority(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    workers = [context.Process(target=_ensure, args=(tmp_path / "pki", start, results)) for _ in range(50)]
    for worker in workers:
        worker.start()
    start.set()
    seen = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(bool(created) for created, _ in seen) == 1
    assert len({authority for _, authority in seen}) == 1


def test_a_run_killed_between_key_and_certificate_is_completed(pki: PKI) -> None:
    key = pki.directory / "etcd" / "ca.key"
    before = key.read_text()
    (pki.directory / "etcd" / "ca.crt").unlink()
    (pki.directory / "etcd" / ".ca.crt.new").write_text("half")
    assert pki.ensure() == ["etcd/ca.crt"]
    assert key.read_text() == before
    pki.sign(signing_request(), CLIENT)


@pytest.mark.parametrize("name", ["kubernetes/ca.crt", "service-account.key", "encryption.key"])
def test_a_formed_cluster_never_gets_new_keys(pki: PKI, name: str) -> None:
    pki.mark_formed({"id": "1"})
    (pki.directory / name).unlink()
    with pytest.raises(PKIError, match=rf"living cluster was formed with {name}, which is missing.*from a backup"):
        pki.ensure()
    assert not pki.has(name)


def test_a_formed_cluster_refuses_another_authority(pki: PKI, tmp_path: Path) -> None:
    pki.mark_formed({})
    other = PKI(tmp_path / "other")
    other.ensure()
    (pki.directory / "etcd" / "ca.crt").write_text(other.read("etcd/ca.crt"))
    with pytest.raises(PKIError, match="not the etcd authority that the cluster was formed with"):
        pki.ensure()


def older(pki: PKI) -> dict[str, object]:
    """The PKI directory of a cluster that was formed before there was a CA for etcd's peers; its record."""
    (pki.directory / "etcd-peer" / "ca.crt").unlink()
    (pki.directory / "etcd-peer" / "ca.key").unlink()
    record: dict[str, object] = {"id": "1", "authorities": {name: pki._digest(f"{name}/ca.crt") for name in FORMER}}
    (pki.directory / "formed.json").write_text(json.dumps(record))
    return record


def test_a_formed_cluster_gets_a_ca_that_it_is_older_than(pki: PKI) -> None:
    record = older(pki)
    assert pki.ensure() == ["etcd-peer/ca.crt"]
    assert pki.formed is not None
    assert pki.formed["id"] == "1"
    assert pki.formed["authorities"] == {**record["authorities"], "etcd-peer": pki._digest("etcd-peer/ca.crt")}  # type: ignore[dict-item]
    # From now on it is one that hosts trust.
    (pki.directory / "etcd-peer" / "ca.crt").unlink()
    with pytest.raises(PKIError, match=r"formed with etcd-peer/ca\.crt, which is missing"):
        pki.ensure()
    pki.mark_formed({**pki.formed, "restored": "now"})
    with pytest.raises(PKIError, match=r"formed with etcd-peer/ca\.crt, which is missing"):
        pki.ensure()


def test_a_run_killed_before_it_noted_the_new_ca_is_completed(pki: PKI) -> None:
    older(pki)
    key = pki._new_key("etcd-peer/ca.key").public_key()
    pki._create("etcd-peer/ca.crt")
    assert pki.ensure() == []
    assert pki.formed is not None
    assert pki.formed["authorities"]["etcd-peer"] == pki._digest("etcd-peer/ca.crt")
    assert pki._authority("etcd-peer").public_key() == key


def test_an_older_cluster_still_gets_no_other_ca(pki: PKI) -> None:
    older(pki)
    (pki.directory / "etcd" / "ca.crt").unlink()
    with pytest.raises(PKIError, match=r"formed with etcd/ca\.crt, which is missing"):
        pki.ensure()
    assert not pki.has("etcd-peer/ca.crt")


def test_the_formed_mark(pki: PKI) -> None:
    assert pki.formed is None
    pki.mark_formed({"id": "cdf818194e3a8c32"})
    assert pki.formed is not None
    assert pki.formed["id"] == "cdf818194e3a8c32"
    pki.clear_formed()
    assert pki.formed is None
    (pki.directory / "formed.json").write_text(json.dumps(["no"]))
    with pytest.raises(PKIError, match="not a JSON object"):
        _ = pki.formed


def test_authorities(pki: PKI) -> None:
    for name in AUTHORITIES:
        authority = x509.load_pem_x509_certificate(pki.read(f"{name}/ca.crt").encode())
        assert isinstance(authority.public_key(), ec.EllipticCurvePublicKey)
        assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign
        life = authority.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days=3649) < life <= timedelta(days=3650)
        assert authority.not_valid_before_utc <= datetime.now(UTC) - timedelta(minutes=5)
    assert len({pki.read(f"{name}/ca.crt") for name in AUTHORITIES}) == len(AUTHORITIES)


def test_a_certificate_says_what_the_model_says(pki: PKI) -> None:
    csr = signing_request()
    certificate = x509.load_pem_x509_certificate(pki.sign(csr, SERVER).encode())
    assert certificate.subject.rfc4514_string() == "O=example,CN=kube-apiserver"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == list(SERVER.names)
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == list(SERVER.addresses)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.public_key() == x509.load_pem_x509_csr(csr.encode()).public_key()
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=365, minutes=5)


def test_openssl_trusts_what_was_issued(pki: PKI, tmp_path: Path) -> None:
    certificate, key = pki.issue(SERVER)
    (tmp_path / "server.crt").write_text(certificate)
    (tmp_path / "server.key").write_text(key)
    authority, leaf = str(pki.directory / "kubernetes" / "ca.crt"), str(tmp_path / "server.crt")
    verified = subprocess.run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_ip",
            "10.96.0.1",
            "-CAfile",
            authority,
            leaf,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    shown = [
        subprocess.run(["openssl", *command], capture_output=True, text=True, check=True).stdout
        for command in (
            ["pkey", "-in", str(tmp_path / "server.key"), "-pubout"],
            ["x509", "-in", str(tmp_path / "server.crt"), "-noout", "-pubkey"],
        )
    ]
    assert shown[0] == shown[1]


def test_no_certificate_outlives_its_authority(pki: PKI) -> None:
    authority = x509.load_pem_x509_certificate(pki.read("etcd/ca.crt").encode())
    late = authority.not_valid_after_utc - timedelta(days=10)
    signed = pki.sign(signing_request(), CLIENT, now=late)
    assert x509.load_pem_x509_certificate(signed.encode()).not_valid_after_utc == authority.not_valid_after_utc
    # It cannot be had for longer, so it is not signed anew by each run.
    assert pki.problems(signed, CLIENT, now=late) == []
    with pytest.raises(PKIError, match="the authority expired on"):
        pki.sign(signing_request(), CLIENT, now=authority.not_valid_after_utc + timedelta(days=1))


def test_comparing_needs_no_authority_key_but_signing_does(pki: PKI) -> None:
    certificate = pki.sign(signing_request(), CLIENT)
    for name in AUTHORITIES:
        (pki.directory / name / "ca.key").unlink()
    pki.mark_formed({})
    assert pki.ensure() == []
    assert pki.problems(certificate, CLIENT) == []
    with pytest.raises(PKIError, match="kube-apiserver needs a certificate, but the etcd authority's key is not here"):
        pki.sign(signing_request(), CLIENT)


def test_why_a_certificate_does_not_do(pki: PKI, tmp_path: Path) -> None:
    certificate = pki.sign(signing_request(), SERVER)
    assert pki.problems(certificate, SERVER) == []
    grown = CertificateRequest(
        "kubernetes",
        "kube-apiserver",
        ("example",),
        (*SERVER.names, "api.example.org"),
        SERVER.addresses,
        SERVER.usages,
    )
    assert pki.problems(certificate, grown) == [
        "its DNS names are kubernetes, kubernetes.default.svc.cluster.local, node-1 (wanted: api.example.org,"
        " kubernetes, kubernetes.default.svc.cluster.local, node-1)"
    ]
    moved = CertificateRequest("kubernetes", "x", (), SERVER.names, ("192.0.2.12",), frozenset({"server", "client"}))
    assert pki.problems(certificate, moved) == [
        "its common name is kube-apiserver (wanted: x)",
        "its organizations are example (wanted: none)",
        "its addresses are 10.96.0.1, 192.0.2.11 (wanted: 192.0.2.12)",
        "its usages are server (wanted: client, server)",
    ]
    soon, gone = datetime.now(UTC) + timedelta(days=336), datetime.now(UTC) + timedelta(days=366)
    assert "within 30 days" in pki.problems(certificate, SERVER, now=soon)[0]
    assert "it expired on" in pki.problems(certificate, SERVER, now=gone)[0]
    assert "valid only from" in pki.problems(certificate, SERVER, now=datetime.now(UTC) - timedelta(hours=1))[0]
    other = PKI(tmp_path / "other")
    other.ensure()
    assert other.problems(certificate, SERVER) == ["it was not signed by this cluster's kubernetes authority"]
    assert pki.problems("nothing", SERVER) == ["it is not a certificate in PEM"]


def test_addresses_are_compared_as_addresses(pki: PKI) -> None:
    request = CertificateRequest("etcd", "m", addresses=("2001:db8:0:0::1",))
    assert pki.problems(pki.sign(signing_request(), request), request) == []


def test_requests_that_prove_nothing_are_refused(pki: PKI) -> None:
    with pytest.raises(PKIError, match="cannot be read"):
        pki.sign("nothing", CLIENT)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "m")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    weak = builder.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256())
    with pytest.raises(PKIError, match="not an ECDSA P-256 key"):
        pki.sign(weak.public_bytes(serialization.Encoding.PEM).decode(), CLIENT)
    good = x509.load_pem_x509_csr(signing_request().encode()).public_bytes(serialization.Encoding.DER)
    forged = x509.load_der_x509_csr(good.replace(b"evil.example", b"nice.example"))
    with pytest.raises(PKIError, match="not signed by the key that it carries"):
        pki.sign(forged.public_bytes(serialization.Encoding.PEM).decode(), CLIENT)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"authority": "nobody"}, "there is no authority 'nobody'; known: kubernetes, etcd, etcd-peer, front-proxy"),
        ({"common_name": "x" * 65}, "has 1 to 64 characters"),
        ({"usages": frozenset({"both"})}, "usages are server, client or both"),
        ({"usages": frozenset()}, "usages are server, client or both"),
        ({"names": ("Not a name",)}, "'Not a name' is not a DNS name"),
        ({"addresses": ("10.0.0",)}, "'10.0.0' is not an IP address"),
    ],
)
def test_requests_that_cannot_stand(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(PKIError, match=sentence):
        CertificateRequest(**{"authority": "etcd", "common_name": "m", **arguments})  # type: ignore[arg-type]


def test_read_gives_out_what_hosts_need_and_no_more(pki: PKI) -> None:
    assert "BEGIN CERTIFICATE" in pki.read("front-proxy/ca.crt")
    assert "PUBLIC KEY" in pki.read("service-account.pub")
    for name in ("kubernetes/ca.key", "formed.json", "../pki/encryption.key"):
        with pytest.raises(PKIError, match="is not given out"):
            pki.read(name)


def test_a_pair_that_does_not_belong_together(pki: PKI) -> None:
    (pki.directory / "etcd" / "ca.key").write_text((pki.directory / "kubernetes" / "ca.key").read_text())
    with pytest.raises(PKIError, match=r"ca\.key and ca\.crt do not belong together"):
        pki.sign(signing_request(), CLIENT)
    (pki.directory / "etcd" / "ca.crt").write_text("altered")
    with pytest.raises(PKIError, match="it is not a certificate"):
        pki.sign(signing_request(), CLIENT)


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PKIError, match=r"cannot be used as the PKI directory.*set cluster_pki_directory"):
        PKI(tmp_path / "file" / "pki").ensure()


def test_a_key_that_cannot_be_read(pki: PKI) -> None:
    (pki.directory / "etcd" / "ca.key").write_bytes(b"\xff\xfe")
    with pytest.raises(PKIError, match="it cannot be read"):
        pki.sign(signing_request(), CLIENT)


def test_a_change_of_the_record_pins_no_other_ca(pki: PKI, tmp_path: Path) -> None:
    pki.ensure()
    pki.mark_formed({"cluster_id": "1"})
    other = PKI(tmp_path / "another")
    other.ensure()
    (pki.directory / "etcd" / "ca.crt").write_text(other.read("etcd/ca.crt"))
    before = pki.formed
    pki.amend({"restored": "now"})
    assert pki.formed == {**(before or {}), "restored": "now"}
    with pytest.raises(PKIError, match="etcd"):
        pki.check()
