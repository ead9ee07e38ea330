"""The same work in DuckDB: in SQL, on all cores, each rule evaluated once.

The text goes into a table first, because DuckDB's parallel CSV reader gives line numbers
only as a table's rowid. The validated rows go into a second table, because two files are
written from them.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.work import (
    AMOUNT_CLASSES,
    AROUND,
    COLUMNS,
    DATE_SPELLINGS,
    DROP_PRECEDENCE,
    FIRST_DAY,
    LOAD_ID,
    MOST_BYTES,
    NEXT_DAY,
    NEXT_NOON,
    NULL_WORD,
    ROUNDED_ID,
    SALE,
    SMALL_MEMORY,
    SOURCE_URI,
    STAGED_COLUMNS,
    UTC_DATE,
    WAITING,
    WHOLE,
    WITH_OFFSET,
    ZONED_DATE,
    Work,
)
from schemas.statuses import RANK_SLOTS, STATUSES, WITHOUT_QUANTITY


def run(work: Work, out: Path) -> int:
    return _run(work, out)


def run_small(work: Work, out: Path) -> int:
    """The same as `run`, with SMALL_MEMORY as the memory limit."""
    return _run(work, out, memory_limit=SMALL_MEMORY)


def _run(work: Work, out: Path, *, memory_limit: str | None = None) -> int:
    database = duckdb.connect()
    database.execute(f"SET TimeZone = 'UTC'; SET temp_directory = '{out / 'spilled'}'")
    if memory_limit:
        database.execute(f"SET memory_limit = '{memory_limit}'")
    database.execute(f"SET VARIABLE around = '{AROUND}'")
    database.execute(f"CREATE TYPE status AS ENUM ({_texts(STATUSES)})")
    database.execute(f"CREATE TEMP TABLE products AS FROM '{work.products}'")
    database.execute(f"CREATE TEMP TABLE customers AS FROM '{work.customers}'")
    database.execute(f"CREATE TEMP TABLE source AS FROM {_source(work.transactions)}")
    database.execute(f"CREATE TEMP TABLE validated AS {_VALIDATED}")
    # From here on rows have a column with their line, so their order may change.
    database.execute("SET preserve_insertion_order = false")
    database.execute(f"CREATE TEMP TABLE conflicting AS {_CONFLICTING}")
    database.execute(_REJECT_CONFLICTING)
    database.execute(f"CREATE TEMP TABLE duplicates AS {_DUPLICATES}")
    database.execute(f"COPY ({_STAGED}) TO '{out / 'staged'}' (FORMAT parquet, COMPRESSION snappy, PER_THREAD_OUTPUT)")
    database.execute(f"COPY ({_REJECTED}) TO '{out / 'rejected.csv'}' (HEADER)")
    counted = database.execute("SELECT count(*) FROM source").fetchone()
    assert counted is not None
    return int(counted[0])


def _texts(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _source(path: Path) -> str:
    """The file with every field as text; a missing field is null, a surplus one is in `overflow`."""
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in (*COLUMNS, "overflow"))
    return (
        f"read_csv('{path}', columns = {{{types}}}, header = true, delim = ',', quote = '', escape = '', "
        "new_line = '\\n', nullstr = '\\0', null_padding = true, strict_mode = false, auto_detect = false)"
    )


def _trimmed(name: str, looks_trimmed: str) -> str:
    """A trimmed column; trimming by a set of characters is slow, so it is done only where necessary."""
    return f"CASE WHEN {looks_trimmed} THEN {name} ELSE trim({name}, getvariable('around')) END"


def _trimmed_id(name: str) -> str:
    trimmed = _trimmed(name, f"NOT regexp_matches({name}, '^[^!-~]|[^!-~]$')")
    return f"CASE WHEN regexp_matches({name}, '{NULL_WORD}') THEN '' ELSE {trimmed} END AS {name}"


def _respelled(date: str) -> str:
    for pattern, replacement in DATE_SPELLINGS:
        date = f"regexp_replace({date}, '{pattern}', '{replacement}')"
    return date


def _amount_class() -> str:
    (lowest, _), *higher = AMOUNT_CLASSES.items()
    whens = "".join(f" WHEN total_amount >= {bound} THEN '{label}'" for label, bound in reversed(higher))
    return f"CASE{whens} ELSE '{lowest}' END"


_VALIDATED = f"""
WITH trimmed AS (
    SELECT
        rowid + 2 AS source_line,
        overflow IS NOT NULL OR status IS NULL AS is_malformed,
        {_trimmed_id("transaction_id")},
        {_trimmed_id("customer_id")},
        {_trimmed_id("product_id")},
        {_trimmed("quantity", "regexp_full_match(quantity, '[0-9]+')")} AS quantity,
        {_trimmed("transaction_date", f"regexp_full_match(transaction_date, '{UTC_DATE}')")} AS given_date,
        status AS written_status
    FROM source
),
respelled AS (
    SELECT
        * EXCLUDE (given_date),
        CASE WHEN regexp_full_match(given_date, '{UTC_DATE}') THEN given_date ELSE {_respelled("given_date")} END
            AS written_date
    FROM trimmed
),
typed AS (
    SELECT
        * EXCLUDE (quantity),
        CASE
            WHEN regexp_full_match(quantity, '[0-9]+') THEN try_cast(quantity AS INTEGER)
            WHEN regexp_matches(quantity, '{WHOLE}') THEN try_cast(split_part(quantity, '.', 1) AS INTEGER)
        END AS quantity,
        CASE
            WHEN regexp_full_match(written_date, '{UTC_DATE}') THEN try_cast(written_date AS TIMESTAMP)
            WHEN regexp_full_match(written_date, '{ZONED_DATE}')
                THEN make_timestamp(epoch_us(try_cast(written_date AS TIMESTAMPTZ)))
        END AS transaction_date,
        coalesce(
            try_cast(written_status AS status),
            try_cast(
                translate(
                    trim(written_status, getvariable('around')),
                    'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
                ) AS status
            )
        ) AS status,
        strlen(transaction_id) > {MOST_BYTES["transaction_id"]}
            OR strlen(customer_id) > {MOST_BYTES["customer_id"]}
            OR strlen(product_id) > {MOST_BYTES["product_id"]} AS has_long_id,
        {" OR ".join(f"regexp_matches({name}, '{ROUNDED_ID}')" for name in COLUMNS[:3])} AS has_rounded_id
    FROM respelled
),
joined AS (
    SELECT
        typed.*,
        products.product_id IS NOT NULL AS has_product,
        customers.customer_id IS NOT NULL AS has_customer,
        price AS unit_price, product_name, category, supplier_id, membership_level,
        -- With 28 digits; by default DuckDB multiplies in 18 and fails when they do not suffice.
        try_cast(round(quantity::DECIMAL(28, 0) * price, 2) AS DECIMAL(18, 2)) AS total_amount
    FROM typed LEFT JOIN products USING (product_id) LEFT JOIN customers USING (customer_id)
),
ruled AS (
    SELECT
        *,
        transaction_date BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999' AS has_date,
        CASE WHEN regexp_matches(written_date, '{WITH_OFFSET}') THEN transaction_date >= '{NEXT_NOON}'
            ELSE written_date >= '{NEXT_DAY.isoformat()}' END AS is_future,
        written_date < '{FIRST_DAY}' AS is_early,
        quantity >= CASE WHEN status IN ({_texts(WITHOUT_QUANTITY)}) THEN 0 ELSE 1 END AS has_quantity,
        coalesce(
            NOT is_malformed AND transaction_id <> '' AND has_customer AND has_product AND has_quantity
            AND total_amount IS NOT NULL AND has_date AND NOT is_future AND NOT is_early AND status IS NOT NULL
            AND NOT has_long_id AND NOT has_rounded_id,
            false
        ) AS is_accepted
    FROM joined
)
SELECT
    * EXCLUDE (
        is_malformed, written_date, written_status, has_long_id, has_product, has_customer, has_date, is_future,
        is_early, has_quantity, has_rounded_id
    ),
    {_amount_class()} AS amount_class,
    epoch_us(transaction_date) * {RANK_SLOTS} + enum_code(status) AS event_precedence,
    CASE
        WHEN is_accepted THEN NULL
        WHEN is_malformed THEN 'malformed_row'
        ELSE concat_ws(';',
            CASE WHEN transaction_id = '' THEN 'missing_transaction_id' END,
            CASE WHEN customer_id = '' THEN 'missing_customer_id' END,
            CASE WHEN product_id = '' THEN 'missing_product_id' END,
            CASE WHEN customer_id <> '' AND NOT has_customer THEN 'unknown_customer' END,
            CASE WHEN product_id <> '' AND NOT has_product THEN 'unknown_product' END,
            CASE WHEN has_quantity IS NOT TRUE OR (has_product AND total_amount IS NULL)
                THEN 'invalid_quantity' END,
            CASE WHEN has_date IS NOT TRUE THEN 'invalid_transaction_date'
                WHEN is_future THEN 'future_transaction_date' END,
            CASE WHEN status IS NULL THEN 'invalid_status' END,
            CASE WHEN has_long_id THEN 'value_too_long' END,
            CASE WHEN has_rounded_id THEN 'rounded_id' END,
            CASE WHEN has_date AND is_early THEN 'too_early_transaction_date' END
        )
    END AS reject_reasons
FROM ruled
"""

_EVENT = "transaction_id, event_precedence"
# Waiting rows are included, because they are loaded once their dimensions arrive.
_CONFLICTING = f"""
WITH sound AS (FROM validated WHERE is_accepted OR reject_reasons IN ({_texts(WAITING)})),
repeated AS (SELECT hash({_EVENT}) AS event_hash FROM sound GROUP BY event_hash HAVING count(*) > 1)
SELECT source_line FROM sound
WHERE hash({_EVENT}) IN (FROM repeated)
WINDOW event AS (PARTITION BY {_EVENT})
QUALIFY {" OR ".join(f"min({name}) OVER event <> max({name}) OVER event" for name in SALE)}
"""
_REJECT_CONFLICTING = """
UPDATE validated SET is_accepted = false, reject_reasons = concat_ws(';', reject_reasons, 'conflicting_rows')
WHERE source_line IN (FROM conflicting)
"""

# Hashes of ids are grouped first, which costs a fraction of grouping texts; few ids repeat.
_DUPLICATES = """
WITH repeated AS (
    SELECT hash(transaction_id) AS id_hash FROM validated WHERE is_accepted GROUP BY id_hash HAVING count(*) > 1
)
SELECT source_line FROM validated
WHERE is_accepted AND hash(transaction_id) IN (FROM repeated)
QUALIFY row_number() OVER (PARTITION BY transaction_id ORDER BY event_precedence DESC, source_line DESC) > 1
"""

_LINEAGE = f"'{DROP_PRECEDENCE}' AS drop_precedence, '{LOAD_ID}' AS load_id, '{SOURCE_URI}' AS source_uri"

_STAGED = f"""
SELECT {", ".join(STAGED_COLUMNS)}
FROM (SELECT * REPLACE (status::VARCHAR AS status), {_LINEAGE} FROM validated WHERE is_accepted)
WHERE source_line NOT IN (FROM duplicates)
"""

_REJECTED = f"""
SELECT
    {", ".join(f"source.{name}" for name in COLUMNS)},
    source_line,
    reject_reasons,
    CASE WHEN reject_reasons = 'malformed_row'
        THEN concat_ws(',', {", ".join(f"source.{name}" for name in COLUMNS)}, overflow) END AS source_text
FROM validated JOIN source ON source.rowid = source_line - 2
WHERE NOT is_accepted
ORDER BY source_line
"""
