from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.drops import Drop
from schemas.messages import Replay, Request, UnreadableMessage, drop_message, read_message, replay_message
from tests.lambdas.cloud import DAY_KEY, DROPS, recorded

VERSION = "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH"
FOLDER = "transactions/year=2023/month=03/day=15/"


def read(name: str) -> list[Request]:
    return read_message(json.dumps(recorded(name)), message_id="m")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("s3_put", DAY_KEY),
        ("s3_copy", DAY_KEY),
        ("s3_post", DAY_KEY),
        ("s3_multipart_upload", DAY_KEY + ".gz"),
        ("s3_no_sequencer", DAY_KEY),
        ("s3_encoded_key", FOLDER + "café + % 'quoted' 2023.csv"),
        ("s3_dimension", "dimensions/dim_customers_2023.csv.gz"),
        ("sns_wrapped_s3_put", DAY_KEY),
    ],
)
def test_every_kind_of_object_created_names_its_key_and_version(name: str, key: str) -> None:
    assert read(name) == [Request(DROPS, key, VERSION)]


def test_every_record_of_one_event_is_a_request() -> None:
    assert [(request.key, request.version_id) for request in read("s3_several_records")] == [
        (DAY_KEY, VERSION),
        (DAY_KEY.replace("15", "16"), "L4kqtJlcpXroDTDmpUMLUo8HHsAb.NMS"),
        ("dimensions/dim_products.csv", "QUpfdndhfd8438MNFDN93jdnJFkdmqnh"),
    ]


def test_an_event_without_a_version_asks_for_the_current_one() -> None:
    assert read("s3_no_version") == [Request(DROPS, DAY_KEY, None)]


@pytest.mark.parametrize("name", ["s3_test_event", "s3_object_removed"])
def test_what_asks_for_nothing_is_acknowledged(name: str) -> None:
    assert read(name) == []


def test_a_replay_remembers_the_message_that_first_asked_for_it() -> None:
    assert read("replay") == [Request(DROPS, DAY_KEY, VERSION, Replay("m"))]
    assert read("replay_after_attempt") == [Request(DROPS, DAY_KEY, VERSION, Replay("m", after_attempt=1))]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (json.dumps(recorded("eventbridge_s3_object_created")), "an EventBridge event .'Object Created'"),
        (json.dumps(recorded("glue_succeeded")), "an EventBridge event .'Glue Job State Change'"),
        ("not JSON", "not a JSON object but 'not JSON'"),
        ("[1]", "not a JSON object"),
        ("{}", "neither an S3 notification nor a replay"),
        ('{"replay": {"bucket": "shop-drops"}}', "lacks a field of its kind .'key'"),
        ('{"replay": "all"}', "lacks a field of its kind"),
        ('{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}]}', "lacks a field of its kind"),
        ('{"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}', "a record comes from 'aws:sqs'"),
    ],
)
def test_an_unknown_message_is_refused_with_its_fault(body: str, named: str) -> None:
    with pytest.raises(UnreadableMessage, match=named):
        read_message(body, message_id="m")


keys = st.text(min_size=1, max_size=40).filter(lambda text: text.encode("utf-8", "ignore").decode() == text)
drops = st.builds(Drop, st.just(DROPS), keys, st.sampled_from(["v1", VERSION]))


@given(drops)
def test_what_the_sweep_writes_is_what_start_run_reads(drop: Drop) -> None:
    [request] = read_message(drop_message(drop), message_id="m")
    assert request == Request(drop.bucket, drop.key, drop.version_id)


@given(drops, st.none() | st.integers(1, 5))
def test_a_request_sent_back_is_the_same_request_under_any_message_id(drop: Drop, after: int | None) -> None:
    for body in (drop_message(drop), replay_message(drop, after_attempt=after)):
        [request] = read_message(body, message_id="first")
        assert read_message(request.as_message(), message_id="second") == [request]


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_other_json_is_refused_with_a_sentence(content: Any) -> None:
    with pytest.raises(UnreadableMessage):
        read_message(json.dumps(content), message_id="m")
