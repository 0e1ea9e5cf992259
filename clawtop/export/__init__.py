"""What a state directory looks like to Prometheus: metrics, alert rules and a dashboard for Grafana."""
