#!/bin/bash
# slurm-on-one-host.sh install: Debian's Slurm, where there is none.
# slurm-on-one-host.sh start|stop DIR: a Slurm of three nodes on this machine, for tests; n2 and n3 have a GPU, a counter only.
# Needs no privileges and no systemd. To use it: export SLURM_CONF=DIR/slurm.conf PATH=DIR/bin:$PATH
# PORT is the first of five, 16817 unless given; clusters whose ports are ten apart have no job number in common.
# What is one node's is gone when its slurmd and the processes of its jobs are; files and processes are shared by all.
set -euo pipefail
command=${1:-} dir=$(realpath -m "${2:-.}") port=${PORT:-16817}
host=$(hostname -s) me=$(id -un) PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF=$dir/slurm.conf

idle() { [ "$(sinfo --noheader --Node --partition main --format %T 2>/dev/null | grep -c '^idle$')" = 3 ]; }

alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

case $command in
install)
  type -P slurmctld slurmd srun munged mungekey > /dev/null && exit
  [ "$(id -u)" = 0 ] && type -P apt-get > /dev/null || {
    echo "Error: Slurm (slurmctld, slurmd, srun) is not installed; as root, on Debian or Ubuntu, this would do it" >&2
    exit 1
  }
  if [ ! -e /usr/sbin/policy-rc.d ]; then  # its services are not to be started
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge;;
start)
  mkdir -p "$dir"/{bin,munge,state,log,run,spool/n1,spool/n2,spool/n3}
  # The executor's job steps are started without SLURM_CONF in their environment.
  printf '#!/bin/sh\nexport SLURM_CONF="%s"\nexec %s "$@"\n' "$SLURM_CONF" "$(type -P srun)" > "$dir/bin/srun"
  chmod +x "$dir/bin/srun"
  printf '%s\n' AutoDetect=off "NodeName=n[2-3] Name=gpu File=/dev/null" > "$dir/gres.conf"
  cat > "$dir/slurm.conf" <<CONF
ClusterName=one-host
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/run/munge.socket,cred_expire=20
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
FirstJobId=$((port * 100))
SchedulerParameters=batch_sched_delay=0,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
MinJobAge=3600
KillWait=5
SlurmdTimeout=20
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=4 RealMemory=16000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 3)) CPUs=4 RealMemory=16000 Gres=gpu:1 State=UNKNOWN
NodeName=n3 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 4)) CPUs=4 RealMemory=16000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=n[1-3] Default=YES LLN=YES MaxTime=600 DefaultTime=10 State=UP
CONF
  # Whoever reaches the ports must not be able to run jobs: a key of this cluster's own.
  chmod 700 "$dir/munge"
  [ -s "$dir/munge/key" ] || mungekey --create --keyfile="$dir/munge/key"
  # By force: others need not reach the socket, whose folder may be private.
  munged --force --key-file="$dir/munge/key" --socket="$dir/run/munge.socket" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed"
  slurmctld -c
  for node in n1 n2 n3; do slurmd -N $node; done
  for _ in {1..150}; do idle && exit; sleep 0.2; done
  tail -n 5 "$dir"/log/*.log >&2
  exit 1;;
stop)
  scancel --user "$me" 2>/dev/null || true
  for _ in {1..50}; do [ -n "$(squeue --noheader 2>/dev/null)" ] || break; sleep 0.2; done
  for file in "$dir"/run/slurmd.*.pid "$dir"/run/slurmctld.pid "$dir"/run/munged.pid; do
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    kill "$pid" 2>/dev/null || true
    for _ in {1..50}; do alive "$pid" || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
  # Without control groups Slurm knows the processes of a job by their parents, and a few outlive it.
  for process in /proc/[0-9]*; do
    if grep -qs "^SLURM_WORKING_CLUSTER=one-host:127.0.0.1:$port:" <(tr '\0' '\n' 2>/dev/null < "$process/environ"); then
      kill -9 "${process#/proc/}" 2>/dev/null || true
    fi
  done;;
*)
  echo "slurm-on-one-host.sh: install, start or stop, not $command" >&2
  exit 2;;
esac
