"""
The queue: a multiprocessing queue whose memory is a file.

Constraints
    - Any number of producer processes, one writer. No lock is shared between processes: a producer that is
      killed at any instruction harms only the record whose `emit()` had not returned, and nobody else at all.
    - Once `append()` has returned a number, the record survives the death of every process, and is delivered
      once.
    - The producer never waits for a process, starts no thread, holds no descriptor of the workers, and an
      error of its disk or of /dev/shm is a decision of the policy and never an exception, a SIGBUS or a
      frozen interpreter.

Why not `multiprocessing.Queue`: its feeder thread keeps records on the producer's heap, and a process that is
killed while it holds the pipe's lock silences all others for good. Why not one `write(2)` a record: every
call gives up the GIL, and with one busy thread beside it that costs 5 ms at p99; a store into mapped memory
keeps the GIL.

Lanes
    Every producer process owns a *lane*: a directory with an `alive` file, whose record lock is the
    producer's life, a `position` file that the writer keeps, and a chain of *segments*, each of one period::

        lanes/8k3v…/alive           lock, state byte, drop counters, pid
        lanes/8k3v…/position        written, durable
        lanes/8k3v…/00000001.taken  the writer has begun to read it
        lanes/8k3v…/00000002.seg    succeeded: its producer has gone on to the next; it can be dropped
        lanes/8k3v…/00000003.seg    open

    A segment lives in memory (`/dev/shm`, mapped, preallocated) or on disk (`write(2)`, never mapped); the
    next one may live elsewhere. The bytes are in `layout`:

      0        8         12      16      24             32      40       72         88   128
      +--------+---------+-------+-------+--------------+-------+--------+----------+----+----------------------+
      | magic  | version | place | head  | first_number | state | period | producer | 0… | records, plain
      JSONL |
      +--------+---------+-------+-------+--------------+-------+--------+----------+----+----------------------+

Append (`fastpath`, `appender`)
    Body first, then the head: `records << 32 | end` in one aligned 8-byte store. Number and place of the next
    record are both derived from the head, so whatever interrupts an append leaves either the record with its
    number, or neither. An append inside an append (signal handler, `__del__`) finds the lane busy and goes to
    another lane of the process.

Tail (`tailer`, `lanes`)
    The writer reads heads and slices with `pread(2)`. A segment is final once its successor exists (that is
    seen first, then the head is read again) or its producer is dead. It keeps a descriptor on every segment
    that is not released.

Release
    data → fsync of the file → of its directory → positions → checkpoint → unlink. The last segment of a lane
    stays until its end has been told in the stream.

Room (`room`, `dropping`)
    At the quota the policy decides. Under `drop_oldest` whoever needs room puts a stub in the place of the
    oldest segment that is final and not taken, of any lane, with one rename(2); the stub keeps the critical
    records. What is taken is never dropped, and the writer takes a segment after it has found where to write
    it, right before the intent: an outage pins one batch. The pipeline's own segments, and copies of what a
    person removed, are born taken.

End
    The lock is free: nothing can be added any more. The state byte tells a normal end from a death. A process
    that lost its lock by closing all descriptors looks at its lane once a second, so such a lane is given
    two.

Invariants, each with the test that would fail first
    Q1   A record is readable only when its head is stored; body before head.    crash/test_fail_points.py
    Q2   Numbers of a producer are 1, 2, 3 … whatever raises, kills or forks.    unit/test_appender.py
    Q3   An append inside an append takes another lane.                          integration/test_processes.py
    Q4   A segment holds one period.                                             unit/test_appender.py
    Q5   A successor exists before its predecessor is marked.                    property/test_queue_model.py
    Q6   A full /dev/shm or disk is a refusal at creation, never a SIGBUS.
    integration/test_queue_faults.py Q7   The last 5 % of the quota take critical records only.
    integration/test_policies.py Q8   A lane with a held lock is never ended, one with a free lock always.
    integration/test_processes.py Q9   A forked child never writes to what it inherited.
    integration/test_processes.py Q10  What was found once survives `rm -r` of its directory.
    crash/test_removed_directories.py Q11  A segment is unlinked only when all of it is durable.
    crash/test_sync_order.py Q12  A lane of an unknown version is kept, whole. integration/test_recovery.py

The invariants of dropping are in `dropping`.

Changing a number in `layout` changes the format: raise its VERSION.
"""
