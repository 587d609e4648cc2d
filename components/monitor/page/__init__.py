"""What people see of a model that is watched: a page, a live page, and Prometheus' metrics."""
