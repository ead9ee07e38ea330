"""The client setting for requests that must not be repeated behind our back.

botocore sends a request again when its answer was lost; for StartJobRun that is a second
run and for Publish a second mail. The caller decides what a lost response means.
"""

from __future__ import annotations

from botocore.config import Config

NO_RETRIES = Config(retries={"total_max_attempts": 1})
