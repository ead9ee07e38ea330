UNLOAD ('SELECT product_id, product_name, category, price, supplier_id FROM dim_products')
TO 's3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/dim_products/'
IAM_ROLE 'COPY_ROLE_ARN'
FORMAT AS PARQUET
PARALLEL OFF;

COMMIT;

UNLOAD ('SELECT customer_id, membership_level FROM dim_customers')
TO 's3://WORK_BUCKET/staging/LOAD_ID/ATTEMPT/dim_customers/'
IAM_ROLE 'COPY_ROLE_ARN'
FORMAT AS PARQUET
PARALLEL OFF;

COMMIT;
