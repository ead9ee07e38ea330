"""Signing in: the production driver, TLS, IAM and passwords."""

from __future__ import annotations

import hashlib
import socket
import time

import boto3
import pytest
import redshift_connector
from botocore.exceptions import ClientError

from redshift_emulator import Warehouse
from redshift_emulator.sign_in import Passwords, stored_form


def test_the_driver_signs_in_with_iam_and_is_its_role(database) -> None:
    assert database.session(role=True).run("SELECT current_user") == [["IAMR:developer"]]


def test_an_assumed_role_signs_in_under_its_own_name(database, s3_url, monkeypatch) -> None:
    sts = boto3.client("sts", endpoint_url=s3_url, region_name="us-east-1")
    keys = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/process-role", RoleSessionName="job")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
    assert database.session(role=True).run("SELECT current_user") == [["IAMR:process-role"]]


def test_a_caller_whom_the_warehouse_does_not_let_in_gets_no_password(s3_url, monkeypatch, refused_sign_in) -> None:
    def nobody(access_key: str) -> str:
        raise PermissionError(f"{access_key} may not redshift-serverless:GetCredentials")

    with Warehouse.start(s3_endpoint_url=s3_url, user_of=nobody) as closed:
        for name, value in closed.client_environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        refusal = refused_sign_in(**closed.iam_connection())
        assert isinstance(refusal, ClientError)
        assert "stranger may not" in str(refusal)


def test_a_wrong_password_is_refused_as_28000(warehouse: Warehouse, refused_sign_in) -> None:
    refusal = refused_sign_in(**{**warehouse.admin_connection(), "password": "wrong"})
    assert isinstance(refusal, redshift_connector.InterfaceError)
    assert refusal.args[0]["C"] == "28000"


@pytest.mark.parametrize("user", ["nobody-known", "IAMR:developer", "rdsdb"])
def test_only_an_issued_password_signs_in(warehouse: Warehouse, user: str, refused_sign_in) -> None:
    refusal = refused_sign_in(**{**warehouse.admin_connection(), "user": user, "password": ""})
    assert refusal.args[0]["C"] == "28000"


def test_a_temporary_password_is_for_its_user_and_ends(monkeypatch) -> None:
    passwords = Passwords()
    password, _ = passwords.issue("IAMR:a")

    def accepted(user: str) -> bool:
        salt = b"salt"
        inner = stored_form(user, password).removeprefix("md5").encode() + salt
        hashed = b"md5" + hashlib.md5(inner).hexdigest().encode()
        return passwords.accepts(user=user, hashed=hashed, salt=salt, stored=None)

    assert accepted("IAMR:a")
    assert not accepted("IAMR:b")
    later = time.time() + 901
    monkeypatch.setattr(time, "time", lambda: later)
    assert not accepted("IAMR:a")


def test_a_user_made_by_sql_signs_in_by_iam_with_its_grants(database) -> None:
    admin = database.session()
    admin.run("CREATE TABLE seen (a INTEGER)")
    admin.run("CREATE TABLE hidden (a INTEGER)")
    if not admin.run("SELECT 1 FROM pg_user WHERE usename = 'IAMR:developer'"):
        admin.run('CREATE USER "IAMR:developer" PASSWORD DISABLE')
    admin.run('GRANT SELECT ON seen TO "IAMR:developer"')
    role = database.session(role=True)
    assert role.run("SELECT count(*) FROM seen") == [[0]]
    assert role.error("SELECT count(*) FROM hidden")["C"] == "42501"
    assert role.error("DROP TABLE seen")["C"] == "42501"
    assert role.error("TRUNCATE seen")["C"] == "42501"
    role.run("CREATE TEMP TABLE own (a INTEGER)")


def test_a_user_with_a_disabled_password_cannot_use_one(database, refused_sign_in) -> None:
    admin = database.session()
    admin.run("CREATE USER disabled_one PASSWORD DISABLE")
    admin.run("CREATE USER enabled_one PASSWORD 'Secret1x'")
    connection = database.warehouse.admin_connection(database.name)
    redshift_connector.connect(**{**connection, "user": "enabled_one", "password": "Secret1x"}).close()
    assert refused_sign_in(**{**connection, "user": "disabled_one", "password": ""}).args[0]["C"] == "28000"
    admin.run("DROP USER disabled_one")
    admin.run("DROP USER enabled_one")


def test_a_connection_without_tls_is_refused(warehouse: Warehouse, refused_sign_in) -> None:
    refusal = refused_sign_in(**{**warehouse.admin_connection(), "ssl": False})
    assert refusal.args[0]["M"] == "SSL connection is required"


def test_a_client_that_does_not_trust_the_authority_does_not_connect(
    warehouse: Warehouse, monkeypatch, refused_sign_in
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate verify failed" in str(refused_sign_in(**warehouse.admin_connection()))


def test_the_certificate_names_the_host(warehouse: Warehouse) -> None:
    redshift_connector.connect(**warehouse.admin_connection(), sslmode="verify-full").close()


def test_a_database_that_does_not_exist_is_said_to_be_missing(warehouse: Warehouse, refused_sign_in) -> None:
    assert refused_sign_in(**warehouse.admin_connection("nowhere")).args[0]["C"] == "3D000"


def test_the_driver_gets_redshifts_version(session) -> None:
    assert str(session.connection._server_version) == "8.0.2"
    cursor = session.connection.cursor()
    cursor.execute("SELECT 1")
    assert cursor.rowcount == -1, "Redshift's version makes the driver count no selected rows"


def test_noise_on_the_port_does_not_disturb_others(warehouse: Warehouse, session) -> None:
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0", b"\0\0\0\x08\x04\xd2\x16\x2f garbage"):
        with socket.create_connection((warehouse.host, warehouse.port)) as stranger:
            stranger.sendall(noise)
    assert session.run("SELECT 1") == [[1]]
