#!/bin/sh
# status.sh JOB: "running", "success" or "failed". A controller that does not answer is asked again for a minute.
for _ in 1 2 3 4 5 6 7; do
  state=$(scontrol --oneliner show job "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p')
  [ -n "$state" ] && break
  sleep 10
done
case "$state" in
  COMPLETED) echo success ;;
  PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED | RESIZING | STAGE_OUT | PREEMPTED | REQUEUE_HOLD | SPECIAL_EXIT) echo running ;;
  *) echo failed ;;
esac
