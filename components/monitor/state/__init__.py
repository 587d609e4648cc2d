"""The monitor's database: answers, labels and windows, in one file of SQLite."""
