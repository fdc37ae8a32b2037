"""Snakemake's scheduler looks at the waiting jobs as often as it must, and no more often."""

import threading
import time

from snakemake.scheduling.job_scheduler import JobScheduler

from gradreg.planning import scheduling


def test_many_looks_leave_one_timer_and_after_it_there_can_be_another():
    class Scheduler(JobScheduler):
        def __init__(self):
            self._open_jobs = threading.Semaphore(0)

    scheduling.one_reevaluation_at_a_time(Scheduler)
    scheduler, before = Scheduler(), threading.active_count()
    for _ in range(2):
        for _ in range(50):
            scheduler._schedule_reevalutation(0.2)
        assert threading.active_count() == before + 1
        assert scheduler._open_jobs.acquire(timeout=5)
        deadline = time.monotonic() + 5
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not scheduler._open_jobs.acquire(blocking=False)


def test_a_scheduler_without_timers_stays_as_it_is():
    class Other:
        pass

    scheduling.one_reevaluation_at_a_time(Other)
    assert not hasattr(Other, "_schedule_reevalutation")


def test_snakemake_still_has_what_is_replaced():
    assert hasattr(JobScheduler, "_schedule_reevalutation")
