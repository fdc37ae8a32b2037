# Read before each job's command.

export MPLBACKEND=agg  # that of a notebook may not be there
export GRADREG_SNAKEMAKE=$PPID  # when this process is gone, the job ends as well

# The Python that runs Snakemake, whatever is first on the path.
python() {
  "$GRADREG_PYTHON" "$@"
}

# ``run NAME ARGUMENTS`` runs a script of the project, wherever the results are.
run() {
  local name="$1"
  shift
  python "$GRADREG_CODE/workflow/scripts/$name" "$@"
}

# ``logged FILE COMMAND`` keeps what a command prints in FILE, and shows its end when the command fails: the last line where
# a signal ended it.
logged() {
  local log="$1" code=0
  shift
  trap : TERM INT  # the command gets the signal as well; its last words are still to be shown
  "$@" > "$log" 2>&1 || code=$?
  [ $code = 0 ] && return
  if [ -z "${GRADREG_SCREEN:-}" ]; then  # else the screen shows it
    tail -n $((code > 128 ? 1 : 5)) "$log" >&2
  fi
  if [ $code = 137 ]; then
    local told="Error: killed (SIGKILL); where memory is short, run fewer jobs at a time (--cores)"
    echo "$told" | tee -a "$log" >&2 || true
  fi
  return $code
}
