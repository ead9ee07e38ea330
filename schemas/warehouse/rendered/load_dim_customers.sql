SET statement_timeout TO 1800000;

CREATE TEMP TABLE staged_customers (
    customer_id VARCHAR(64) NOT NULL,
    first_name VARCHAR(128),
    last_name VARCHAR(128),
    email VARCHAR(256),
    membership_level VARCHAR(64),
    drop_precedence VARCHAR(64) NOT NULL,
    source_line BIGINT NOT NULL,
    load_id VARCHAR(16) NOT NULL,
    source_uri VARCHAR(1200) NOT NULL
);

COPY staged_customers (customer_id, first_name, last_name, email, membership_level, drop_precedence, source_line, load_id, source_uri)
FROM 's3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/manifest.json'
IAM_ROLE 'COPY_ROLE_ARN'
FORMAT AS PARQUET
MANIFEST
STATUPDATE OFF;

SELECT COUNT(*) FROM staged_customers;

SET statement_timeout TO 300000;

COMMIT;

BEGIN;

LOCK load_lock;

SET statement_timeout TO 1800000;

SELECT
    COUNT(*) AS staged,
    COUNT(DISTINCT customer_id) AS ids,
    COALESCE(SUM(CASE WHEN outcome = 'inserted' THEN 1 ELSE 0 END), 0) AS inserted,
    COALESCE(SUM(CASE WHEN outcome = 'updated' THEN 1 ELSE 0 END), 0) AS updated,
    COALESCE(SUM(CASE WHEN outcome = 'unchanged' THEN 1 ELSE 0 END), 0) AS unchanged,
    COALESCE(SUM(CASE WHEN outcome = 'stale' THEN 1 ELSE 0 END), 0) AS stale
FROM (
    SELECT
        staged_customers.customer_id,
        CASE
            WHEN dim_customers.customer_id IS NULL THEN 'inserted'
            WHEN staged_customers.drop_precedence < dim_customers.drop_precedence THEN 'stale'
            WHEN COALESCE(staged_customers.first_name, '') <> COALESCE(dim_customers.first_name, '')
             OR COALESCE(staged_customers.last_name, '') <> COALESCE(dim_customers.last_name, '')
             OR COALESCE(staged_customers.email, '') <> COALESCE(dim_customers.email, '')
             OR COALESCE(staged_customers.membership_level, '') <> COALESCE(dim_customers.membership_level, '') THEN 'updated'
            ELSE 'unchanged'
        END AS outcome
    FROM staged_customers
    LEFT JOIN dim_customers ON staged_customers.customer_id = dim_customers.customer_id
) AS outcomes;

DELETE FROM staged_customers
USING dim_customers
WHERE staged_customers.customer_id = dim_customers.customer_id
 AND staged_customers.drop_precedence < dim_customers.drop_precedence;

MERGE INTO dim_customers
USING staged_customers
ON dim_customers.customer_id = staged_customers.customer_id
WHEN MATCHED THEN UPDATE SET
    first_name = staged_customers.first_name,
    last_name = staged_customers.last_name,
    email = staged_customers.email,
    membership_level = staged_customers.membership_level,
    drop_precedence = staged_customers.drop_precedence,
    source_line = staged_customers.source_line,
    load_id = staged_customers.load_id,
    source_uri = staged_customers.source_uri,
    loaded_at = GETDATE(),
    updated_at = CASE
        WHEN COALESCE(staged_customers.first_name, '') <> COALESCE(dim_customers.first_name, '')
         OR COALESCE(staged_customers.last_name, '') <> COALESCE(dim_customers.last_name, '')
         OR COALESCE(staged_customers.email, '') <> COALESCE(dim_customers.email, '')
         OR COALESCE(staged_customers.membership_level, '') <> COALESCE(dim_customers.membership_level, '') THEN GETDATE()
        ELSE dim_customers.updated_at
    END
WHEN NOT MATCHED THEN INSERT (customer_id, first_name, last_name, email, membership_level, drop_precedence, source_line, load_id, source_uri, loaded_at, updated_at)
VALUES (staged_customers.customer_id, staged_customers.first_name, staged_customers.last_name, staged_customers.email, staged_customers.membership_level, staged_customers.drop_precedence, staged_customers.source_line, staged_customers.load_id, staged_customers.source_uri, GETDATE(), GETDATE());

SELECT COUNT(*) FROM dim_customers
JOIN staged_customers ON staged_customers.customer_id = dim_customers.customer_id;

SELECT DISTINCT waiting_rows.bucket, waiting_rows.drop_key, waiting_rows.version_id FROM waiting_rows
JOIN staged_customers ON staged_customers.customer_id = waiting_rows.customer_id
WHERE waiting_rows.since >= %s
 AND (waiting_rows.customer_id IS NULL OR waiting_rows.customer_id IN (SELECT customer_id FROM dim_customers))
 AND (waiting_rows.product_id IS NULL OR waiting_rows.product_id IN (SELECT product_id FROM dim_products))
ORDER BY 1, 2, 3;

COMMIT;
