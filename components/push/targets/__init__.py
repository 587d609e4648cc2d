"""The places that models are pushed to, a module each."""
