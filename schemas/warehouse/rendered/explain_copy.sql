SELECT file_name, column_name, error_message FROM sys_load_error_detail
WHERE session_id = pg_backend_pid()
ORDER BY start_time DESC
LIMIT 1;
