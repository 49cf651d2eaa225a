"""Whether a request may read: basic authentication against bcrypt hashes."""

import base64
import binascii
import hashlib
import hmac
import os
import threading
from collections.abc import Mapping

import bcrypt

# Beyond this bcrypt reads nothing; two passwords that agree up to here would be one.
_LONGEST_PASSWORD = 72
_MOST_REMEMBERED = 100
# What the password of a user that is not there is compared with, so that the time taken names no users.
_NOBODY = b"$2b$10$" + b"." * 22 + b"." * 31


class BasicAuth:
    """Checks passwords, and remembers those that were right: bcrypt takes 50 ms, a scrape less than 1."""

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._right: set[bytes] = set()
        self._lock = threading.Lock()

    def admits(self, header: str | None, users: Mapping[str, str]) -> bool:
        """Whether the header of a request lets it in.

        Args:
            header: Authorization, None if there is none.
            users: hashes by name; empty lets everybody in.
        """
        if not users:
            return True
        user, password = _told(header)
        if password is None or len(password) > _LONGEST_PASSWORD:
            return False
        hashed = users.get(user, "").encode() or _NOBODY
        mark = hmac.digest(self._salt, b"\0".join((user.encode(), password, hashed)), hashlib.sha256)
        with self._lock:
            if mark in self._right:
                return True
        right = bcrypt.checkpw(password, hashed) and user in users
        if right:
            with self._lock:
                if len(self._right) >= _MOST_REMEMBERED:
                    self._right.clear()
                self._right.add(mark)
        return right


def _told(header: str | None) -> tuple[str, bytes | None]:
    """User and password of a header, no password where it cannot be read."""
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return "", None
    try:
        user, colon, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
        return user.decode(), password if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return "", None
