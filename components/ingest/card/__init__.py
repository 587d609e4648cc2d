"""The data card: pages that show what the photographs are like."""
