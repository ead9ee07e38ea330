CREATE OR REPLACE PROCEDURE sp_create_user_once(user_name VARCHAR(256)) AS $$
DECLARE
    users INTEGER;
BEGIN
    SELECT INTO users COUNT(*) FROM pg_user WHERE LOWER(usename) = LOWER(user_name);
    IF users = 0 THEN
        EXECUTE 'CREATE USER ' || QUOTE_IDENT(user_name) || ' PASSWORD DISABLE';
    END IF;
END;
$$ LANGUAGE plpgsql;

CALL sp_create_user_once('IAMR:PROCESS_TRANSACTIONS_ROLE');

CALL sp_create_user_once('IAMR:LOAD_DIMENSIONS_ROLE');

REVOKE CREATE ON SCHEMA public FROM PUBLIC;

GRANT SELECT (product_id, product_name, category, price, supplier_id) ON dim_products TO "IAMR:PROCESS_TRANSACTIONS_ROLE";

GRANT SELECT (customer_id, membership_level) ON dim_customers TO "IAMR:PROCESS_TRANSACTIONS_ROLE";

GRANT SELECT, INSERT, UPDATE, DELETE ON fact_transactions TO "IAMR:PROCESS_TRANSACTIONS_ROLE";

GRANT SELECT, INSERT ON load_ledger TO "IAMR:PROCESS_TRANSACTIONS_ROLE";

GRANT SELECT, INSERT, UPDATE, DELETE ON dim_products, dim_customers TO "IAMR:LOAD_DIMENSIONS_ROLE";
