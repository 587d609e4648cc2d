"""What a server says of its requests: records, metrics, access log, traces."""
