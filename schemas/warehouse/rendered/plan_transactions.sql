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

SET statement_timeout TO 10000;

SELECT load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, job_version, polars_version, event, removed, restored FROM load_ledger
WHERE source_uri = %s
ORDER BY attempt, committed_at;

SELECT COUNT(*) FROM waiting_rows WHERE since < %s;

DELETE FROM waiting_rows WHERE since < %s;

CREATE TEMP TABLE transactions_before (
    transaction_id VARCHAR(64) NOT NULL,
    status VARCHAR(16) NOT NULL,
    total_amount DECIMAL(18,2) NOT NULL
)
DISTKEY (transaction_id);

INSERT INTO transactions_before (transaction_id, status, total_amount)
SELECT fact_transactions.transaction_id, fact_transactions.status, fact_transactions.total_amount
FROM fact_transactions
JOIN staged_transactions ON staged_transactions.transaction_id = fact_transactions.transaction_id;

INSERT INTO transactions_before (transaction_id, status, total_amount)
SELECT transaction_id, status, total_amount FROM fact_transactions
WHERE load_id = %s AND transaction_id NOT IN (SELECT transaction_id FROM transactions_before);

UPDATE transaction_history SET is_superseded = TRUE
WHERE load_id = %s AND is_superseded = FALSE;

INSERT INTO transaction_history (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri, is_superseded, recorded_at)
SELECT transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri, FALSE, GETDATE() FROM staged_transactions;

CREATE TEMP TABLE withdrawn_transactions (
    transaction_id VARCHAR(64) NOT NULL
)
DISTKEY (transaction_id);

CREATE TEMP TABLE restored_transactions (
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

INSERT INTO withdrawn_transactions (transaction_id)
SELECT fact_transactions.transaction_id FROM fact_transactions
LEFT JOIN staged_transactions ON staged_transactions.transaction_id = fact_transactions.transaction_id
 AND staged_transactions.event_precedence = fact_transactions.event_precedence
 AND staged_transactions.drop_precedence = fact_transactions.drop_precedence
 AND staged_transactions.source_line = fact_transactions.source_line
WHERE fact_transactions.load_id = %s AND staged_transactions.transaction_id IS NULL;

SELECT COUNT(*) FROM withdrawn_transactions;

INSERT INTO restored_transactions (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri)
SELECT transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri
FROM (
    SELECT
        transaction_history.transaction_id,
        transaction_history.customer_id,
        transaction_history.product_id,
        transaction_history.quantity,
        transaction_history.transaction_date,
        transaction_history.status,
        transaction_history.unit_price,
        transaction_history.total_amount,
        transaction_history.amount_class,
        transaction_history.product_name,
        transaction_history.category,
        transaction_history.supplier_id,
        transaction_history.membership_level,
        transaction_history.event_precedence,
        transaction_history.drop_precedence,
        transaction_history.source_line,
        transaction_history.load_id,
        transaction_history.source_uri,
        ROW_NUMBER() OVER (PARTITION BY transaction_history.transaction_id ORDER BY transaction_history.event_precedence DESC, transaction_history.drop_precedence DESC, transaction_history.source_line DESC) AS place
    FROM transaction_history
    JOIN withdrawn_transactions ON withdrawn_transactions.transaction_id = transaction_history.transaction_id
    WHERE transaction_history.is_superseded = FALSE AND transaction_history.load_id <> %s
) AS candidates
WHERE place = 1;

SELECT COUNT(*) FROM restored_transactions;

SELECT amount_class, status, SUM(row_count) AS row_count, SUM(amount) AS amount
FROM (
    SELECT amount_class, status, 1 AS row_count, total_amount AS amount
    FROM restored_transactions
    UNION ALL
    SELECT fact_transactions.amount_class, fact_transactions.status, -1 AS row_count, -fact_transactions.total_amount AS amount
    FROM fact_transactions
    JOIN withdrawn_transactions ON withdrawn_transactions.transaction_id = fact_transactions.transaction_id
) AS changes
GROUP BY amount_class, status
HAVING SUM(row_count) <> 0 OR SUM(amount) <> 0
ORDER BY 1, 2;

DELETE FROM fact_transactions
USING withdrawn_transactions
WHERE withdrawn_transactions.transaction_id = fact_transactions.transaction_id
 AND fact_transactions.transaction_id NOT IN (SELECT transaction_id FROM restored_transactions);

MERGE INTO fact_transactions
USING restored_transactions
ON fact_transactions.transaction_id = restored_transactions.transaction_id
WHEN MATCHED THEN UPDATE SET
    customer_id = restored_transactions.customer_id,
    product_id = restored_transactions.product_id,
    quantity = restored_transactions.quantity,
    transaction_date = restored_transactions.transaction_date,
    status = restored_transactions.status,
    unit_price = restored_transactions.unit_price,
    total_amount = restored_transactions.total_amount,
    amount_class = restored_transactions.amount_class,
    product_name = restored_transactions.product_name,
    category = restored_transactions.category,
    supplier_id = restored_transactions.supplier_id,
    membership_level = restored_transactions.membership_level,
    event_precedence = restored_transactions.event_precedence,
    drop_precedence = restored_transactions.drop_precedence,
    source_line = restored_transactions.source_line,
    load_id = restored_transactions.load_id,
    source_uri = restored_transactions.source_uri,
    loaded_at = GETDATE(),
    updated_at = CASE
        WHEN restored_transactions.customer_id <> fact_transactions.customer_id
         OR restored_transactions.product_id <> fact_transactions.product_id
         OR restored_transactions.quantity <> fact_transactions.quantity
         OR restored_transactions.transaction_date <> fact_transactions.transaction_date
         OR restored_transactions.status <> fact_transactions.status
         OR restored_transactions.unit_price <> fact_transactions.unit_price
         OR restored_transactions.total_amount <> fact_transactions.total_amount
         OR restored_transactions.amount_class <> fact_transactions.amount_class
         OR COALESCE(restored_transactions.product_name, '') <> COALESCE(fact_transactions.product_name, '')
         OR COALESCE(restored_transactions.category, '') <> COALESCE(fact_transactions.category, '')
         OR COALESCE(restored_transactions.supplier_id, '') <> COALESCE(fact_transactions.supplier_id, '')
         OR COALESCE(restored_transactions.membership_level, '') <> COALESCE(fact_transactions.membership_level, '') THEN GETDATE()
        ELSE fact_transactions.updated_at
    END
WHEN NOT MATCHED THEN INSERT (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri, loaded_at, updated_at)
VALUES (restored_transactions.transaction_id, restored_transactions.customer_id, restored_transactions.product_id, restored_transactions.quantity, restored_transactions.transaction_date, restored_transactions.status, restored_transactions.unit_price, restored_transactions.total_amount, restored_transactions.amount_class, restored_transactions.product_name, restored_transactions.category, restored_transactions.supplier_id, restored_transactions.membership_level, restored_transactions.event_precedence, restored_transactions.drop_precedence, restored_transactions.source_line, restored_transactions.load_id, restored_transactions.source_uri, GETDATE(), GETDATE());

SELECT COUNT(*) FROM fact_transactions
JOIN restored_transactions ON restored_transactions.transaction_id = fact_transactions.transaction_id;

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

DELETE FROM waiting_rows WHERE load_id = %s;

INSERT INTO waiting_rows (load_id, bucket, drop_key, version_id, source_line, customer_id, product_id, since)
SELECT load_id, bucket, drop_key, version_id, source_line, customer_id, product_id, GETDATE() FROM staged_waiting;

INSERT INTO load_ledger (load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, job_version, polars_version, event, removed, restored)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, GETDATE(), %s, %s, %s, %s, %s);

INSERT INTO ledger_amounts (load_id, attempt, amount_class, status, is_sale, row_count, amount)
VALUES (%s, %s, %s, %s, %s, %s, %s);

SELECT status, SUM(total_amount) FROM fact_transactions
WHERE transaction_date >= %s AND transaction_date <= %s
GROUP BY status
ORDER BY 1;

SELECT transaction_id, MAX(old_status) AS old_status, SUM(old_amount) AS old_amount,
    MAX(new_status) AS new_status, SUM(new_amount) AS new_amount
FROM (
    SELECT transaction_id, status AS old_status, total_amount AS old_amount,
        CAST(NULL AS VARCHAR(16)) AS new_status, CAST(NULL AS DECIMAL(18,2)) AS new_amount
    FROM transactions_before
    UNION ALL
    SELECT transaction_id, CAST(NULL AS VARCHAR(16)) AS old_status, CAST(NULL AS DECIMAL(18,2)) AS old_amount,
        status AS new_status, total_amount AS new_amount
    FROM fact_transactions
    WHERE transaction_id IN (SELECT transaction_id FROM transactions_before)
     OR transaction_id IN (SELECT transaction_id FROM staged_transactions)
) AS changes
GROUP BY transaction_id
HAVING COALESCE(SUM(new_amount), 0) - COALESCE(SUM(old_amount), 0) <> 0
ORDER BY ABS(COALESCE(SUM(new_amount), 0) - COALESCE(SUM(old_amount), 0)) DESC, transaction_id
LIMIT 10;

SELECT DISTINCT waiting_rows.bucket, waiting_rows.drop_key, waiting_rows.version_id FROM waiting_rows
WHERE waiting_rows.load_id = %s
 AND (waiting_rows.customer_id IS NULL OR waiting_rows.customer_id IN (SELECT customer_id FROM dim_customers))
 AND (waiting_rows.product_id IS NULL OR waiting_rows.product_id IN (SELECT product_id FROM dim_products))
ORDER BY 1, 2, 3;

ROLLBACK;
