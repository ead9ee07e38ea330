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
    polars_version VARCHAR(32) NOT NULL,
    event VARCHAR(16) DEFAULT 'load' NOT NULL,
    removed BIGINT DEFAULT 0 NOT NULL,
    restored BIGINT DEFAULT 0 NOT NULL
)
DISTSTYLE ALL SORTKEY (committed_at);

CREATE TABLE IF NOT EXISTS transaction_history (
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
    is_superseded BOOLEAN NOT NULL,
    recorded_at TIMESTAMP NOT NULL
)
DISTSTYLE KEY DISTKEY (transaction_id) SORTKEY (transaction_id);

CREATE TABLE IF NOT EXISTS ledger_amounts (
    load_id VARCHAR(16) NOT NULL,
    attempt INTEGER NOT NULL,
    amount_class VARCHAR(64) NOT NULL,
    status VARCHAR(16) NOT NULL,
    is_sale BOOLEAN NOT NULL,
    row_count BIGINT NOT NULL,
    amount DECIMAL(38,2) NOT NULL
)
DISTSTYLE ALL SORTKEY (load_id);

CREATE TABLE IF NOT EXISTS waiting_rows (
    load_id VARCHAR(16) NOT NULL,
    bucket VARCHAR(64) NOT NULL,
    drop_key VARCHAR(1024) NOT NULL,
    version_id VARCHAR(1024) NOT NULL,
    source_line BIGINT NOT NULL,
    customer_id VARCHAR(64),
    product_id VARCHAR(64),
    since TIMESTAMP NOT NULL
)
DISTSTYLE ALL SORTKEY (load_id);

CREATE TABLE IF NOT EXISTS load_lock (
    reason VARCHAR(64) NOT NULL
);

CREATE OR REPLACE PROCEDURE sp_upgrade_load_ledger_3() AS $$
DECLARE
    known INTEGER;
BEGIN
    SELECT INTO known COUNT(*) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = pg_attribute.attrelid
    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_namespace.nspname = 'public' AND pg_class.relname = 'load_ledger'
     AND pg_attribute.attname = 'event';
    IF known = 0 THEN
        ALTER TABLE load_ledger ADD COLUMN event VARCHAR(16) DEFAULT 'load' NOT NULL;
    END IF;
    SELECT INTO known COUNT(*) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = pg_attribute.attrelid
    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_namespace.nspname = 'public' AND pg_class.relname = 'load_ledger'
     AND pg_attribute.attname = 'removed';
    IF known = 0 THEN
        ALTER TABLE load_ledger ADD COLUMN removed BIGINT DEFAULT 0 NOT NULL;
    END IF;
    SELECT INTO known COUNT(*) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = pg_attribute.attrelid
    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_namespace.nspname = 'public' AND pg_class.relname = 'load_ledger'
     AND pg_attribute.attname = 'restored';
    IF known = 0 THEN
        ALTER TABLE load_ledger ADD COLUMN restored BIGINT DEFAULT 0 NOT NULL;
    END IF;
END;
$$ LANGUAGE plpgsql;

CALL sp_upgrade_load_ledger_3();

INSERT INTO ledger_amounts (load_id, attempt, amount_class, status, is_sale, row_count, amount)
SELECT 'opening', 0, amount_class, status, status IN ('pending', 'processing', 'completed', 'shipped', 'delivered'), COUNT(*), SUM(total_amount)
FROM fact_transactions
WHERE NOT EXISTS (SELECT 1 FROM ledger_amounts)
GROUP BY amount_class, status;

INSERT INTO transaction_history (transaction_id, customer_id, product_id, quantity, transaction_date, status, unit_price, total_amount, amount_class, product_name, category, supplier_id, membership_level, event_precedence, drop_precedence, source_line, load_id, source_uri, is_superseded, recorded_at)
SELECT fact_transactions.transaction_id, fact_transactions.customer_id, fact_transactions.product_id, fact_transactions.quantity, fact_transactions.transaction_date, fact_transactions.status, fact_transactions.unit_price, fact_transactions.total_amount, fact_transactions.amount_class, fact_transactions.product_name, fact_transactions.category, fact_transactions.supplier_id, fact_transactions.membership_level, fact_transactions.event_precedence, fact_transactions.drop_precedence, fact_transactions.source_line, fact_transactions.load_id, fact_transactions.source_uri, FALSE, GETDATE()
FROM fact_transactions
LEFT JOIN transaction_history ON transaction_history.transaction_id = fact_transactions.transaction_id
 AND transaction_history.event_precedence = fact_transactions.event_precedence
 AND transaction_history.drop_precedence = fact_transactions.drop_precedence
 AND transaction_history.source_line = fact_transactions.source_line
WHERE transaction_history.transaction_id IS NULL;

UPDATE fact_transactions
SET event_precedence = event_precedence - MOD(MOD(event_precedence, 16) + 16, 16) + CASE status
    WHEN 'pending' THEN 0
    WHEN 'processing' THEN 1
    WHEN 'completed' THEN 2
    WHEN 'shipped' THEN 3
    WHEN 'delivered' THEN 4
    WHEN 'cancelled' THEN 5
    WHEN 'refunded' THEN 6
    ELSE MOD(MOD(event_precedence, 16) + 16, 16)
END
WHERE MOD(MOD(event_precedence, 16) + 16, 16) <> CASE status
    WHEN 'pending' THEN 0
    WHEN 'processing' THEN 1
    WHEN 'completed' THEN 2
    WHEN 'shipped' THEN 3
    WHEN 'delivered' THEN 4
    WHEN 'cancelled' THEN 5
    WHEN 'refunded' THEN 6
    ELSE MOD(MOD(event_precedence, 16) + 16, 16)
END;

UPDATE transaction_history
SET event_precedence = event_precedence - MOD(MOD(event_precedence, 16) + 16, 16) + CASE status
    WHEN 'pending' THEN 0
    WHEN 'processing' THEN 1
    WHEN 'completed' THEN 2
    WHEN 'shipped' THEN 3
    WHEN 'delivered' THEN 4
    WHEN 'cancelled' THEN 5
    WHEN 'refunded' THEN 6
    ELSE MOD(MOD(event_precedence, 16) + 16, 16)
END
WHERE MOD(MOD(event_precedence, 16) + 16, 16) <> CASE status
    WHEN 'pending' THEN 0
    WHEN 'processing' THEN 1
    WHEN 'completed' THEN 2
    WHEN 'shipped' THEN 3
    WHEN 'delivered' THEN 4
    WHEN 'cancelled' THEN 5
    WHEN 'refunded' THEN 6
    ELSE MOD(MOD(event_precedence, 16) + 16, 16)
END;
