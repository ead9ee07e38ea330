"""An emulated Redshift: PostgreSQL 18 behind a proxy that accepts the production driver as Redshift does.

    with Warehouse.start(s3_endpoint_url="http://127.0.0.1:5000") as warehouse:
        database = warehouse.fresh_database()  # a new database, in 30 ms; or warehouse.database
        os.environ.update(warehouse.client_environment())  # the certificate and the sign-in endpoint
        redshift_connector.connect(**warehouse.iam_connection(database))  # as IAMR:<role>, as the job signs in
        redshift_connector.connect(**warehouse.admin_connection(database))  # with user and password

For other processes: `python -m redshift_emulator --s3-endpoint URL --data-dir DIR --ready-file FILE` writes the same
values as JSON into FILE once it accepts connections, and stops on SIGTERM or SIGINT.

`refusals(sql)` lists the parts of a statement that Redshift would refuse, although PostgreSQL may accept them.
"""

from __future__ import annotations

from redshift_emulator.refusals import Refusal
from redshift_emulator.statements import refusals
from redshift_emulator.warehouse import Warehouse

__all__ = ["Refusal", "Warehouse", "refusals"]
