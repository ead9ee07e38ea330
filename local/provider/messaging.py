"""Queues and topics, created in moto's SQS and SNS."""

from __future__ import annotations

import json

from local.provider.context import Create, Inputs, MotoProvider, Outputs, tag_list, unique_name

PROVIDERS_MESSAGE_SIZE = 256 * 1024
"""The real provider's default size; SQS itself would accept larger messages."""


def _queue(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    queue = inputs.get("name") or unique_name(name)
    attributes = {
        "MessageRetentionPeriod": inputs.get("messageRetentionSeconds"),
        "VisibilityTimeout": inputs.get("visibilityTimeoutSeconds"),
        "RedrivePolicy": inputs.get("redrivePolicy"),
        "SqsManagedSseEnabled": inputs.get("sqsManagedSseEnabled"),
        "MaximumMessageSize": inputs.get("maxMessageSize", PROVIDERS_MESSAGE_SIZE),
    }
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
    given = {key: text for key, text in texts.items() if text != "null"}
    url = provider.client("sqs").create_queue(QueueName=queue, Attributes=given, tags=inputs.get("tags") or {})[
        "QueueUrl"
    ]
    return {"id": url, "url": url, "name": queue, "arn": provider.arn("sqs", queue)}


def _queue_policy(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    provider.client("sqs").set_queue_attributes(QueueUrl=inputs["queueUrl"], Attributes={"Policy": inputs["policy"]})
    return {}


def _topic(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    topic = inputs.get("name") or unique_name(name)
    attributes = {"DisplayName": inputs["displayName"]} if inputs.get("displayName") else {}
    arn = provider.client("sns").create_topic(Name=topic, Attributes=attributes, Tags=tag_list(inputs))["TopicArn"]
    return {"id": arn, "arn": arn, "name": topic}


def _topic_policy(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    provider.client("sns").set_topic_attributes(
        TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"]
    )
    return {}


def _topic_subscription(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    made = provider.client("sns").subscribe(
        TopicArn=inputs["topic"],
        Protocol=inputs["protocol"],
        Endpoint=inputs["endpoint"],
        ReturnSubscriptionArn=True,
    )
    return {"id": made["SubscriptionArn"], "arn": made["SubscriptionArn"]}


CREATE: dict[str, Create] = {
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": _topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": _topic_subscription,
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": _queue_policy,
}
