"""What people bring: files here and in buckets, and the rows of tables."""
