"""What a model answered, row by row, from a server's samples and from batch predictions."""
