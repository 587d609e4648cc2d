"""Windows: what is counted and measured of the answers of an hour, a day, a week or N of them."""
