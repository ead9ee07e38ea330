SET statement_timeout TO 1800000;

CREATE TEMP TABLE staged_waiting (
    load_id VARCHAR(16) NOT NULL,
    bucket VARCHAR(64) NOT NULL,
    drop_key VARCHAR(1024) NOT NULL,
    version_id VARCHAR(1024) NOT NULL,
    source_line BIGINT NOT NULL,
    customer_id VARCHAR(64),
    product_id VARCHAR(64)
);

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

DELETE FROM waiting_rows WHERE load_id = %s;

INSERT INTO waiting_rows (load_id, bucket, drop_key, version_id, source_line, customer_id, product_id, since)
SELECT load_id, bucket, drop_key, version_id, source_line, customer_id, product_id, GETDATE() FROM staged_waiting;

SELECT DISTINCT waiting_rows.bucket, waiting_rows.drop_key, waiting_rows.version_id FROM waiting_rows
WHERE waiting_rows.load_id = %s
 AND (waiting_rows.customer_id IS NULL OR waiting_rows.customer_id IN (SELECT customer_id FROM dim_customers))
 AND (waiting_rows.product_id IS NULL OR waiting_rows.product_id IN (SELECT product_id FROM dim_products))
ORDER BY 1, 2, 3;

COMMIT;
