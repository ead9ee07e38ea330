SET statement_timeout TO 1800000;

CREATE TEMP TABLE staged_products (
    product_id VARCHAR(64) NOT NULL,
    product_name VARCHAR(256),
    category VARCHAR(128),
    price DECIMAL(18,4) NOT NULL,
    supplier_id VARCHAR(64),
    drop_precedence VARCHAR(64) NOT NULL,
    source_line BIGINT NOT NULL,
    load_id VARCHAR(16) NOT NULL,
    source_uri VARCHAR(1200) NOT NULL
);

COPY staged_products (product_id, product_name, category, price, supplier_id, drop_precedence, source_line, load_id, source_uri)
FROM 's3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/manifest.json'
IAM_ROLE 'COPY_ROLE_ARN'
FORMAT AS PARQUET
MANIFEST
STATUPDATE OFF;

SELECT COUNT(*) FROM staged_products;

SET statement_timeout TO 300000;

COMMIT;

BEGIN;

LOCK load_lock;

SET statement_timeout TO 1800000;

SELECT
    COUNT(*) AS staged,
    COUNT(DISTINCT product_id) AS ids,
    COALESCE(SUM(CASE WHEN outcome = 'inserted' THEN 1 ELSE 0 END), 0) AS inserted,
    COALESCE(SUM(CASE WHEN outcome = 'updated' THEN 1 ELSE 0 END), 0) AS updated,
    COALESCE(SUM(CASE WHEN outcome = 'unchanged' THEN 1 ELSE 0 END), 0) AS unchanged,
    COALESCE(SUM(CASE WHEN outcome = 'stale' THEN 1 ELSE 0 END), 0) AS stale
FROM (
    SELECT
        staged_products.product_id,
        CASE
            WHEN dim_products.product_id IS NULL THEN 'inserted'
            WHEN staged_products.drop_precedence < dim_products.drop_precedence THEN 'stale'
            WHEN COALESCE(staged_products.product_name, '') <> COALESCE(dim_products.product_name, '')
             OR COALESCE(staged_products.category, '') <> COALESCE(dim_products.category, '')
             OR staged_products.price <> dim_products.price
             OR COALESCE(staged_products.supplier_id, '') <> COALESCE(dim_products.supplier_id, '') THEN 'updated'
            ELSE 'unchanged'
        END AS outcome
    FROM staged_products
    LEFT JOIN dim_products ON staged_products.product_id = dim_products.product_id
) AS outcomes;

DELETE FROM staged_products
USING dim_products
WHERE staged_products.product_id = dim_products.product_id
 AND staged_products.drop_precedence < dim_products.drop_precedence;

MERGE INTO dim_products
USING staged_products
ON dim_products.product_id = staged_products.product_id
WHEN MATCHED THEN UPDATE SET
    product_name = staged_products.product_name,
    category = staged_products.category,
    price = staged_products.price,
    supplier_id = staged_products.supplier_id,
    drop_precedence = staged_products.drop_precedence,
    source_line = staged_products.source_line,
    load_id = staged_products.load_id,
    source_uri = staged_products.source_uri,
    loaded_at = GETDATE(),
    updated_at = CASE
        WHEN COALESCE(staged_products.product_name, '') <> COALESCE(dim_products.product_name, '')
         OR COALESCE(staged_products.category, '') <> COALESCE(dim_products.category, '')
         OR staged_products.price <> dim_products.price
         OR COALESCE(staged_products.supplier_id, '') <> COALESCE(dim_products.supplier_id, '') THEN GETDATE()
        ELSE dim_products.updated_at
    END
WHEN NOT MATCHED THEN INSERT (product_id, product_name, category, price, supplier_id, drop_precedence, source_line, load_id, source_uri, loaded_at, updated_at)
VALUES (staged_products.product_id, staged_products.product_name, staged_products.category, staged_products.price, staged_products.supplier_id, staged_products.drop_precedence, staged_products.source_line, staged_products.load_id, staged_products.source_uri, GETDATE(), GETDATE());

SELECT COUNT(*) FROM dim_products
JOIN staged_products ON staged_products.product_id = dim_products.product_id;

SELECT DISTINCT waiting_rows.bucket, waiting_rows.drop_key, waiting_rows.version_id FROM waiting_rows
JOIN staged_products ON staged_products.product_id = waiting_rows.product_id
WHERE waiting_rows.since >= %s
 AND (waiting_rows.customer_id IS NULL OR waiting_rows.customer_id IN (SELECT customer_id FROM dim_customers))
 AND (waiting_rows.product_id IS NULL OR waiting_rows.product_id IN (SELECT product_id FROM dim_products))
ORDER BY 1, 2, 3;

COMMIT;
