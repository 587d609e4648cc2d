"""Recurring runs: on a cluster, by systemd or by cron."""
