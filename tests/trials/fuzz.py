"""Requests that no client sends, made at random: paths, queries, headers, bodies, deletes."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["Fuzzer", "Request", "send"]

KEPT_BYTES = 200_000
"""Of an answer; more is not read."""

PATIENCE_S = 300.0

NUMBERS = ("0", "-1", "1", "9" * 300, "1e999", "NaN", "-0.0", "0x10", "1_0", "\u0661", "2.5", "")
TEXTS = (
    *("", "a", "%", "%00", "%ff", "%2e%2e%2f", "..", "../../etc/passwd", "\u00e9" * 60, "a" * 5000),
    *("'; DROP TABLE jobs; --", "{}", "[]", "null", "\U0001f9e0", "\u202e", "*", "a\tb", "=1+1"),
    *("T1", "t1c", "real", "all.zip", "mask.nii.gz", "labels.u8", "seg.dcm", "undefined", "~"),
)
JSONS: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 1.5, 10**400, -(10**20), 1e308, float("nan"), float("-inf")),
    *("", "a", "\x00", "\ud800", "x" * 3000, "1", [], {}, [None], [[]], {"": None}, [1] * 500),
)
HEADERS: dict[str, tuple[str, ...]] = {
    "Host": ("", "[::1", "localhost", "evil.example", "127.0.0.1:99999", "a b", "[::1]:80", "\xff"),
    "Origin": ("null", "http://[", "http://localhost", "http://evil.example", "\xff", "//", ""),
    "Range": (
        *("bytes=0-3", "bytes=5-2", "bytes=-", "bytes=-5", "bytes", "lines=1-2", "bytes=0-0,5-7"),
        *("bytes=0-,0-,0-", "bytes=" + ",".join(["0-1"] * 300), "bytes=" + "9" * 400 + "-", "\xff"),
    ),
    "If-Range": ("", '"x"', "Wed, 21 Oct 2015 07:28:00 GMT", "\xff"),
    "If-None-Match": ("*", '"x"', "\xff"),
    "Cookie": (
        *("brainmets_session=", "brainmets_session=a.b.c.d", "=", ";;;", "a=b; \xff=\xff"),
        *("brainmets_session=9.9.9.9\u00e9", 'brainmets_session="\\777"', "a" * 4000),
    ),
    "Content-Type": (
        *(
            "",
            "application/json",
            "text/plain",
            "multipart/form-data",
            "application/json; charset=x",
        ),
        *("multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 300, "\xff/x"),
        *(
            "application/x-www-form-urlencoded",
            "multipart/mixed; boundary=b",
            ";",
            "application/xml",
        ),
    ),
    "Content-Length": ("-1", "0x10", "9" * 30, "1e3", "+5", "0", "5", " 5", "99999999999"),
    "Transfer-Encoding": ("chunked", "gzip, chunked", "identity", "chunked, chunked", "\xff"),
    "Content-Encoding": ("gzip", "br", "identity"),
    "Accept": ("", "*/*;q=x", "text/html", "application/xml", "\xff"),
    "Accept-Encoding": ("gzip;q=nan", "identity;q=0", "*"),
    "Expect": ("100-continue", "200-ok"),
    "X-Forwarded-For": ("evil", "127.0.0.1, 1.1.1.1", "[", "\xff"),
    "X-Forwarded-Proto": ("https", "[", "ftp"),
    "Access-Control-Request-Method": ("PUT", "TRACE", ""),
    "Access-Control-Request-Headers": ("authorization", "\xff", "," * 500),
    "Upgrade": ("websocket", "h2c"),
    "Last-Event-ID": ("1", "\xff"),
    "Idempotency-Key": ("a", "\xff", "x" * 4000),
    "X" * 60: ("y" * 2000, ""),
}
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO")

COSTLY = {"submit_sample": 0.02, "get_upload": 0.06, "start_job": 0.06, "export_job": 0.03}
"""Operations that start a process are chosen this much less often."""

CREATING = {"submit_job": 0.6, "create_upload": 0.4, "delete_job": 0.5, "delete_upload": 0.5}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it is sent."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunked: bool
    operation: str

    def to_bytes(self, host: str) -> bytes:
        """Return what goes over the wire; header values are written in Latin-1."""
        named = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [] if "host" in named else [f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body and not named & {"content-length", "transfer-encoding"}:
            lines.append(
                "Transfer-Encoding: chunked"
                if self.chunked
                else f"Content-Length: {len(self.body)}"
            )
        top = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace")
        if not (self.chunked and self.body):
            return top + self.body
        half = len(self.body) // 2 or 1
        pieces = (self.body[:half], self.body[half:])
        return top + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"


@dataclass
class Fuzzer:
    """Makes requests from the service's own schema, and spoils them."""

    schema: dict[str, Any]
    choice: random.Random
    key: str
    image: bytes
    jobs: list[str] = field(default_factory=list[str])
    uploads: list[str] = field(default_factory=list[str])

    def request(self) -> Request:
        """Make the next one."""
        operations = [
            (method, path, operation)
            for path, methods in self.schema["paths"].items()
            for method, operation in methods.items()
        ]
        weights = [
            (COSTLY | CREATING).get(operation["operationId"], 1.0) for *_, operation in operations
        ]
        ((method, path, operation),) = self.choice.choices(operations, weights)
        headers: list[tuple[str, str]] = self._key()
        method = method.upper() if self.choice.random() < 0.95 else self.choice.choice(METHODS)
        address = self._path(path) + self._query(operation)
        if self.choice.random() < 0.02:
            address = self.choice.choice(("*", "//", "/v1", "/" + "a/" * 900, "http://x/v1/jobs"))
        body, kind = self._body(operation)
        if kind:
            headers.append(("Content-Type", kind))
        for name in self.choice.sample(sorted(HEADERS), self.choice.choice((0, 0, 1, 1, 2, 4))):
            headers = [(n, v) for n, v in headers if n != name or self.choice.random() < 0.3]
            headers.append((name, self.choice.choice(HEADERS[name])))
        return Request(
            method=method,
            path=address or "/",
            headers=tuple(headers),
            body=body,
            chunked=self.choice.random() < 0.3,
            operation=operation["operationId"],
        )

    def _key(self) -> list[tuple[str, str]]:
        drawn = self.choice.random()
        if drawn < 0.85:
            return [("Authorization", f"Bearer {self.key}")]
        if drawn < 0.99:
            return []
        odd = ("Bearer", "Bearer ", "Basic eDp5", "Bearer \xff", "\xff", "Bearer " + "x" * 9000)
        return [("Authorization", self.choice.choice(odd))]

    def _path(self, path: str) -> str:
        for name, known in (("job_id", self.jobs), ("upload_id", self.uploads)):
            kept = bool(known) and self.choice.random() < 0.8
            value = self.choice.choice(known) if kept else self._text()
            path = path.replace("{" + name + "}", value)
        plain = {"name": ("mask.nii.gz", "report.json", "all.zip", "lesions.csv", "report.pdf")}
        plain |= {"part": ("image.u16", "labels.u8", "probability.u8", "drawn.u16")}
        plain |= {"index": ("1", "2"), "number": ("1", "2")}
        for name, values in plain.items():
            kept = self.choice.random() < 0.6
            value = self.choice.choice(values) if kept else self._text()
            path = path.replace("{" + name + "}", value)
        return path

    def _text(self) -> str:
        text = self.choice.choice((*TEXTS, *NUMBERS))
        if self.choice.random() < 0.2:
            text = "".join(
                chr(self.choice.choice((*range(33, 127), *range(161, 700)))) for _ in "ab" * 9
            )
        return text if self.choice.random() < 0.2 and _plain(text) else quote(text, safe="")

    def _query(self, operation: dict[str, Any]) -> str:
        named = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
        pairs = [
            f"{self.choice.choice((*named, 'x', ''))}={self._text()}"
            for _ in range(self.choice.choice((0, 1, 1, 2, 5) if named else (0, 0, 1)))
        ]
        return "?" + self.choice.choice(("&", "&", ";")).join(pairs) if pairs else ""

    def _body(self, operation: dict[str, Any]) -> tuple[bytes, str]:
        content = operation.get("requestBody", {}).get("content", {})
        if "multipart/form-data" in content:
            return self._form(), "multipart/form-data; boundary=b"
        if "application/json" not in content and self.choice.random() < 0.9:
            return b"", ""
        schema = content.get("application/json", {}).get("schema", {})
        text = json.dumps(self._like(schema, depth=0))
        drawn = self.choice.random()
        if drawn < 0.1:
            text = text[: self.choice.randrange(len(text) + 1)]
        elif drawn < 0.15:
            text = self.choice.choice(
                ("[" * 30_000, '{"a":' * 9000, "[" + "1," * 120_000 + "1]", " ")
            )
        body = text.encode("utf-8", "surrogatepass")
        if drawn > 0.93:
            body = bytes(self.choice.randrange(256) for _ in range(50))
        return body, "application/json"

    def _like(self, schema: dict[str, Any], *, depth: int) -> Any:
        """Return a value as the schema has it, or another."""
        if self.choice.random() < 0.15 or depth > 6:
            return self.choice.choice(JSONS)
        if "$ref" in schema:
            schema = self.schema["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self._like(self.choice.choice(options), depth=depth)
        if "enum" in schema:
            return self.choice.choice(schema["enum"])
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: [
                self._like(schema.get("items", {}), depth=depth + 1)
                for _ in range(self.choice.choice((0, 1, 1, 3)))
            ],
            "string": lambda: self.choice.choice((*TEXTS, *(self.jobs[:3] or ["a"]))),
            "integer": lambda: self.choice.choice((0, 1, 2, -1, 10**6, 10**30)),
            "number": lambda: self.choice.choice((0.5, 0, 1, -1.0, 1e300)),
            "boolean": lambda: self.choice.random() < 0.5,
        }
        return makers.get(schema.get("type", ""), lambda: self.choice.choice(JSONS))()

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        made = {
            name: self._like(one, depth=depth + 1)
            for name, one in schema.get("properties", {}).items()
            if self.choice.random() < 0.7
        }
        more = schema.get("additionalProperties")
        if isinstance(more, dict) or self.choice.random() < 0.1:
            key = self.choice.choice(("1", "2", "-1", "x", "1.0", "9" * 30))
            made[key] = self._like(more if isinstance(more, dict) else {}, depth=depth + 1)
        return made

    def _form(self) -> bytes:
        parts: list[bytes] = []
        for _ in range(self.choice.choice((0, 1, 1, 1, 2, 4))):
            name = self.choice.choice(
                ("files", "files", "files", "model", "threshold", "series", "")
            )
            value = self.choice.choice((*TEXTS, *NUMBERS)).encode("utf-8", "replace")
            top = f'Content-Disposition: form-data; name="{name}"'.encode()
            if name == "files":
                kinds = ("a.nii", "a.nii.gz", "a.dcm", "a.zip", "a.png", "", "../x", "a" * 400)
                top += b'; filename="%s"' % self.choice.choice(kinds).encode()
                value = self._file()
            if self.choice.random() < 0.1:
                odd = (
                    b"",
                    b"X: \xff",
                    b"Content-Disposition: form-data",
                    b"a",
                    top + b'; name="z"',
                )
                top = self.choice.choice(odd)
            parts.append(b"--b\r\n" + top + b"\r\n\r\n" + value + b"\r\n")
        end = self.choice.choice((b"--b--\r\n", b"--b--\r\n", b"--b--\r\n", b"", b"--b", b"--c--"))
        return b"".join(parts) + end

    def _file(self) -> bytes:
        drawn = self.choice.random()
        if drawn < 0.4:
            return self.image[:-2] + self.choice.randbytes(2)
        if drawn < 0.7:
            spoiled = bytearray(self.image[: self.choice.randrange(348, len(self.image))])
            for _ in range(4):
                spoiled[self.choice.randrange(348)] = self.choice.randrange(256)
            return bytes(spoiled)
        return self.choice.randbytes(self.choice.choice((0, 1, 40, 3000)))


def _plain(text: str) -> bool:
    """Whether the text can stand in a request's first line as it is."""
    return text.isascii() and text.isprintable() and " " not in text


def send(url: str, request: Request) -> tuple[int, bytes]:
    """Send it; return status and answer. Status 0: closed without a word; -1: no answer in time."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as line:
        answer = b""
        try:
            line.sendall(request.to_bytes(parts.netloc))
            line.settimeout(2.0)  # a body that is not there: its end is the connection's
            while len(answer) < KEPT_BYTES:
                try:
                    piece = line.recv(65536)
                except TimeoutError:
                    if answer or line.gettimeout() == PATIENCE_S:
                        break
                    if _complete(request):
                        line.settimeout(PATIENCE_S)
                        continue
                    return 0, b""
                if not piece:
                    break
                answer += piece
        except (ConnectionError, BrokenPipeError):
            pass
    if not answer:
        return (-1 if _complete(request) and line.gettimeout() == PATIENCE_S else 0), b""
    if answer.startswith(b"HTTP/1.1 100 "):  # what `Expect` asks for comes first
        answer = answer.partition(b"\r\n\r\n")[2] or answer
    words = answer.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), answer


def _complete(request: Request) -> bool:
    """Whether its body is as long as it says."""
    said = {name.lower(): value for name, value in request.headers}
    return "content-length" not in said and "transfer-encoding" not in said
