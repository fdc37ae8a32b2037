#!/bin/sh
# status.sh JOB prints "running", "success" or "failed". If the state is not known (the controller is down), the job counts as running.
said=$(scontrol --oneliner show job "$1" 2>&1)
case "$said" in
  *"Invalid job id"*) echo failed ;;  # ended so long ago that Slurm has forgotten it
  *JobState=COMPLETED*) echo success ;;
  *JobState=FAILED* | *JobState=CANCELLED* | *JobState=TIMEOUT* | *JobState=NODE_FAIL* | *JobState=OUT_OF_MEMORY* | *JobState=BOOT_FAIL* | *JobState=DEADLINE* | *JobState=PREEMPTED* | *JobState=REVOKED*) echo failed ;;
  *) echo running ;;
esac
