# Read before each job's command.

# ``on_gpu NUMBER``: where NUMBER is 1 and several GPUs are visible, only that on which the fewest of this user's jobs run is
# visible to what follows. A place on a GPU is a locked file: the kernel frees it, however the job ends.
on_gpu() {
  local folder="${TMPDIR:-/tmp}/gradreg-gpus-$(id -u)" gpus="" gpu file held fewest=-1 place=1 choosing lock
  if [ "$1" = 1 ]; then
    gpus=${CUDA_VISIBLE_DEVICES-$(timeout 20 nvidia-smi --query-gpu=uuid --format=csv,noheader 2> /dev/null | paste -s -d , || true)}
  fi
  if [[ $gpus != *,* ]] || ! type -P flock > /dev/null; then
    return 0
  elif ! { mkdir -p "$folder" && : > "$folder/choosing"; } 2> /dev/null; then
    echo "no GPU is set apart for this job: $folder cannot be written to" >&2
    return 0
  fi
  exec {choosing}> "$folder/choosing"
  flock "$choosing"
  for gpu in ${gpus//,/ }; do
    held=0
    for file in "$folder/$gpu".*; do
      [ ! -e "$file" ] || flock --nonblock "$file" true || held=$((held + 1))
    done
    if [ $fewest = -1 ] || [ $held -lt $fewest ]; then
      fewest=$held
      export CUDA_VISIBLE_DEVICES=$gpu
    fi
  done
  until exec {lock}> "$folder/$CUDA_VISIBLE_DEVICES.$place" && flock --nonblock "$lock"; do
    exec {lock}>&-
    place=$((place + 1))
  done
  exec {choosing}>&-
  ON_GPU="on GPU $CUDA_VISIBLE_DEVICES, place $place"
}

# ``logged FILE COMMAND`` keeps what a command prints in FILE, and shows its end when the command fails: the last line where
# a signal ended it.
logged() {
  local log="$1" code=0
  shift
  trap : TERM INT  # what the command, which gets the signal as well, says to it is still to be shown
  { [ -z "${ON_GPU-}" ] || echo "$ON_GPU"; "$@"; } > "$log" 2>&1 || code=$?
  [ $code = 0 ] && return
  tail -n $((code > 128 ? 1 : 5)) "$log" >&2
  if [ $code = 137 ]; then
    echo "Error: killed (SIGKILL); where memory is short, run fewer jobs at a time (--cores)" >&2
  fi
  return $code
}
