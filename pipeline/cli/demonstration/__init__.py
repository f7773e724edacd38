"""
What `pipeline demo` plays.

    scanners   processes that read every file of the standard library
    web        a small asyncio web server, and the load on it
    outage     the log directory is away for a while
    acts       who does what when, and who is killed
    tally      what is in the files afterwards, compared with what was accepted
    story      all of it in words

Every number that is shown was measured in this run. What counts as accepted is counted where the producers
cannot take it with them when they are killed: in shared memory, or at the other end of a connection.
"""
