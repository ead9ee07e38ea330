"""The laptop's Redshift: PostgreSQL 18 behind a proxy that speaks to the production driver as Redshift does.

    with Warehouse.start(s3_endpoint_url="http://127.0.0.1:5000") as warehouse:
        database = warehouse.fresh_database()                       # or warehouse.database
        os.environ.update(warehouse.client_environment())           # SSL_CERT_FILE, AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS
        redshift_connector.connect(**warehouse.iam_connection(database))     # signs in as IAMR:<role>, as the job does
        redshift_connector.connect(**warehouse.admin_connection(database))   # user and password

Other processes: `python -m local.redshift --s3-endpoint URL --data-dir DIR --ready-file FILE` writes the same facts
as JSON into FILE once it answers, and stops on SIGTERM or SIGINT.

`refusals(sql)` lists what Redshift would refuse in a statement that PostgreSQL may well accept.
"""

from __future__ import annotations

from local.redshift.refusals import Refusal, refusals
from local.redshift.warehouse import Warehouse

__all__ = ["Refusal", "Warehouse", "refusals"]
