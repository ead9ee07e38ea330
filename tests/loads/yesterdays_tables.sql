CREATE TABLE IF NOT EXISTS dim_products (
    product_id VARCHAR(64) NOT NULL,
    product_name VARCHAR(256),
    category VARCHAR(128),
    price DECIMAL(18,4) NOT NULL,
    supplier_id VARCHAR(64),
    drop_precedence VARCHAR(64) NOT NULL,
    source_line BIGINT NOT NULL,
    load_id VARCHAR(16) NOT NULL,
    source_uri VARCHAR(1200) NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
)
DISTSTYLE ALL SORTKEY (product_id);

CREATE TABLE IF NOT EXISTS dim_customers (
    customer_id VARCHAR(64) NOT NULL,
    first_name VARCHAR(128),
    last_name VARCHAR(128),
    email VARCHAR(256),
    membership_level VARCHAR(64),
    drop_precedence VARCHAR(64) NOT NULL,
    source_line BIGINT NOT NULL,
    load_id VARCHAR(16) NOT NULL,
    source_uri VARCHAR(1200) NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
)
DISTSTYLE KEY DISTKEY (customer_id) SORTKEY (customer_id);

CREATE TABLE IF NOT EXISTS fact_transactions (
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
    source_uri VARCHAR(1200) NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
)
DISTSTYLE KEY DISTKEY (transaction_id) SORTKEY (transaction_date);

CREATE TABLE IF NOT EXISTS load_ledger (
    load_id VARCHAR(16) NOT NULL,
    attempt INTEGER NOT NULL,
    source_uri VARCHAR(1200) NOT NULL,
    version_id VARCHAR(1024) NOT NULL,
    etag VARCHAR(128) NOT NULL,
    bytes BIGINT NOT NULL,
    partition_day DATE NOT NULL,
    uploaded_at TIMESTAMP NOT NULL,
    rows_read BIGINT NOT NULL,
    inserted BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    stale BIGINT NOT NULL,
    duplicate BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    staged_amount DECIMAL(38,2) NOT NULL,
    started_at TIMESTAMP NOT NULL,
    committed_at TIMESTAMP NOT NULL,
    job_version VARCHAR(32) NOT NULL,
    polars_version VARCHAR(32) NOT NULL
)
DISTSTYLE ALL SORTKEY (committed_at);
