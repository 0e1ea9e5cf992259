"""Do turns succeed: one judgement that headline, exit code, JSON, title, notices and metrics share."""
