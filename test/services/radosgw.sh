#!/bin/bash
# radosgw.sh up DIR | down DIR | env DIR | restart DIR
# S3 (v2+v4 signatures) and Swift (v1 auth) gateway over a ceph.sh cluster.
# env: CEPH_DIR=<dir of a ceph.sh cluster>  (default DIR/ceph, brought up and down with this one)
#      RGW_PORT=<free>  RGW_POOL_PG=2
. "$(dirname "$(readlink -f "$0")")/service.sh"
verb=${1:-}; [ -n "${2:-}" ] || die "usage: $0 up|down|env|restart DIR"
HERE=$(dirname "$(readlink -f "$0")")
D=$(absdir "$2"); CD=${CEPH_DIR:-}
[ -z "$CD" ] && CD=$(cat "$D/ceph_dir" 2>/dev/null || echo "$D/ceph"); 
C=$D/rgw.conf
ceph_() { timeout 20 ceph -c "$C" --connect-timeout 5 "$@"; }
print_env() { [ -s "$D/env" ] && cat "$D/env"; alive "$D/rgw.pid" && { p=$(pid_of "$D/rgw.pid"); echo "PID_rgw=$p"; echo "RSS_KB_rgw=$(rss_kb "$p")"; }; }
start_rgw() { spawn "$D/rgw.pid" "$D/rgw.out" radosgw -c "$C" -n client.rgw.a -f; }
http_ok() { curl -s -o /dev/null --max-time 2 "http://127.0.0.1:$1/"; }
do_up() {
  local t0; t0=$(now_ms)
  [ -e "$D/own_ceph" ] || { [ -z "${CEPH_DIR:-}" ] && touch "$D/own_ceph"; }
  CD=$(absdir "$CD"); echo "$CD" > "$D/ceph_dir"
  "$HERE/ceph.sh" up "$CD" > "$D/ceph.env" || die "ceph"
  if alive "$D/rgw.pid"; then print_env; return 0; fi
  local t1; t1=$(now_ms)
  if [ ! -s "$D/env" ]; then
    local P; P=${RGW_PORT:-$(free_ports 1)}
    # own conf = the cluster's conf + a client section (never edits the cluster's file)
    { cat "$CD/ceph.conf"; cat <<CONF
osd pool default pg num = 8
[client.rgw.a]
keyring = $D/rgw.keyring
log file = $D/rgw.log
rgw data = $D
rgw frontends = beast endpoint=127.0.0.1:$P tcp_nodelay=1
rgw thread pool size = 32
rgw enable apis = s3, swift, swift_auth, admin
rgw enable gc threads = true
rgw gc obj min wait = 5
rgw gc processor period = 10
rgw enable lc threads = false
rgw enable quota threads = false
rgw run sync thread = false
rgw enable ops log = false
rgw enable usage log = false
rgw rados pool pg num min = 2
rgw bucket default quota max objects = -1
rgw swift url = http://127.0.0.1:$P
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw cache enabled = true
CONF
    } > "$C"
    ceph_ auth get-or-create client.rgw.a mon 'allow rw' osd 'allow rwx' mgr 'allow rw' -o "$D/rgw.keyring" >>"$D/rgw.out" 2>&1 || die "auth: $(tail -2 "$D/rgw.out")"
    start_rgw
    wait_for 120 "radosgw http" http_ok "$P" || die "rgw: $(tail -3 "$D/rgw.out" "$D/rgw.log")"
    local AK=AKSKERRYTEST00000001 SK=secretSkerryTest0000000000000000000000001
    local SW=swiftsecret
    radosgw-admin -c "$C" -n client.rgw.a user create --uid=skerry --display-name=skerry --access-key=$AK --secret-key=$SK --max-buckets=100000 --caps='users=*;buckets=*' >>"$D/rgw.out" 2>&1 || die "user: $(tail -3 "$D/rgw.out")"
    radosgw-admin -c "$C" -n client.rgw.a subuser create --uid=skerry --subuser=skerry:swift --access=full --key-type=swift --secret-key=$SW >>"$D/rgw.out" 2>&1 || die "subuser"
    cat > "$D/env" <<E
S3_ENDPOINT=http://127.0.0.1:$P
S3_ACCESS_KEY=$AK
S3_SECRET_KEY=$SK
S3_REGION=default
SWIFT_AUTH=http://127.0.0.1:$P/auth/v1.0
SWIFT_USER=skerry:swift
SWIFT_KEY=$SW
RGW_CONF=$C
RGW_CEPH_DIR=$CD
E
  else
    start_rgw
    wait_for 120 "radosgw http" http_ok "$(sed -n 's/.*=http:\/\/127.0.0.1:\([0-9]*\)$/\1/p' "$D/env" | head -1)" || die rgw
  fi
  print_env; grep UP_MS "$D/ceph.env" | sed 's/^/CEPH_/'; echo "RGW_UP_MS=$(( $(now_ms) - t1 ))"; echo "UP_MS=$(( $(now_ms) - t0 ))"
}
do_down() {
  local t0; t0=$(now_ms)
  [ -e "$D/rgw.pid" ] && stop_pid "$D/rgw.pid" "${RGW_TERM:-8}"
  [ -e "$D/own_ceph" ] && "$HERE/ceph.sh" down "$CD" >/dev/null
  if [ "${KEEP:-0}" != 1 ]; then rm -rf "$D"/{rgw.conf,rgw.log,rgw.out,rgw.keyring,env,ceph.env,ceph_dir,own_ceph}; rmdir "$D" 2>/dev/null; fi
  echo "DOWN_MS=$(( $(now_ms) - t0 ))"
}
case $verb in up) do_up;; down) do_down;; env) print_env;;
 restart) stop_pid "$D/rgw.pid" 3; start_rgw; wait_for 120 rgw http_ok "$(sed -n 's/.*=http:\/\/127.0.0.1:\([0-9]*\)$/\1/p' "$D/env" | head -1)";;
 *) die "verb?";; esac
