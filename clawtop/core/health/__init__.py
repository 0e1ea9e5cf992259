"""Whether turns succeed: one judgement for headline, exit code, JSON, title, notices and metrics."""
