"""The mails about requests that start no run."""

from __future__ import annotations

from lambdas.notifier import Mail
from lambdas.printable import printable
from schemas.messages import Replay, Request
from schemas.runs import FLOW_IN, LOAD, RETRACT

_DONE = {LOAD: "replayed", FLOW_IN: "added to", RETRACT: "taken back"}


def outside_layout_mail(request: Request, sentence: str, *, stack: str) -> Mail:
    """The mail about a file that was uploaded under a key that no job loads."""
    return Mail(
        subject=f"[{stack}] Not loaded: a file outside the layout",
        body=(
            "A file was uploaded that no job will load.\n\n"
            f"{_file(request)}\n"
            f"Why: {printable(sentence, 2000)}.\n\n"
            "The file stays where it is. Nothing was loaded and nothing is retried.\n"
        ),
    )


def refused_request_mail(request: Request, replay: Replay, reason: str, *, stack: str) -> Mail:
    """The mail to a person who asked for another attempt that will not start."""
    done = _DONE[replay.operation]
    return Mail(
        subject=f"[{stack}] Not {done}: {printable(request.key.rpartition('/')[2], 40)}",
        body=(
            f"A load was to be {done}, but no run starts.\n\n"
            f"{_file(request)}\n"
            f"Why: {reason}.\n\n"
            "Nothing was changed. Compare bucket, key and version with the mail about the load.\n"
        ),
    )


def _file(request: Request) -> str:
    return (
        f"  file     {printable(f's3://{request.bucket}/{request.key}', 1200)}\n"
        f"  version  {printable(request.version_id or 'not named', 1024)}\n"
    )
