# shared helpers for these scripts  (source me; bash)
# Pids are recorded as "PID STARTTIME" so a recycled pid is never signalled.
export LC_ALL=C
PY=python3
die() { echo "ERROR: $*" >&2; exit 1; }
log() { echo "[$(basename "$0") $(date +%H:%M:%S)] $*" >&2; }
now_ms() { date +%s%3N; }
absdir() { mkdir -p "$1" && (cd "$1" && pwd -P); }

# free_ports N : N distinct free loopback TCP ports (all held while choosing),
# below the ephemeral range so outgoing connections cannot steal them.
free_ports() {
  $PY - "$1" <<'PYEOF'
import socket,sys,random
n=int(sys.argv[1]); s=[]
try: lo=int(open('/proc/sys/net/ipv4/ip_local_port_range').read().split()[0])
except Exception: lo=32768
while len(s)<n:
    p=random.randrange(10000,max(lo,20000)-1)
    k=socket.socket(); 
    try: k.bind(('127.0.0.1',p)); s.append(k)
    except OSError: k.close()
print(' '.join(str(k.getsockname()[1]) for k in s))
PYEOF
}
pid_start() { # start time (clock ticks) of pid, empty if gone or a zombie
  local st; st=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  st=${st##*) }; set -- $st
  [ "$1" = Z ] && return 0
  echo "${20}"
}
record_pid() { echo "$2 $(pid_start "$2")" > "$1"; } # FILE PID
alive() { # PIDFILE
  local p s; [ -s "$1" ] || return 1
  read -r p s < "$1"; [ -n "$s" ] && [ "$(pid_start "$p")" = "$s" ]
}
pid_of() { local p s; read -r p s < "$1" && echo "$p"; }
# spawn PIDFILE LOGFILE CMD... : detached (own session), pid recorded
spawn() {
  local pf=$1 lf=$2; shift 2
  setsid "$@" >>"$lf" 2>&1 </dev/null &
  local p=$!
  record_pid "$pf" "$p"
}
# stop_pid PIDFILE [TERM_SECONDS] : CONT+TERM, then KILL; removes PIDFILE
stop_pid() {
  local pf=$1 t=${2:-10} i p
  if alive "$pf"; then
    p=$(pid_of "$pf")
    kill -TERM "$p" 2>/dev/null; kill -CONT "$p" 2>/dev/null
    for ((i=0;i<t*20;i++)); do alive "$pf" || break; sleep 0.05; done
    if alive "$pf"; then kill -KILL "$p" 2>/dev/null
      for ((i=0;i<100;i++)); do alive "$pf" || break; sleep 0.05; done; fi
  fi
  rm -f "$pf"
}
# wait_for SECONDS "what" CMD... 
wait_for() {
  local t=$1 what=$2 end; shift 2; end=$(( $(now_ms) + t*1000 ))
  until "$@" >/dev/null 2>&1; do
    [ "$(now_ms)" -lt "$end" ] || { log "timed out waiting for $what"; return 1; }
    sleep 0.1
  done
}
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
rss_kb() { awk '/VmRSS/{print $2}' "/proc/$1/status" 2>/dev/null; }
