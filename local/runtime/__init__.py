"""The services that act: events are routed, functions are invoked, Glue runs are started and ended."""
