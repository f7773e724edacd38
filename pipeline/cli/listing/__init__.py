"""
What `pipeline log` prints: records as a table, as JSON, as statistics, as charts.

Everything here takes an iterable of records and gives an iterable of lines, so that a long answer begins to
appear before it is complete, and no answer has to fit into memory.

What holds for each of them
    L1  Nothing that a record holds reaches a terminal as a command: not a control character, nor one that is
        not seen. tests/unit/test_log_hostile_records.py
    L2  JSON that goes to a file or a pipe is the record's own line, byte for byte.
                                            tests/unit/test_cli_log.py
    L3  Memory does not grow with the number of records that are read, only with what is shown of them at
        once.                               tests/unit/test_listing_statistics.py
"""
