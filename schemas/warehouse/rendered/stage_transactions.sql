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

COPY staged_transactions (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri)
FROM 's3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/manifest.json'
IAM_ROLE 'COPY_ROLE_ARN'
FORMAT AS PARQUET
MANIFEST
STATUPDATE OFF;

SELECT COUNT(*) FROM staged_transactions;

SET statement_timeout TO 300000;

COMMIT;
