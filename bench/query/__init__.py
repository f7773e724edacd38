"""What finding records costs, beside grep, ripgrep, jq, DuckDB, polars and lnav."""
