"""Signing in from a browser: an API key once, then a cookie that scripts cannot read.

A token is `<expiry>.<key's digest, begun>.<number>.<HMAC-SHA256 of these>`. It holds no secret,
names no one, ends by itself, and ends at once when it is revoked or its key is taken out of the
settings.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import time
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["COOKIE", "LIFETIME_S", "Sessions", "host_of", "session_of", "sound_origin"]

COOKIE = "brainmets_session"
LIFETIME_S = 12 * 3600
"""A working day: after it the key is asked for again."""

REVOKED = "session.revoked"
"""One line a token: when it would have ended, and its signature. All servers of a state folder
read it."""

SIGNED_WITH = "session.secret"
SECRET_BYTES = 32
DIGEST_LETTERS = 24
"""Of a key's SHA-256: 96 bits tell keys apart, and an HMAC guards them."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """Issues and reads tokens for the callers in `keys`, names by the SHA-256 of their key."""

    def __init__(self, secret: bytes, keys: Mapping[str, str], revoked: Path) -> None:
        """Sign with `secret`; the file `revoked` lists tokens that ended before their time."""
        self._secret = secret
        self._keys = keys
        self._revoked_file = revoked
        self._revoked: frozenset[str] = frozenset()
        self._read: tuple[int, int] | None = None

    @classmethod
    def of(cls, state_dir: Path, keys: Mapping[str, str]) -> Sessions:
        """Sign with the secret of a state folder, made where there is none yet."""
        path = state_dir / SIGNED_WITH
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            secret = path.read_bytes()
            if len(secret) == SECRET_BYTES:
                return cls(secret, keys, state_dir / REVOKED)
            path.unlink()  # cut short by a crash: every token of it was lost anyway
            return cls.of(state_dir, keys)
        with os.fdopen(descriptor, "wb") as file:
            secret = secrets.token_bytes(SECRET_BYTES)
            file.write(secret)
        return cls(secret, keys, state_dir / REVOKED)

    def issue(self, digest: str, *, now: float | None = None) -> str:
        """Return a token for the holder of the key with this SHA-256."""
        expiry = int((time.time() if now is None else now) + LIFETIME_S)
        payload = f"{expiry}.{digest[:DIGEST_LETTERS]}.{secrets.token_hex(8)}"
        return f"{payload}.{self._sign(payload)}"

    def owner(self, token: str, *, now: float | None = None) -> str | None:
        """Return whose token this is; None where it is not ours, over, or its key is gone."""
        payload, _, signature = token.rpartition(".")
        expiry, begun, *_ = (*payload.split("."), "", "")
        if not hmac.compare_digest(signature.encode(), self._sign(payload).encode()):
            return None
        if not expiry.isdigit() or int(expiry) < (time.time() if now is None else now):
            return None
        if signature in self._all_revoked():
            return None
        return next((n for digest, n in self._keys.items() if digest.startswith(begun)), None)

    def revoke(self, token: str, *, now: float | None = None) -> None:
        """End a token for every server of this state folder."""
        payload, _, signature = token.rpartition(".")
        now = time.time() if now is None else now
        with self._revoked_file.open("a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            kept = [line for line in file.read().splitlines() if _ends(line) >= now]
            file.truncate(0)
            file.write("\n".join([*kept, f"{payload.partition('.')[0]} {signature}", ""]))
            file.flush()
            os.fsync(file.fileno())

    def _all_revoked(self) -> frozenset[str]:
        try:
            status = self._revoked_file.stat()
        except FileNotFoundError:
            return frozenset()
        changed = (status.st_mtime_ns, status.st_size)
        if changed != self._read:
            with self._revoked_file.open(encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                lines = file.read().splitlines()
            self._revoked = frozenset(line.rpartition(" ")[2] for line in lines)
            self._read = changed
        return self._revoked

    def _sign(self, payload: str) -> str:
        return hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()


def _ends(line: str) -> float:
    expiry = line.partition(" ")[0]
    return float(expiry) if expiry.isdigit() else 0.0


def session_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the token among a request's cookies, or nothing."""
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    found = cookies.get(COOKIE)
    return "" if found is None else found.value


def host_of(address: str) -> str | None:
    """Return the host that a header names, or nothing where it names none or cannot be read."""
    try:
        return urlsplit(address).hostname
    except ValueError:  # such as an open bracket
        return None


def sound_origin(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request that a cookie vouches for comes from a page of this very host.

    Browsers send cookies by themselves, so a change must name its origin; ports may differ, as
    the page may run next to the service.
    """
    if method in SAFE_METHODS:
        return True
    origin = host_of(headers.get(b"origin", b"").decode("latin-1"))
    host = host_of(f"//{headers.get(b'host', b'').decode('latin-1')}")
    return origin is not None and origin == host
