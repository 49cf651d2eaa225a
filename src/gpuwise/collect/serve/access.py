"""Basic authentication of requests against bcrypt hashes."""

import base64
import hashlib
import hmac
import os
import threading
from collections.abc import Mapping

# bcrypt ignores everything after byte 72: two passwords with the same first 72 bytes would be the same.
_LONGEST_PASSWORD = 72
_MOST_REMEMBERED = 100
# Hash to compare with for an unknown user, so that the response time does not reveal user names.
_UNKNOWN_USER_HASH = b"$2b$10$" + b"." * 22 + b"." * 31


class BasicAuth:
    """Checks passwords, and remembers the correct ones: bcrypt takes 50 ms, a scrape less than 1."""

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._right: set[bytes] = set()
        self._lock = threading.Lock()

    def allows(self, header: str | None, users: Mapping[str, str]) -> bool:
        """Whether the credentials of a request are accepted.

        Args:
            header: the Authorization header, None if there is none.
            users: hashes by name; if empty, every request is accepted.
        """
        if not users:
            return True
        user, password = _credentials(header)
        if password is None or len(password) > _LONGEST_PASSWORD:
            return False
        hashed = users.get(user, "").encode() or _UNKNOWN_USER_HASH
        mark = hmac.digest(self._salt, b"\0".join((user.encode(), password, hashed)), hashlib.sha256)
        with self._lock:
            if mark in self._right:
                return True
        import bcrypt  # noqa: PLC0415 - most exporters have no users

        right = bcrypt.checkpw(password, hashed) and user in users
        if right:
            with self._lock:
                if len(self._right) >= _MOST_REMEMBERED:
                    self._right.clear()
                self._right.add(mark)
        return right


def _credentials(header: str | None) -> tuple[str, bytes | None]:
    """User and password from a header; no password if the header is malformed."""
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return "", None
    try:
        user, colon, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
        return user.decode(), password if colon else None
    except ValueError:  # not base64, not ASCII, or not UTF-8
        return "", None
