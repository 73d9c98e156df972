"""Key pairs of CURVE, the encryption of ZeroMQ, and how they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85

from zdqn.errors import NotAllowedError

_KEY = re.compile("[0-9a-fA-F]{64}")
_LETTERS = 8


@dataclass(frozen=True)
class KeyPair:
    """A public key, which anybody may know, and its secret.

    Attributes:
        public: 32 bytes.
        secret: 32 bytes; never shown.
    """

    public: bytes
    secret: bytes = field(repr=False)


def generate() -> KeyPair:
    """Draw a new pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(z85.decode(public), z85.decode(secret))


def from_secret(secret: bytes) -> KeyPair:
    """Give the pair that a secret of 32 bytes belongs to."""
    return KeyPair(z85.decode(zmq.curve_public(z85.encode(secret))), secret)


def is_key(text: str) -> bool:
    """Whether a text is a key: 64 hexadecimal digits."""
    return _KEY.fullmatch(text) is not None


def parse_key(text: str, *, what: str) -> bytes:
    """Read a key; what was written is not repeated, as it may be a secret.

    Raises:
        NotAllowedError: when it is none, naming `what`.
    """
    if not is_key(text):
        raise NotAllowedError(
            f"{what} holds no key: a key has 64 hexadecimal digits, and this has {len(text)} "
            f"characters. `zdqn keys show` prints public keys."
        )
    return bytes.fromhex(text)


def first_letters(public: bytes) -> str:
    """Give what a public key is called in logs: the first of its 64 hexadecimal digits."""
    return public.hex()[:_LETTERS]
