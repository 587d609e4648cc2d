"""The formats that steps exchange, a module each."""
