"""Certificates for a stand-in and its clients, made for one test."""

import base64
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Authority:
    """An authority of one cluster: it vouches for the cluster and for one client."""

    folder: Path

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in authority")])
        self.certificate = self._signed(self._name, self._key, authority=True)
        for who in ("server", "client"):
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)])
            plain = serialization.NoEncryption()
            form = serialization.PrivateFormat.PKCS8
            (self.folder / f"{who}.key").write_bytes(
                key.private_bytes(serialization.Encoding.PEM, form, plain)
            )
            (self.folder / f"{who}.crt").write_bytes(self._signed(name, key, authority=False))

    def server(self) -> ssl.SSLContext:
        """For the stand-in, which asks for a client's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        context.load_verify_locations(cadata=self.certificate.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a kubeconfig says of the cluster and of the user."""
        user = {
            f"client-{part}-data": _coded((self.folder / f"client.{end}").read_bytes())
            for part, end in (("certificate", "crt"), ("key", "key"))
        }
        return {"certificate-authority-data": _coded(self.certificate)}, user

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, authority: bool) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
            )
        )
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()
