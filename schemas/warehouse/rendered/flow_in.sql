SELECT load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, job_version, polars_version, event, removed, restored FROM load_ledger
WHERE source_uri = %s
ORDER BY attempt, committed_at;

COMMIT;

SELECT source_line FROM waiting_rows
WHERE load_id = %s AND since >= %s
ORDER BY source_line;

COMMIT;

SET statement_timeout TO 1800000;

CREATE TEMP TABLE staged_transactions (
    transaction_id VARCHAR(64) NOT NULL,
    customer_id VARCHAR(64) NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    quantity INTEGER NOT NULL,
    transaction_date TIMESTAMP NOT NULL,
    status VARCHAR(16) NOT NULL,
    unit_price DECIMAL(18,4) NOT NULL,
    total_amount DECIMAL(18,2) NOT NULL,
    amount_class VARCHAR(64) NOT NULL,
    product_name VARCHAR(256),
    category VARCHAR(128),
    supplier_id VARCHAR(64),
    membership_level VARCHAR(64),
    event_precedence BIGINT NOT NULL,
    drop_precedence VARCHAR(64) NOT NULL,
    source_line BIGINT NOT NULL,
    load_id VARCHAR(16) NOT NULL,
    source_uri VARCHAR(1200) NOT NULL
)
DISTKEY (transaction_id);

CREATE TEMP TABLE staged_waiting (
    load_id VARCHAR(16) NOT NULL,
    bucket VARCHAR(64) NOT NULL,
    drop_key VARCHAR(1024) NOT NULL,
    version_id VARCHAR(1024) NOT NULL,
    source_line BIGINT NOT NULL,
    customer_id VARCHAR(64),
    product_id VARCHAR(64)
);

COPY staged_transactions (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri)
FROM 's3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/manifest.json'
IAM_ROLE 'COPY_ROLE_ARN'
FORMAT AS PARQUET
MANIFEST
STATUPDATE OFF;

SELECT COUNT(*) FROM staged_transactions;

COPY staged_waiting (load_id, bucket, drop_key, version_id, source_line, customer_id, product_id)
FROM 's3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/waiting/manifest.json'
IAM_ROLE 'COPY_ROLE_ARN'
FORMAT AS PARQUET
MANIFEST
STATUPDATE OFF;

SELECT COUNT(*) FROM staged_waiting;

SET statement_timeout TO 300000;

COMMIT;

BEGIN;

LOCK load_lock;

SET statement_timeout TO 1800000;

SELECT load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, job_version, polars_version, event, removed, restored FROM load_ledger
WHERE source_uri = %s
ORDER BY attempt, committed_at;

SELECT COUNT(*) FROM waiting_rows WHERE since < %s;

DELETE FROM waiting_rows WHERE since < %s;

SELECT source_line FROM waiting_rows
WHERE load_id = %s AND since >= %s
ORDER BY source_line;

INSERT INTO transaction_history (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri, is_superseded, recorded_at)
SELECT transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri, FALSE, GETDATE() FROM staged_transactions;

SELECT COUNT(*) OVER () AS ids, staged_transactions.transaction_id
FROM staged_transactions
JOIN fact_transactions ON fact_transactions.transaction_id = staged_transactions.transaction_id
WHERE fact_transactions.source_uri <> staged_transactions.source_uri AND (staged_transactions.customer_id <> fact_transactions.customer_id OR staged_transactions.product_id <> fact_transactions.product_id)
ORDER BY 2
LIMIT 3;

SELECT
    COUNT(*) AS staged,
    COUNT(DISTINCT transaction_id) AS ids,
    COALESCE(SUM(CASE WHEN outcome = 'inserted' THEN 1 ELSE 0 END), 0) AS inserted,
    COALESCE(SUM(CASE WHEN outcome = 'updated' THEN 1 ELSE 0 END), 0) AS updated,
    COALESCE(SUM(CASE WHEN outcome = 'unchanged' THEN 1 ELSE 0 END), 0) AS unchanged,
    COALESCE(SUM(CASE WHEN outcome = 'stale' THEN 1 ELSE 0 END), 0) AS stale
FROM (
    SELECT
        staged_transactions.transaction_id,
        CASE
            WHEN fact_transactions.transaction_id IS NULL THEN 'inserted'
            WHEN (staged_transactions.event_precedence < fact_transactions.event_precedence
             OR (staged_transactions.event_precedence = fact_transactions.event_precedence
             AND (staged_transactions.drop_precedence < fact_transactions.drop_precedence
             OR (staged_transactions.drop_precedence = fact_transactions.drop_precedence
             AND staged_transactions.source_line < fact_transactions.source_line)))) THEN 'stale'
            WHEN staged_transactions.customer_id <> fact_transactions.customer_id
             OR staged_transactions.product_id <> fact_transactions.product_id
             OR staged_transactions.quantity <> fact_transactions.quantity
             OR staged_transactions.transaction_date <> fact_transactions.transaction_date
             OR staged_transactions.status <> fact_transactions.status
             OR staged_transactions.unit_price <> fact_transactions.unit_price
             OR staged_transactions.total_amount <> fact_transactions.total_amount
             OR staged_transactions.amount_class <> fact_transactions.amount_class
             OR COALESCE(staged_transactions.product_name, '') <> COALESCE(fact_transactions.product_name, '')
             OR COALESCE(staged_transactions.category, '') <> COALESCE(fact_transactions.category, '')
             OR COALESCE(staged_transactions.supplier_id, '') <> COALESCE(fact_transactions.supplier_id, '')
             OR COALESCE(staged_transactions.membership_level, '') <> COALESCE(fact_transactions.membership_level, '') THEN 'updated'
            ELSE 'unchanged'
        END AS outcome
    FROM staged_transactions
    LEFT JOIN fact_transactions ON staged_transactions.transaction_id = fact_transactions.transaction_id
) AS outcomes;

DELETE FROM staged_transactions
USING fact_transactions
WHERE staged_transactions.transaction_id = fact_transactions.transaction_id
 AND (staged_transactions.event_precedence < fact_transactions.event_precedence
 OR (staged_transactions.event_precedence = fact_transactions.event_precedence
 AND (staged_transactions.drop_precedence < fact_transactions.drop_precedence
 OR (staged_transactions.drop_precedence = fact_transactions.drop_precedence
 AND staged_transactions.source_line < fact_transactions.source_line))));

SELECT amount_class, status, SUM(row_count) AS row_count, SUM(amount) AS amount
FROM (
    SELECT amount_class, status, 1 AS row_count, total_amount AS amount
    FROM staged_transactions
    UNION ALL
    SELECT fact_transactions.amount_class, fact_transactions.status, -1 AS row_count, -fact_transactions.total_amount AS amount
    FROM fact_transactions
    JOIN staged_transactions ON staged_transactions.transaction_id = fact_transactions.transaction_id
) AS changes
GROUP BY amount_class, status
HAVING SUM(row_count) <> 0 OR SUM(amount) <> 0
ORDER BY 1, 2;

MERGE INTO fact_transactions
USING staged_transactions
ON fact_transactions.transaction_id = staged_transactions.transaction_id
WHEN MATCHED THEN UPDATE SET
    customer_id = staged_transactions.customer_id,
    product_id = staged_transactions.product_id,
    quantity = staged_transactions.quantity,
    transaction_date = staged_transactions.transaction_date,
    status = staged_transactions.status,
    unit_price = staged_transactions.unit_price,
    total_amount = staged_transactions.total_amount,
    amount_class = staged_transactions.amount_class,
    product_name = staged_transactions.product_name,
    category = staged_transactions.category,
    supplier_id = staged_transactions.supplier_id,
    membership_level = staged_transactions.membership_level,
    event_precedence = staged_transactions.event_precedence,
    drop_precedence = staged_transactions.drop_precedence,
    source_line = staged_transactions.source_line,
    load_id = staged_transactions.load_id,
    source_uri = staged_transactions.source_uri,
    loaded_at = GETDATE(),
    updated_at = CASE
        WHEN staged_transactions.customer_id <> fact_transactions.customer_id
         OR staged_transactions.product_id <> fact_transactions.product_id
         OR staged_transactions.quantity <> fact_transactions.quantity
         OR staged_transactions.transaction_date <> fact_transactions.transaction_date
         OR staged_transactions.status <> fact_transactions.status
         OR staged_transactions.unit_price <> fact_transactions.unit_price
         OR staged_transactions.total_amount <> fact_transactions.total_amount
         OR staged_transactions.amount_class <> fact_transactions.amount_class
         OR COALESCE(staged_transactions.product_name, '') <> COALESCE(fact_transactions.product_name, '')
         OR COALESCE(staged_transactions.category, '') <> COALESCE(fact_transactions.category, '')
         OR COALESCE(staged_transactions.supplier_id, '') <> COALESCE(fact_transactions.supplier_id, '')
         OR COALESCE(staged_transactions.membership_level, '') <> COALESCE(fact_transactions.membership_level, '') THEN GETDATE()
        ELSE fact_transactions.updated_at
    END
WHEN NOT MATCHED THEN INSERT (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri, loaded_at, updated_at)
VALUES (staged_transactions.transaction_id, staged_transactions.customer_id, staged_transactions.product_id, staged_transactions.quantity, staged_transactions.transaction_date, staged_transactions.status, staged_transactions.unit_price, staged_transactions.total_amount, staged_transactions.amount_class, staged_transactions.product_name, staged_transactions.category, staged_transactions.supplier_id, staged_transactions.membership_level, staged_transactions.event_precedence, staged_transactions.drop_precedence, staged_transactions.source_line, staged_transactions.load_id, staged_transactions.source_uri, GETDATE(), GETDATE());

SELECT COUNT(*) FROM fact_transactions
JOIN staged_transactions ON staged_transactions.transaction_id = fact_transactions.transaction_id;

SELECT COALESCE(SUM(fact_transactions.total_amount - staged_transactions.total_amount), 0) FROM fact_transactions
JOIN staged_transactions ON staged_transactions.transaction_id = fact_transactions.transaction_id;

DELETE FROM waiting_rows
WHERE load_id = %s AND source_line NOT IN (SELECT source_line FROM staged_waiting);

INSERT INTO load_ledger (load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, job_version, polars_version, event, removed, restored)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, GETDATE(), %s, %s, %s, %s, %s);

INSERT INTO ledger_amounts (load_id, attempt, amount_class, status, is_sale, row_count, amount)
VALUES (%s, %s, %s, %s, %s, %s, %s);

SELECT amount_class, status, row_count, amount FROM ledger_amounts
WHERE load_id = %s AND attempt = %s
ORDER BY 1, 2;

SELECT status, SUM(total_amount) FROM fact_transactions
WHERE transaction_date >= %s AND transaction_date <= %s
GROUP BY status
ORDER BY 1;

SELECT DISTINCT waiting_rows.bucket, waiting_rows.drop_key, waiting_rows.version_id FROM waiting_rows
WHERE waiting_rows.load_id = %s
 AND (waiting_rows.customer_id IS NULL OR waiting_rows.customer_id IN (SELECT customer_id FROM dim_customers))
 AND (waiting_rows.product_id IS NULL OR waiting_rows.product_id IN (SELECT product_id FROM dim_products))
ORDER BY 1, 2, 3;

COMMIT;
