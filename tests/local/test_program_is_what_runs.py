"""The laptop runs what the program declares: what is taken out of the program does not happen any more."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from cli.drops.progress import Progress
from cli.drops.status import Stage
from components.events import EventFunctionArgs, Rule
from components.functions import FunctionArgs
from components.ingestion import Ingestion
from components.permissions import allow
from local.local_cloud import LocalCloud
from schemas.drops import Drop
from tests.local.local_clouds import ROOT, put, started

PRODUCTS = (ROOT / "schemas" / "samples" / "dim_products.csv").read_bytes()


def drop_products(laptop: LocalCloud) -> Drop:
    return put(laptop, "dimensions/dim_products.csv", PRODUCTS)


def test_without_the_buckets_notification_no_drop_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ingestion, "_notify_queue", lambda *_: None)
    with started(tmp_path) as laptop:
        drop = drop_products(laptop)
        laptop.wait_until_idle()
        assert Progress(laptop).look([drop])[0].stage is Stage.QUEUED
        assert (laptop.runs(), laptop.mails()) == ([], [])


def test_without_the_right_to_start_a_run_no_drop_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.ingestion.start_runs", partial(allow, ["glue:GetJobRun"]))
    with started(tmp_path) as laptop:
        drop_products(laptop)
        refused = "is not authorized to perform glue:StartJobRun on"
        until = time.monotonic() + 300
        while not laptop.aws.iam.denials and time.monotonic() < until:
            time.sleep(0.05)
        assert [denial for denial in laptop.aws.iam.denials if refused in denial] == laptop.aws.iam.denials != []
        assert laptop.runs() == []


def test_without_the_archives_rule_a_loaded_drop_is_not_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_rules(*, function: FunctionArgs, rules: Mapping[str, Rule]) -> EventFunctionArgs:
        assert list(rules) == ["succeeded"]
        return EventFunctionArgs(function=function, rules={})

    monkeypatch.setattr("components.archiving.EventFunctionArgs", without_rules)
    with started(tmp_path) as laptop:
        drop = drop_products(laptop)
        laptop.wait_until_idle()
        assert Progress(laptop).look([drop])[0].stage is Stage.LOADED
        assert len(laptop.mails()) == 1
