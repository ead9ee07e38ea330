"""An attempt's events for a lineage tool. The tool cannot affect the outcome."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from lambdas.notify import handler
from schemas.lineage import COLUMN_SOURCES, DROP, FACT
from schemas.sources import CONTRACT_COLUMNS
from schemas.warehouse.tables import DIM_CUSTOMERS, DIM_PRODUCTS, DIMENSIONS, FACT_TRANSACTIONS, PRECEDENCE_COLUMNS
from tests.lambdas.cloud import Cloud
from tests.lambdas.notify.notifying import NO_STATUS, event_of, notify_about, run_of
from tests.lambdas.reports import failed, succeeded

SPECS = [json.loads(path.read_text()) for path in (Path(__file__).parent / "openlineage").glob("*.json")]
REGISTRY: Registry[Any] = Registry().with_resources((spec["$id"], Resource.from_contents(spec)) for spec in SPECS)
WAREHOUSE = {"namespace": "redshift://shop-warehouse.eu-west-1:5439", "name": "shop.public.fact_transactions"}


@contextmanager
def endpoint(status: int = 201) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A lineage tool: its address, the events it received, and the status with which it responds."""
    received: list[dict[str, Any]] = []

    class Tool(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Tool) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1/lineage", received
        server.shutdown()


@pytest.fixture
def events(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    with endpoint() as (url, received):
        sends_to(url, monkeypatch)
        yield received


def sends_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPEN_LINEAGE_URL", url)
    handler.dependencies.cache_clear()


def test_a_loaded_drop_is_a_start_and_a_complete(cloud: Cloud, events: list[dict[str, Any]]) -> None:
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    assert notify_about(event_of("glue_succeeded", run_of(cloud, drop))) is True
    start, complete = events
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    assert [start["eventTime"], complete["eventTime"]] == ["2023-03-16T00:10:12Z", "2023-03-16T00:10:52Z"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    file, *_ = complete["inputs"]
    assert (file["namespace"], file["name"]) == (f"s3://{drop.bucket}", drop.key)
    assert file["facets"]["version"]["datasetVersion"] == drop.version_id
    (fact,) = complete["outputs"]
    assert {**fact, **WAREHOUSE} == fact
    assert fact["outputFacets"]["outputStatistics"]["rowCount"] == 5
    prices = fact["facets"]["columnLineage"]["fields"]["unit_price"]["inputFields"]
    assert {(field["name"], field["field"]) for field in prices} == {
        (drop.key, "unit_price"),
        ("shop.public.dim_products", "price"),
    }


def test_a_failure_and_a_death_say_why(cloud: Cloud, events: list[dict[str, Any]]) -> None:
    drop = cloud.drop()
    cloud.put_report(failed(drop))
    notify_about(event_of("glue_failed", run_of(cloud, drop)))
    dead = cloud.drop("transactions/year=2023/month=03/day=16/dead.csv")
    notify_about(event_of("glue_timeout", run_of(cloud, dead)))
    assert [event["eventType"] for event in events] == ["START", "FAIL"] * 2
    assert NO_STATUS in events[1]["run"]["facets"]["errorMessage"]["message"]
    assert "time limit" in events[3]["run"]["facets"]["errorMessage"]["message"]
    assert events[1]["run"]["runId"] != events[3]["run"]["runId"]


def test_a_retried_attempt_is_sent_too(cloud: Cloud, events: list[dict[str, Any]]) -> None:
    drop = cloud.drop()
    cloud.put_report(failed(drop, is_transient=True))
    assert notify_about(event_of("glue_failed", run_of(cloud, drop))) is False
    assert [event["eventType"] for event in events] == ["START", "FAIL"]


def test_events_are_what_the_specification_says(cloud: Cloud, events: list[dict[str, Any]]) -> None:
    for key in ("dimensions/dim_products.csv", "transactions/year=2023/month=03/day=15/a.csv"):
        drop = cloud.drop(key)
        cloud.put_report(succeeded(drop))
        notify_about(event_of("glue_succeeded", run_of(cloud, drop)))
    broken = cloud.drop()
    cloud.put_report(failed(broken))
    notify_about(event_of("glue_failed", run_of(cloud, broken)))
    assert len(events) == 6
    for event in events:
        check(event["schemaURL"], event)
        datasets = [*event["inputs"], *event["outputs"]]
        holders = [event["run"]["facets"], *(each.get("facets", {}) for each in datasets)]
        holders += [each.get("outputFacets", {}) for each in datasets]
        for facets in holders:
            for facet in facets.values():
                check(facet["_schemaURL"], facet)


def check(schema_url: str, content: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({"$ref": schema_url}, registry=REGISTRY).validate(content)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "nowhere", "http://"])
def test_an_endpoint_that_is_down_changes_nothing(cloud: Cloud, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sends_to(url, monkeypatch)
    drop = cloud.drop()
    cloud.put_report(succeeded(drop))
    assert notify_about(event_of("glue_succeeded", run_of(cloud, drop))) is True
    assert len(cloud.mails()) == 1


def test_an_endpoint_that_refuses_changes_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(500) as (url, received):
        sends_to(url, monkeypatch)
        drop = cloud.drop()
        cloud.put_report(succeeded(drop))
        assert notify_about(event_of("glue_succeeded", run_of(cloud, drop))) is True
    assert len(received) == 1
    assert len(cloud.mails()) == 1


def test_an_endpoint_that_is_no_web_server_changes_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(StreamRequestHandler):
        def handle(self) -> None:
            self.connection.recv(65536)
            self.wfile.write(b"220 mail.example.com ESMTP\r\n")

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sends_to(f"http://127.0.0.1:{server.server_address[1]}/", monkeypatch)
        drop = cloud.drop()
        cloud.put_report(succeeded(drop))
        assert notify_about(event_of("glue_succeeded", run_of(cloud, drop))) is True
        server.shutdown()
    assert len(cloud.mails()) == 1


_HANGS_SECONDS = 60


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 201 Created\r\nX-Slow: "], ids=["nothing", "a byte at a time"])
def test_an_endpoint_that_hangs_holds_up_nothing(cloud: Cloud, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts the event and keeps its response open for longer than Lambda lets notify run."""
    was_left, gave_up = threading.Event(), threading.Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(answer)
            for _ in range(_HANGS_SECONDS * 10):
                if was_left.wait(0.1):
                    return
                if answer:
                    self.wfile.write(b"x")
            gave_up.set()

        def log_message(self, *_: Any) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hanging) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sends_to(f"http://127.0.0.1:{server.server_address[1]}/", monkeypatch)
        drop = cloud.drop()
        cloud.put_report(succeeded(drop))
        assert notify_about(event_of("glue_succeeded", run_of(cloud, drop))) is True
        was_left.set()
        for thread in threading.enumerate():
            if thread.name == "lineage":
                thread.join()
        server.shutdown()
    assert not gave_up.is_set(), "notify waited for the endpoint"
    assert len(cloud.mails()) == 1


def test_every_column_of_a_table_has_its_sources() -> None:
    of_the_load = {column.name for column in PRECEDENCE_COLUMNS} | {"load_id", "source_uri", "loaded_at", "updated_at"}
    for table in (FACT_TRANSACTIONS, DIM_PRODUCTS, DIM_CUSTOMERS):
        declared = COLUMN_SOURCES[table.name]
        assert set(declared) == set(table.names) - of_the_load - {"drop_precedence"}, table.name


def test_every_source_is_a_column_that_is_read() -> None:
    for sources in COLUMN_SOURCES[FACT].values():
        for source, column in sources:
            known = (*CONTRACT_COLUMNS, "unit_price") if source == DROP else DIMENSIONS[source].joined
            assert column in known, (source, column)
