"""From lanes to files, exactly once: the control page, the one append primitive, positions, recovery."""
