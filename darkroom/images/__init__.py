"""Image files: checked, decoded and measured, as ingest and batch prediction do."""
