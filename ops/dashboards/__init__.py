"""What shows how an installation does: the page, Prometheus rules, Grafana."""
