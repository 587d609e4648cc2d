"""Whether the answers are still right: with labels that come late, and without any."""
