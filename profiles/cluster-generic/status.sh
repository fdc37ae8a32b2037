#!/bin/sh
# status.sh JOB: "running", "success" or "failed". What cannot be told, as when the controller is down, counts as running.
said=$(scontrol --oneliner show job "$1" 2>&1)
case "$said" in
  *"Invalid job id"*) echo failed ;;  # over for so long that Slurm has forgotten it
  *JobState=COMPLETED*) echo success ;;
  *JobState=FAILED* | *JobState=CANCELLED* | *JobState=TIMEOUT* | *JobState=NODE_FAIL* | *JobState=OUT_OF_MEMORY* | *JobState=BOOT_FAIL* | *JobState=DEADLINE* | *JobState=PREEMPTED* | *JobState=REVOKED*) echo failed ;;
  *) echo running ;;
esac
