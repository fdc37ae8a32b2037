# Read before each job's command.

# ``logged FILE COMMAND`` keeps what a command prints in FILE, and shows its end when the command fails: the last line where
# a signal ended it.
logged() {
  local log="$1" code=0
  shift
  trap : TERM INT  # what the command, which gets the signal as well, says to it is still to be shown
  "$@" > "$log" 2>&1 || code=$?
  [ $code = 0 ] && return
  tail -n $((code > 128 ? 1 : 5)) "$log" >&2
  if [ $code = 137 ]; then
    echo "Error: killed (SIGKILL); where memory is short, run fewer jobs at a time (--cores)" >&2
  fi
  return $code
}

# ``on_gpu NUMBER COMMAND``: where NUMBER is 1 and several GPUs are visible, the command sees the one on which the fewest of
# this user's jobs run. A place on a GPU is a locked file: the kernel frees it, however the job ends.
on_gpu() {
  local number=$1 folder="${TMPDIR:-/tmp}/gradreg-gpus-$(id -u)" gpus="" place gpu lock
  shift
  if [ "$number" = 1 ]; then
    gpus=${CUDA_VISIBLE_DEVICES-$(nvidia-smi --query-gpu=uuid --format=csv,noheader 2> /dev/null | paste -s -d , || true)}
  fi
  if [[ $gpus == *,* ]] && mkdir -p "$folder"; then
    for place in {1..64}; do
      for gpu in ${gpus//,/ }; do
        exec {lock}> "$folder/$gpu.$place"
        if flock --nonblock "$lock"; then
          echo "on GPU $gpu, place $place"
          CUDA_VISIBLE_DEVICES=$gpu "$@"
          return
        fi
        exec {lock}>&-
      done
    done
  fi
  "$@"
}
