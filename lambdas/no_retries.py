"""The client setting for requests that botocore must not repeat. By default it sends a request again when the response
was lost; for StartJobRun that is a second run, for Publish a second mail. The caller decides what a lost response
means.
"""

from __future__ import annotations

from botocore.config import Config

NO_RETRIES = Config(retries={"total_max_attempts": 1})
