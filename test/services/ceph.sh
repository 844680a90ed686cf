#!/bin/bash
# ceph.sh up DIR | down DIR | env DIR | status DIR | restart-osd DIR [ID] | restart-mon DIR
# One mon (+ mgr unless CEPH_MGR=0) + CEPH_OSDS OSDs on 127.0.0.1, cephx on unless CEPH_AUTH=none.
# env: CEPH_OSDS=1 CEPH_STORE=bluestore|memstore CEPH_SIZE=6G (sparse file) CEPH_AUTH=cephx|none
#      CEPH_MGR=1 CEPH_POOL=test CEPH_MON_PORT=<free>  CEPH_OSD_OPTS (extra ceph.conf lines for [osd])
. "$(dirname "$(readlink -f "$0")")/service.sh"
verb=${1:-}; [ -n "${2:-}" ] || die "usage: $0 up|down|env|status|restart-osd|restart-mon DIR"
D=$(absdir "$2"); C=$D/ceph.conf
ceph_() { timeout "${T:-20}" ceph -c "$C" --connect-timeout 5 "$@"; }

print_env() {
  [ -s "$D/env" ] && cat "$D/env"
  for f in "$D"/*.pid; do [ -e "$f" ] && alive "$f" && {
    n=$(basename "$f" .pid); p=$(pid_of "$f")
    echo "PID_${n//./_}=$p"; echo "RSS_KB_${n//./_}=$(rss_kb "$p")"; }; done
}
start_mon() { spawn "$D/mon.pid" "$D/log/mon.out" ceph-mon -c "$C" -i a -f; }
start_mgr() { spawn "$D/mgr.pid" "$D/log/mgr.out" ceph-mgr -c "$C" -i x -f; }
start_osd() { spawn "$D/osd$1.pid" "$D/log/osd$1.out" ceph-osd -c "$C" -i "$1" -f; }
osds_up() { ceph_ osd stat 2>/dev/null | grep -q "$1 up"; }

do_up() {
  local t0; t0=$(now_ms)
  OSDS=${CEPH_OSDS:-1} STORE=${CEPH_STORE:-bluestore} AUTH=${CEPH_AUTH:-cephx} POOL=${CEPH_POOL:-test}
  if [ -e "$D/ready" ] && alive "$D/mon.pid" && alive "$D/osd0.pid"; then print_env; return 0; fi
  mkdir -p "$D"/{mon,mgr,log,crash,run}
  if [ ! -e "$D/mkfs.done" ]; then            # first start: build the cluster
    local MP MP1 FSID; read -r MP MP1 <<<"$(free_ports 2)"; MP=${CEPH_MON_PORT:-$MP}
    FSID=$(cat /proc/sys/kernel/random/uuid)
    # unix socket paths are limited to 107 bytes -> admin sockets only if they fit
    local ASOK="$D/run/\$name.asok"; [ ${#D} -gt 80 ] && ASOK=""
    cat > "$C" <<CONF
[global]
fsid = $FSID
mon host = [v2:127.0.0.1:$MP/0,v1:127.0.0.1:$MP1/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = $AUTH
auth service required = $AUTH
auth client required = $AUTH
keyring = $D/keyring
run dir = $D/run
admin socket = $ASOK
pid file =
log file = $D/log/\$name.log
log to stderr = false
err to stderr = true
mon cluster log file = $D/log/cluster.log
mon cluster log to syslog = false
crash dir = $D/crash
max open files = 0
# -- single host, one replica
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
auth allow insecure global id reclaim = false
mon data avail warn = 2
mon data avail crit = 1
mon osd full ratio = .97
mon osd backfillfull ratio = .96
osd failsafe full ratio = .98
mon osd nearfull ratio = .95
# -- quick failure detection and recovery (single OSD: nobody else reports it, so beacons)
osd beacon report interval = 2
mon osd report timeout = 8
osd heartbeat interval = 1
osd heartbeat grace = 5
mon osd adjust heartbeat grace = false
mon osd adjust down out interval = false
mon osd min down reporters = 1
mon osd reporter subtree level = osd
mon osd down out interval = 86400
osd max markdown count = 1000
paxos propose interval = 0.1
paxos min wait = 0.02
mon tick interval = 2
[mon]
mon data = $D/mon/\$id
mon initial members = a
[mon.a]
[mgr]
mgr data = $D/mgr
mgr initial modules =
keyring = $D/mgr/keyring
[osd]
osd data = $D/osd\$id
keyring = $D/osd\$id/keyring
osd objectstore = $STORE
osd memory target = 939524096
osd op num shards = 2
osd op num threads per shard = 2
bluestore block create = true
bluestore block size = $(numfmt --from=iec "${CEPH_SIZE:-6G}")
bluestore block preallocate file = false
bluestore block db create = false
bluestore block wal create = false
bluestore fsck on mount = false
bdev enable discard = false
memstore device bytes = $(numfmt --from=iec "${CEPH_SIZE:-2G}")
osd check for log corruption = false
osd class update on start = true
osd crush update on start = true
osd mclock skip benchmark = true
${CEPH_OSD_OPTS:-}
[client]
log file =
admin socket =
CONF
    rm -rf "$D"/mon/a "$D"/osd? ; mkdir -p "$D/mon/a"
    ceph-authtool --create-keyring "$D/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
    ceph-authtool "$D/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *' >/dev/null
    ceph-authtool --create-keyring "$D/mgr/keyring" --gen-key -n mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *' --cap mds 'allow *' >/dev/null
    monmaptool --create --clobber --fsid "$FSID" --addv a "[v2:127.0.0.1:$MP,v1:127.0.0.1:$MP1]" "$D/monmap" >/dev/null || die monmaptool
    ceph-mon -c "$C" -i a --mkfs --monmap "$D/monmap" --keyring "$D/keyring" >>"$D/log/mkfs.out" 2>&1 || die "ceph-mon --mkfs: $(tail -3 "$D/log/mkfs.out")"
    start_mon
    wait_for 120 mon ceph_ -s || die "mon: $(tail -3 "$D/log/mon.out")"
    # import mgr key with the same caps in one go
    ceph_ auth import -i "$D/mgr/keyring" >>"$D/log/mkfs.out" 2>&1
    [ "${CEPH_MGR:-1}" = 1 ] && { touch "$D/use_mgr"; start_mgr; }
    local i
    for ((i=0;i<OSDS;i++)); do
      local U KEY; U=$(cat /proc/sys/kernel/random/uuid); mkdir -p "$D/osd$i"
      ceph-authtool --create-keyring "$D/osd$i/keyring" --gen-key -n "osd.$i" --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *' >/dev/null
      KEY=$(ceph-authtool "$D/osd$i/keyring" -p -n "osd.$i")
      echo "{\"cephx_secret\":\"$KEY\"}" | ceph_ osd new "$U" "$i" -i - >>"$D/log/mkfs.out" 2>&1 || die "osd new: $(tail -3 "$D/log/mkfs.out")"
      ceph-osd -c "$C" -i "$i" --mkfs --osd-uuid "$U" >>"$D/log/mkfs.out" 2>&1 || die "osd mkfs: $(tail -3 "$D/log/mkfs.out")"
      start_osd "$i"
    done
    echo "$OSDS" > "$D/osds"
    wait_for 120 "osd up" osds_up "$OSDS" || die "osd: $(tail -3 "$D/log/osd0.out")"
    ceph_ osd pool create "$POOL" 8 8 replicated >>"$D/log/mkfs.out" 2>&1 || die "pool create"
    ceph_ osd pool application enable "$POOL" skerry >>"$D/log/mkfs.out" 2>&1
    cat > "$D/env" <<E
CEPH_CONF=$C
CEPH_KEYRING=$D/keyring
CEPH_USER=client.admin
CEPH_FSID=$FSID
CEPH_MON_HOST=127.0.0.1:$MP
CEPH_MON_HOST_V1=127.0.0.1:$MP1
CEPH_POOL=$POOL
CEPH_LOGS=$D/log
E
    touch "$D/mkfs.done"
  else                                         # restart on the same data
    alive "$D/mon.pid" || start_mon
    wait_for 120 mon ceph_ -s || die "mon"
    [ -e "$D/use_mgr" ] && { alive "$D/mgr.pid" || start_mgr; }
    local n; n=$(cat "$D/osds")
    for ((i=0;i<n;i++)); do alive "$D/osd$i.pid" || start_osd "$i"; done
  fi
  POOL=$(sed -n 's/^CEPH_POOL=//p' "$D/env")
  # "ready" = a real write and delete went through
  wait_for 120 "rados write" timeout 10 rados -c "$C" -p "$POOL" put .ready "$C" || die "pool not writable"
  rados -c "$C" -p "$POOL" rm .ready
  touch "$D/ready"; print_env; echo "UP_MS=$(( $(now_ms) - t0 ))"
}
do_down() {
  local t0 f; t0=$(now_ms)
  for f in "$D"/osd*.pid "$D"/mgr.pid "$D"/mon.pid; do [ -e "$f" ] && stop_pid "$f" 8; done
  rm -f "$D/ready"
  if [ "${KEEP:-0}" != 1 ]; then rm -rf "$D"/{mon,mgr,log,crash,run,monmap,keyring,ceph.conf,env,osds,mkfs.done,use_mgr} "$D"/osd[0-9]*; rmdir "$D" 2>/dev/null; fi
  echo "DOWN_MS=$(( $(now_ms) - t0 ))"
}
case $verb in
  up) do_up;; down) do_down;; env) print_env;;
  status) T=10 ceph_ -s;;
  restart-osd) i=${3:-0}; stop_pid "$D/osd$i.pid" 3; start_osd "$i"; wait_for 120 osd osds_up "$(cat "$D/osds")";;
  restart-mon) stop_pid "$D/mon.pid" 3; start_mon; wait_for 120 mon ceph_ -s;;
  *) die "verb?";;
esac
