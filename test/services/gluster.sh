#!/bin/bash
# gluster.sh up DIR | down DIR | env DIR | cli DIR ARGS... | brick-pid DIR N | brick-restart DIR
# Own glusterd on a private loopback address, own socket/workdir/logs; 1-brick or replica-N volume.
# env: GLUSTER_ADDR=127.x.y.z (default: free 127.77.x.y; the port is always 24007 -- a whole address per
#      instance, so instances never collide) GLUSTER_REPLICA=1|2|3 GLUSTER_VOL=vol
#      GLUSTER_LOOP=none|ext4|xfs (brick on a loop image: ENOSPC tests)  GLUSTER_SIZE=1G
#      GLUSTER_PING=5 (network.ping-timeout, s)
. "$(dirname "$(readlink -f "$0")")/service.sh"
verb=${1:-}; [ -n "${2:-}" ] || die "usage: $0 up|down|env|cli|brick-pid|brick-restart DIR"
D=$(absdir "$2")
RUN=$(cat "$D/rundir" 2>/dev/null)       # short dir for unix sockets (108-byte limit)
G() { timeout "${T:-60}" gluster --mode=script --log-file="$D/log/cli.log" --glusterd-sock="$RUN/gd.sock" "$@"; }
cfg() { sed -n "s/^$1=//p" "$D/env"; }
print_env() { [ -s "$D/env" ] && cat "$D/env"; alive "$D/glusterd.pid" && { p=$(pid_of "$D/glusterd.pid"); echo "PID_glusterd=$p"; echo "RSS_KB_glusterd=$(rss_kb "$p")"; }
  local i=0 f p; for f in $(ls "$D"/brickpids/* 2>/dev/null); do alive "$f" && { p=$(pid_of "$f"); n=$(basename "$f"); echo "PID_$n=$p"; echo "RSS_KB_$n=$(rss_kb "$p")"; }; done; }
# glusterd spawns bricks and glustershd itself; find them by OUR workdir's pid files
record_children() {
  rm -rf "$D/brickpids"; mkdir -p "$D/brickpids"; local f p n=0
  for f in $(find "$D/grun" -name '*.pid' 2>/dev/null | sort); do
    p=$(cat "$f" 2>/dev/null); [ -n "$p" ] || continue
    # only if that process's command line names our directory
    { tr '\0' ' ' < "/proc/$p/cmdline"; } 2>/dev/null | grep -qF -e "$D" -e "$RUN" || continue
    case $f in *shd*) record_pid "$D/brickpids/shd" "$p";; */glusterd.pid) ;; *) record_pid "$D/brickpids/brick$n" "$p"; n=$((n+1));; esac
  done
}
start_gd() { spawn "$D/glusterd.pid" "$D/log/glusterd.out" glusterd -N --volfile="$D/glusterd.vol" --log-file="$D/log/glusterd.log" --pid-file="$D/glusterd.gpid" --log-level=INFO; }
bricks_online() { # expected count
  [ "$(G volume status "$(cfg GLUSTER_VOLUME)" 2>/dev/null | awk '/^Brick /{w=1} w&&/ Y +[0-9]+ *$/{c++;w=0} END{print c+0}')" = "$1" ]; }
mount_loops() { local i FS; FS=$(cat "$D/loopfs" 2>/dev/null) || return 0; for ((i=0;i<$1;i++)); do mountpoint -q "$D/mnt$i" || mount -o loop "$D/img$i" "$D/mnt$i" || die "mount loop"; done; }
do_up() {
  local t0 i; t0=$(now_ms)
  if [ -e "$D/ready" ] && alive "$D/glusterd.pid"; then record_children; print_env; return 0; fi
  local R=${GLUSTER_REPLICA:-1} VOL=${GLUSTER_VOL:-vol} LOOP=${GLUSTER_LOOP:-none}
  mkdir -p "$D"/{log/bricks,gd,grun,tmp}
  if [ ! -s "$D/env" ]; then
    local A=${GLUSTER_ADDR:-}
    while [ -z "$A" ]; do A=127.77.$((RANDOM%250+1)).$((RANDOM%250+1)); (exec 3<>/dev/tcp/$A/24007) 2>/dev/null && A=; done
    RUN=$(mktemp -d /tmp/gl.XXXXXX); echo "$RUN" > "$D/rundir"
    cat > "$D/glusterd.vol" <<V
volume management
    type mgmt/glusterd
    option working-directory $D/gd
    option run-directory $D/grun
    option logging-directory $D/log
    option glusterd-sockfile $RUN/gd.sock
    option transport-type socket
    option transport.socket.bind-address $A
    option transport.socket.listen-port 24007
    option transport.address-family inet
    option transport.socket.read-fail-log off
    option ping-timeout 0
    option event-threads 1
    option base-port 49152
    option max-port 60999
end-volume
V
    local bricks=() 
    for ((i=0;i<R;i++)); do
      if [ "$LOOP" = none ]; then mkdir -p "$D/brick$i"; bricks+=("$A:$D/brick$i")
      else mkdir -p "$D/mnt$i"; truncate -s "${GLUSTER_SIZE:-1G}" "$D/img$i"
        case $LOOP in xfs) mkfs.xfs -q -f -i size=512 "$D/img$i";; *) mkfs.ext4 -q -F -I 512 "$D/img$i";; esac || die mkfs
        echo "$LOOP" > "$D/loopfs"; mount -o loop "$D/img$i" "$D/mnt$i" || die "mount loop"
        mkdir -p "$D/mnt$i/b"; bricks+=("$A:$D/mnt$i/b"); fi
    done
    printf 'GLUSTER_HOST=%s\nGLUSTER_PORT=24007\nGLUSTER_VOLUME=%s\nGLUSTER_REPLICA=%s\nGLUSTER_SOCK=%s\nGLUSTER_LOGS=%s\n' "$A" "$VOL" "$R" "$RUN/gd.sock" "$D/log" > "$D/env"
    start_gd
    wait_for 120 glusterd G pool list || die "glusterd: $(tail -3 "$D/log/glusterd.log")"
    if [ "$R" -gt 1 ]; then G volume create "$VOL" replica "$R" "${bricks[@]}" force; else G volume create "$VOL" "${bricks[@]}" force; fi >>"$D/log/setup.out" 2>&1 || die "create: $(tail -3 "$D/log/setup.out")"
    G volume set "$VOL" network.ping-timeout "${GLUSTER_PING:-5}" >>"$D/log/setup.out" 2>&1
    G volume set "$VOL" nfs.disable on >>"$D/log/setup.out" 2>&1
    G volume set "$VOL" storage.reserve 0 >>"$D/log/setup.out" 2>&1
    G volume start "$VOL" >>"$D/log/setup.out" 2>&1 || die "start: $(tail -3 "$D/log/setup.out"; tail -3 "$D/log/glusterd.log")"
  else
    R=$(cfg GLUSTER_REPLICA); mkdir -p "$RUN"; mount_loops "$R"
    alive "$D/glusterd.pid" || start_gd           # glusterd restarts the bricks of started volumes
    wait_for 120 glusterd G pool list || die "glusterd"
    VOL=$(cfg GLUSTER_VOLUME); G volume start "$VOL" force >>"$D/log/setup.out" 2>&1
  fi
  wait_for 120 bricks bricks_online "$R" || { G volume status >&2; die "bricks: $(tail -2 "$D"/log/bricks/*.log)"; }
  record_children; touch "$D/ready"; print_env; echo "UP_MS=$(( $(now_ms) - t0 ))"
}
do_down() {
  local t0 f i; t0=$(now_ms)
  [ -n "$RUN" ] && record_children
  [ -e "$D/glusterd.pid" ] && stop_pid "$D/glusterd.pid" 5
  for f in "$D"/brickpids/*; do [ -e "$f" ] && stop_pid "$f" 5; done
  for f in "$D"/mnt*; do [ -d "$f" ] && mountpoint -q "$f" && { umount "$f" 2>/dev/null || umount -l "$f"; }; done
  rm -f "$D/ready"
  if [ "${KEEP:-0}" != 1 ]; then
    [ -n "$RUN" ] && case $RUN in /tmp/gl.*) rm -rf "$RUN";; esac
    for f in "$D"/mnt*; do [ -d "$f" ] && { mountpoint -q "$f" && die "$f still mounted"; rmdir "$f"; }; done
    rm -rf "$D"/{log,gd,grun,tmp,brickpids,env,rundir,loopfs,glusterd.vol,glusterd.gpid} "$D"/brick[0-9]* "$D"/img[0-9]*; rmdir "$D" 2>/dev/null
  fi
  echo "DOWN_MS=$(( $(now_ms) - t0 ))"
}
case $verb in up) do_up;; down) do_down;; env) record_children; print_env;;
 cli) shift 2; G "$@";;
 brick-pid) record_children; [ -s "$D/brickpids/brick$3" ] || die "brick $3 not running"; pid_of "$D/brickpids/brick$3";;
 brick-restart) # glusterd notices a dead brick asynchronously: retry the forced start
  again() { bricks_online "$(cfg GLUSTER_REPLICA)" && return 0; G volume start "$(cfg GLUSTER_VOLUME)" force >>"$D/log/setup.out" 2>&1; bricks_online "$(cfg GLUSTER_REPLICA)"; }
  wait_for 120 bricks again; record_children;;
 *) die "verb?";; esac
