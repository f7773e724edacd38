"""What the pipeline says of itself: reasons, one snapshot, and its Prometheus text."""
