BEGIN;

LOCK fact_transactions;

SET statement_timeout TO 1800000;

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

SELECT load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, job_version, polars_version FROM load_ledger WHERE load_id = %s;

INSERT INTO load_ledger (load_id, attempt, source_uri, version_id, etag, bytes, partition_day, uploaded_at, rows_read, inserted, updated, unchanged, stale, duplicate, rejected, staged_amount, started_at, committed_at, job_version, polars_version)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, GETDATE(), %s, %s);

COMMIT;
