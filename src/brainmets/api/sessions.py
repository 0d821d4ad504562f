"""Signing in from a browser: an API key once, then a cookie that scripts cannot read.

A token is `<expiry>.<key's digest, begun>.<HMAC-SHA256 of both>`. It holds no secret, names no
one, ends by itself, and ends at once when its key is taken out of the settings.
"""

from __future__ import annotations

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

__all__ = ["COOKIE", "LIFETIME_S", "Sessions", "session_of", "sound_origin"]

COOKIE = "brainmets_session"
LIFETIME_S = 12 * 3600
"""A working day: after it the key is asked for again."""

SIGNED_WITH = "session.secret"
SECRET_BYTES = 32
DIGEST_LETTERS = 24
"""Of a key's SHA-256: 96 bits tell keys apart, and an HMAC guards them."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """Issues and reads tokens for the callers in `keys`, names by the SHA-256 of their key."""

    def __init__(self, secret: bytes, keys: Mapping[str, str]) -> None:
        """Sign with `secret`."""
        self._secret = secret
        self._keys = keys

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
                return cls(secret, keys)
            path.unlink()  # cut short by a crash: every token of it was lost anyway
            return cls.of(state_dir, keys)
        with os.fdopen(descriptor, "wb") as file:
            secret = secrets.token_bytes(SECRET_BYTES)
            file.write(secret)
        return cls(secret, keys)

    def issue(self, digest: str, *, now: float | None = None) -> str:
        """Return a token for the holder of the key with this SHA-256."""
        expiry = int((time.time() if now is None else now) + LIFETIME_S)
        payload = f"{expiry}.{digest[:DIGEST_LETTERS]}"
        return f"{payload}.{self._sign(payload)}"

    def owner(self, token: str, *, now: float | None = None) -> str | None:
        """Return whose token this is; None where it is not ours, over, or its key is gone."""
        payload, _, signature = token.rpartition(".")
        expiry, _, begun = payload.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(payload).encode()):
            return None
        if not expiry.isdigit() or int(expiry) < (time.time() if now is None else now):
            return None
        return next((n for digest, n in self._keys.items() if digest.startswith(begun)), None)

    def _sign(self, payload: str) -> str:
        return hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()


def session_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the token among a request's cookies, or nothing."""
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    found = cookies.get(COOKIE)
    return "" if found is None else found.value


def sound_origin(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request that a cookie vouches for comes from a page of this very host.

    Browsers send cookies by themselves, so a change must name its origin; ports may differ, as
    the page may run beside the service.
    """
    if method in SAFE_METHODS:
        return True
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1")).hostname
    host = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname
    return origin is not None and origin == host
