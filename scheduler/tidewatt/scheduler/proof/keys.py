"""The key that signs what this host claims: Ed25519, in the state folder, readable by its owner only."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.backends.durable import sync_folder
from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.proof.canonical import sha256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE = "ledger.pem"
PUBLIC = "ledger.pub.pem"
LARGEST_PEM = 10_000  # bytes; that of an Ed25519 key has 113


class KeyTrouble(SchedulerError):  # noqa: N818 - it reads as what it says
    """The key of the ledger cannot be read or made."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key. `fingerprint` is the SHA-256 of its DER form, which `openssl pkey` writes too."""

    pem: bytes
    fingerprint: str
    _key: "Ed25519PublicKey"

    def signed(self, message: bytes, signature: bytes) -> bool:
        """True where the owner of the private key signed exactly this message."""
        from cryptography.exceptions import InvalidSignature

        with suppress(InvalidSignature):
            self._key.verify(signature, message)
            return True
        return False


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its public half."""

    public: VerifyingKey
    _key: "Ed25519PrivateKey"

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature."""
        return self._key.sign(message)


def signing_key(folder: Path) -> SigningKey:
    """The key in the folder; it is made where there is none, with its public half beside it.

    Raises:
        KeyTrouble: where it can be neither read nor made, or others may read it.
    """
    path = folder / PRIVATE
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(path, _new())
        if path.stat().st_mode & 0o077:
            raise KeyTrouble(f"others may read the key {path}: `chmod 600` it, or remove it if they did")
        key = _private(path)
        public = folder / PUBLIC
        if not public.exists():
            _write_once(public, key.public.pem)
    except OSError as error:
        raise KeyTrouble(f"the key {path} cannot be read or made ({error.strerror})") from error
    return key


def own_key(folder: Path) -> VerifyingKey | None:
    """The public key of this host; None where it has none yet."""
    path = folder / PUBLIC
    return verifying_key(path) if path.exists() else None


def verifying_key(path: Path) -> VerifyingKey:
    """The public key in a PEM file.

    Raises:
        BadInput: where the file cannot be read or holds no public Ed25519 key.
    """
    try:
        with path.open("rb") as file:
            pem = file.read(LARGEST_PEM + 1)
    except OSError as error:
        raise BadInput(f"the key {path} cannot be read: {error.strerror}") from error
    found = parsed(pem)
    if found is None:
        raise BadInput(f"{path} holds no public Ed25519 key in PEM: `tidewatt ledger key` prints one")
    return found


def parsed(pem: bytes) -> VerifyingKey | None:
    """The public key of a PEM text in its one spelling; None where it is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if len(pem) > LARGEST_PEM:
        return None
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return _public(key) if isinstance(key, Ed25519PublicKey) else None


def _public(key: "Ed25519PublicKey") -> VerifyingKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = PublicFormat.SubjectPublicKeyInfo
    return VerifyingKey(
        key.public_bytes(Encoding.PEM, form), sha256(key.public_bytes(Encoding.DER, form)), key
    )


def _new() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _private(path: Path) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyTrouble(f"{path} holds no Ed25519 key: restore it from a copy, or remove it for a new one")
    return SigningKey(_public(key.public_key()), key)


def _write_once(path: Path, content: bytes) -> None:
    """Writes a file that is wholly there or not at all; of two who try, the first one's stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, content)
        os.fsync(file)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(file)
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
