"""The only place that touches clock, files, locks and processes, so that tests can stand in for them."""
