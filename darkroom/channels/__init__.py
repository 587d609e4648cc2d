"""The channels by which people are told something: a webhook, Slack, e-mail."""
