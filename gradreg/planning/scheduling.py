"""Snakemake's scheduler, kept from looking at the same jobs again and again."""

import threading
from contextlib import suppress
from typing import Any


def mend_snakemake() -> None:
    """Mend the scheduler of the Snakemake that runs, as below; a version that has none of the name stays as it is."""
    with suppress(ImportError):
        from snakemake.scheduling.job_scheduler import JobScheduler

        one_reevaluation_at_a_time(JobScheduler)


def one_reevaluation_at_a_time(scheduler: Any) -> None:
    """Make a class of schedulers start no timer while another runs.

    After each look at the waiting jobs, Snakemake (9.27) starts a timer for the next one, so that a limit on jobs per
    timespan does not hold a job back for ever. Each job that ends is a look too, and thus the begin of one more endless
    chain of timers: after 200 jobs they took 40 % of a core (its issue 2967). One timer serves all.
    """
    if not hasattr(scheduler, "_schedule_reevalutation"):  # its own spelling; a later version may do otherwise
        return

    def schedule(self: Any, delay: float) -> None:
        pending = getattr(self, "_pending_reevaluation", None)
        if pending is not None and not pending.finished.is_set():
            return

        def look() -> None:
            timer.finished.set()  # the look that follows starts the next
            self._open_jobs.release()

        timer = threading.Timer(delay, look)
        timer.daemon = True  # the end of a run does not wait for it
        self._pending_reevaluation = timer
        timer.start()

    scheduler._schedule_reevalutation = schedule
