"""What one client may take, and who may ask."""
