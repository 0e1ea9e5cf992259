"""A state directory for Prometheus: metrics, alert rules and a Grafana dashboard."""
