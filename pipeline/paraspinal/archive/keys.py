"""Keyed digests: the names by which series, studies and files go outside the archive.

A plain digest of a UID can be recomputed by anybody who knows the UID; one with a secret key cannot (HMAC, RFC 2104).
The key lies in a file that only its owner may read. Who keeps it can find a series again; who deletes it cannot.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from paraspinal.errors import UsageError

_BYTES = 32
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Key:
    """A secret by which names are digested."""

    secret: bytes

    def digest(self, kind: str, *parts: str) -> str:
        """Return 16 hex digits for a name; `kind` keeps digests of different things apart."""
        text = "\0".join((kind, *parts)).encode("utf-8", "surrogateescape")
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()[:_DIGITS]

    @property
    def salt(self) -> str:
        """What goes to workers so that digests of content need the key, too, and give nothing of it away."""
        return self.digest("salt")

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell one key from another and give nothing away."""
        return self.digest("fingerprint")[:8]


def blind(salt: str, digest: str) -> str:
    """Return a digest of content under a salt; empty for none."""
    return hashlib.sha256(f"{salt}\0{digest}".encode()).hexdigest()[:_DIGITS] if digest else ""


def load_key(path: Path) -> Key:
    """Return the key in a file, and make a new one where there is no file.

    Raises
    ------
    UsageError
        ``key_unusable`` if the file cannot be read or made, or holds no key.
    """
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _make(path: Path) -> None:
    """Put a new key in place whole or not at all; one that somebody else made meanwhile stays."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(staged, path)
    finally:
        staged.unlink(missing_ok=True)


def _read(path: Path) -> Key:
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise _unusable(path, "it holds no hexadecimal key") from error
    if len(secret) < _BYTES:
        raise _unusable(path, f"a key needs {_BYTES} bytes")
    return Key(secret)


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"The key file {path} cannot be used: {why}.",
        code="key_unusable",
        remedy="Name a file that holds 64 hexadecimal digits, or one that may be made (--key).",
    )
