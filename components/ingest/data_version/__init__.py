"""What a cluster's cache of the ingest step goes by."""
