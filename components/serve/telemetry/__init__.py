"""What a server says of its requests: records, access log, traces."""
