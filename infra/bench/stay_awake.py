"""Keeps a core from sleeping, in time that nobody else wants: `python -m infra.bench.stay_awake`, pinned to that core.

A virtual core that halts is woken by its host, which on a busy host takes longer than a router needs for a request; a
request through a router wakes a core four times. Any other program preempts this one at once.
"""

import os

os.nice(19)
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True:
    pass
