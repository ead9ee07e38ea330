"""The local cloud runs only the resources that the program declares: a removed resource has no more effect."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from cli.drops.progress import Progress
from cli.drops.status import Phase
from components.events import EventFunctionArgs, Rule
from components.functions import FunctionArgs
from components.ingestion import Ingestion
from components.permissions import allow
from local.local_cloud import LocalCloud
from schemas.drops import Drop
from tests.local.local_clouds import ROOT, put, started

pytestmark = pytest.mark.flow

PRODUCTS = (ROOT / "schemas" / "samples" / "dim_products.csv").read_bytes()


def drop_products(cloud: LocalCloud) -> Drop:
    return put(cloud, "dimensions/dim_products.csv", PRODUCTS)


def test_without_the_buckets_notification_no_drop_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ingestion, "_notify_queue", lambda *_: None)
    with started(tmp_path) as cloud:
        drop = drop_products(cloud)
        cloud.wait_until_idle()
        assert Progress(cloud).look([drop])[0].phase is Phase.QUEUED
        assert (cloud.runs(), cloud.mails()) == ([], [])


def test_without_the_right_to_start_a_run_no_drop_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.ingestion.start_runs", partial(allow, ["glue:GetJobRun"]))
    with started(tmp_path) as cloud:
        drop_products(cloud)
        refused = "is not authorized to perform glue:StartJobRun on"
        until = time.monotonic() + 300
        while not cloud.aws.iam.denials and time.monotonic() < until:
            time.sleep(0.05)
        assert [denial for denial in cloud.aws.iam.denials if refused in denial] == cloud.aws.iam.denials != []
        assert cloud.runs() == []


def test_without_the_archives_rule_a_loaded_drop_is_not_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_rules(*, function: FunctionArgs, rules: Mapping[str, Rule]) -> EventFunctionArgs:
        assert list(rules) == ["succeeded"]
        return EventFunctionArgs(function=function, rules={})

    monkeypatch.setattr("components.archiving.EventFunctionArgs", without_rules)
    with started(tmp_path) as cloud:
        drop = drop_products(cloud)
        cloud.wait_until_idle()
        assert Progress(cloud).look([drop])[0].phase is Phase.LOADED
        assert len(cloud.mails()) == 1
