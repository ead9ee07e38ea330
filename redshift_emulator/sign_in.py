"""Sign-in as on AWS: the certificate, the passwords, and `redshift-serverless:GetCredentials`."""

from __future__ import annotations

import functools
import hashlib
import hmac
import ipaddress
import json
import os
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CREDENTIALS_LAST_SECONDS = 900
"""The default duration of Redshift Serverless, and the shortest that it accepts."""

UserOf = Callable[[str], str]
"""A function from a caller's access key to its database user; raises PermissionError to refuse the caller."""


def make_certificates(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1 and localhost, and the certificate file that a client must trust."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redshift-emulator authority")])
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redshift-emulator")])
    now = datetime.now(UTC)

    def certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )

    root = certificate(authority_name, authority_key, authority=True).sign(authority_key, hashes.SHA256())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        certificate(server_name, server_key, authority=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    trusted, served = folder / "authority.pem", folder / "server.pem"
    trusted.write_bytes(root.public_bytes(pem))
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    served.touch(mode=0o600)
    served.write_bytes(private + leaf.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served)
    return context, trusted


class Passwords:
    """Issues the short-lived passwords of GetCredentials and checks every password."""

    def __init__(self) -> None:
        self._temporary: dict[str, list[tuple[float, str]]] = {}
        self._lock = threading.Lock()

    def issue(self, user: str) -> tuple[str, datetime]:
        """A new password for `user` and the time when it expires; earlier ones stay valid until they expire."""
        password, now = secrets.token_urlsafe(24), time.time()
        with self._lock:
            alive = [known for known in self._temporary.get(user, []) if known[0] > now]
            self._temporary[user] = [*alive, (now + CREDENTIALS_LAST_SECONDS, password)]
        return password, datetime.fromtimestamp(now + CREDENTIALS_LAST_SECONDS, UTC)

    def accepts(self, *, user: str, hashed: bytes, salt: bytes, stored: str | None) -> bool:
        """True when `hashed` is the MD5 hash, with `salt`, of a temporary password or of the one `stored`."""
        with self._lock:
            known = [stored_form(user, word) for until, word in self._temporary.get(user, []) if until > time.time()]
        if stored is not None:
            known.append(stored)
        return any(hmac.compare_digest(_salted(form, salt), hashed) for form in known)


def stored_form(user: str, password: str) -> str:
    """The form in which PostgreSQL stores an MD5 password."""
    return "md5" + hashlib.md5(f"{password}{user}".encode()).hexdigest()


def _salted(stored: str, salt: bytes) -> bytes:
    return b"md5" + hashlib.md5(stored.removeprefix("md5").encode() + salt).hexdigest().encode()


def user_by_sts(endpoint_url: str | None, *, default_role: str, region: str) -> UserOf:
    """A UserOf that asks STS for a caller's role: `IAMR:<role>`, or `IAMR:<default_role>` for a caller without one."""

    aws_session, lock = boto3.session.Session(), threading.Lock()

    @functools.lru_cache(maxsize=1024)  # an access key always belongs to the same caller
    def user_of(access_key: str) -> str:
        if endpoint_url is None:
            return f"IAMR:{default_role}"
        with lock:
            sts = aws_session.client(
                "sts",
                endpoint_url=endpoint_url,
                region_name=region,
                aws_access_key_id=access_key,
                aws_secret_access_key="not-checked-by-moto",
            )
        try:
            arn = sts.get_caller_identity()["Arn"]
        except (BotoCoreError, ClientError) as error:
            raise PermissionError(f"STS at {endpoint_url} does not identify the caller: {error}") from error
        finally:
            sts.close()
        assumed = re.fullmatch(r"arn:[\w-]+:sts::\d+:assumed-role/([^/]+)/.*", arn)
        return f"IAMR:{assumed[1] if assumed else default_role}"

    return user_of


class CredentialsEndpoint:
    """The HTTP endpoint that emulates `redshift-serverless:GetCredentials` for boto3."""

    def __init__(self, passwords: Passwords, user_of: UserOf) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, response = _respond(
                    self.headers.get("X-Amz-Target", ""), body, self.headers, user_of, passwords
                )
                encoded = json.dumps(response).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, format: str, *args: object) -> None:
                """Requests are not logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Closes the endpoint."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _respond(
    target: str, body: bytes, headers: object, user_of: UserOf, passwords: Passwords
) -> tuple[int, dict[str, object]]:
    assert hasattr(headers, "get")
    if target != "RedshiftServerless.GetCredentials":
        return 400, _refused("ValidationException", f"the emulator supports GetCredentials only, not {target!r}")
    signed = re.search(r"Credential=([^/]+)/[^,]*/redshift-serverless/aws4_request", headers.get("Authorization", ""))
    if not signed:
        return 403, _refused("AccessDeniedException", "the request is not signed for redshift-serverless")
    request = json.loads(body or b"{}")
    if not request.get("workgroupName"):
        return 400, _refused("ValidationException", "GetCredentials needs workgroupName")
    try:
        user = user_of(signed[1])
    except PermissionError as error:
        return 403, _refused("AccessDeniedException", str(error))
    password, expires = passwords.issue(user)
    stamp = expires.timestamp()
    return 200, {"dbUser": user, "dbPassword": password, "expiration": stamp, "nextRefreshTime": stamp}


def _refused(kind: str, message: str) -> dict[str, object]:
    return {"__type": kind, "message": message}


def client_trust(authority: Path) -> dict[str, str]:
    """The environment variables with which a client process trusts `authority`."""
    return {"SSL_CERT_FILE": os.fspath(authority)}
