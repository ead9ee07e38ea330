"""A lineage tool receives an event for each load of the local pipeline. When the tool stops, the pipeline continues."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lambdas.notify.test_lineage import endpoint
from tests.local.local_clouds import GOOD, fact, mails_about, put, started, transactions, transactions_key

pytestmark = pytest.mark.flow


def test_loads_are_sent_to_a_lineage_tool_that_may_end(tmp_path: Path) -> None:
    with ExitStack() as tool:
        url, received = tool.enter_context(endpoint())
        with started(tmp_path, {"sampleDimensions": "true", "openLineageUrl": url}) as cloud:
            cloud.wait_until_idle()
            drop = put(cloud, transactions_key(15), transactions(GOOD.format(number=1, day=15)))
            cloud.wait_until_idle()
            events = [event for event in received if event["inputs"][0]["name"] == drop.key]
            assert [event["eventType"] for event in events[-2:]] == ["START", "COMPLETE"]
            assert events[-1]["outputs"][0]["namespace"].startswith("redshift://transactions-pipeline-")

            number = len(received)
            tool.close()
            drop = put(cloud, transactions_key(16), transactions(GOOD.format(number=2, day=16)))
            cloud.wait_until_idle()
            assert len(received) == number
            assert fact(cloud, "T2")
            assert len(mails_about(cloud, drop)) == 1
