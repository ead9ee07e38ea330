SELECT source_uri, uploaded_at FROM load_ledger
WHERE event = 'load' AND etag = %s AND bytes = %s AND load_id <> %s
ORDER BY uploaded_at DESC
LIMIT 1;

COMMIT;

SELECT load_ledger.partition_day, load_ledger.rows_read, load_ledger.rejected,
    COALESCE(SUM(ledger_amounts.amount), 0) AS change
FROM load_ledger
LEFT JOIN ledger_amounts ON ledger_amounts.load_id = load_ledger.load_id
 AND ledger_amounts.attempt = load_ledger.attempt
WHERE load_ledger.event = 'load'
 AND load_ledger.partition_day >= %s
 AND load_ledger.partition_day < %s
GROUP BY load_ledger.load_id, load_ledger.partition_day, load_ledger.rows_read,
    load_ledger.rejected;

COMMIT;
