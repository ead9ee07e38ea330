"""One sentence and one exit status for every error of a command.

This module alone turns errors that a person can cause or correct into sentences. Any other
error is a fault of this program: its sentence asks for `--debug`, which shows the traceback.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from typing import Any

GOOD = 0
FAILED = 1
"""The command tried, and did not succeed."""
WRONG_USE = 2
"""Nothing was done: a value, a file, a setting or the environment must be corrected first."""
NEEDS_A_LOOK = 3
"""Everything was loaded, but some rows need a person."""
INTERRUPTED = 130


class Refused(Exception):
    """The command did nothing; the message names what to correct."""


class Failed(Exception):
    """The command did not succeed; the message gives the reason and what to do."""


def explain(error: Exception) -> tuple[str, int]:
    """The sentence and the exit status of an error."""
    for chained in _causes(error):
        for find_sentence in (_from_us, _from_disk, _from_pulumi, _from_aws):
            explained = find_sentence(chained)
            if explained is not None:
                return explained
    return (
        f"this is a fault of the program: {type(error).__name__}: {_one_line(error)}; "
        "run the command again with --debug to see where",
        FAILED,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes: a library may wrap the error that has the sentence."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _from_us(error: BaseException) -> tuple[str, int] | None:
    if isinstance(error, Refused):
        return _one_line(error), WRONG_USE
    if isinstance(error, Failed):
        return _one_line(error), FAILED
    return None


_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATH_ADVICE = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space and try again",
    errno.EACCES: "change its permissions or name another place",
    errno.EPERM: "change its permissions or name another place",
    errno.EROFS: "name a place that can be written to",
    errno.ENOENT: "check the name",
    errno.ENOTDIR: "a part of this path is a file; check the name",
    errno.EISDIR: "name a file",
}


def _from_disk(error: BaseException) -> tuple[str, int] | None:
    if not isinstance(error, OSError):
        return None
    if error.filename is not None:
        reason = (error.strerror or str(error)).lower()
        return f"{error.filename}: {reason}; {_PATH_ADVICE.get(error.errno or 0, 'check the path')}", WRONG_USE
    # Polars puts the error's number only into the text.
    if error.errno in _FULL or any(f"(os error {number})" in str(error) for number in _FULL):
        return "the disk is full; free some space and try again", WRONG_USE
    return None


def _from_pulumi(error: BaseException) -> tuple[str, int] | None:
    # By name: a command that deploys nothing need not import these modules.
    for module, name in (
        ("components.stack_config", "StackConfigError"),
        # The program and Pulumi raise it for a wrong value in the configuration, too.
        ("pulumi", "RunError"),
        ("local.deploy", "DeployFailed"),
    ):
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and isinstance(error, known):
            return _one_line(error), WRONG_USE
    return None


def _from_aws(error: BaseException) -> tuple[str, int] | None:
    exceptions = sys.modules.get("botocore.exceptions")
    if exceptions is None:
        return None
    missing = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound)
    if isinstance(error, missing):
        return (
            f"AWS cannot be reached: {_one_line(error)}; sign in (`aws sso login` or `aws configure`) "
            "or set AWS_PROFILE, then try again",
            WRONG_USE,
        )
    if isinstance(error, exceptions.NoRegionError):
        return "no AWS Region is set; set AWS_REGION or use --stack NAME", WRONG_USE
    if isinstance(error, exceptions.ClientError):
        sentence = _corrected_by_hand(error)
        return (sentence, WRONG_USE) if sentence else (_refused_request(error), FAILED)
    if isinstance(error, exceptions.BotoCoreError):
        return f"AWS did not answer: {_one_line(error)}; try again", FAILED
    return None


_SIGN_IN_AGAIN = {
    "ExpiredToken": "your AWS session has expired",
    "ExpiredTokenException": "your AWS session has expired",
    "InvalidAccessKeyId": "AWS does not know your access key",
    "InvalidClientTokenId": "AWS does not know your access key",
    "UnrecognizedClientException": "AWS does not know your access key",
    "SignatureDoesNotMatch": "AWS refuses your secret key",
}
_FORBIDDEN = ("AccessDenied", "AccessDeniedException", "403", "UnauthorizedOperation")


def _corrected_by_hand(error: Any) -> str | None:
    """The sentence about a wrong name, a missing right or a sign-in that has expired; None for other errors."""
    described = error.response.get("Error", {})
    code, message = described.get("Code", ""), described.get("Message", "")
    if code == "NoSuchBucket":
        return f"the bucket {described.get('BucketName', '')!r} does not exist; check its name"
    if code in _SIGN_IN_AGAIN:
        return f"{_SIGN_IN_AGAIN[code]}; sign in again"
    if code in _FORBIDDEN:
        return f"{error.operation_name} is forbidden ({message}); ask for the right, or sign in as a user who has it"
    return None


def _refused_request(error: Any) -> str:
    described = error.response.get("Error", {})
    return f"AWS refused {error.operation_name}: {described.get('Code')}: {described.get('Message')}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
