#!/bin/bash
# nfs.sh up DIR | down DIR | env DIR | restart DIR
# nfs-ganesha on 127.0.0.1, non-privileged ports, NFSv3 + v4.0/4.1/4.2.
# env: NFS_FSAL=vfs|mem  NFS_EXPORT=<dir, default DIR/export>  NFS_PORT MNT_PORT  NFS_SQUASH=No_Root_Squash
#      NFS_ATTR_SECONDS=60 (how long it believes what it knows of the export's files)
#      NFS_LOOP=none|ext4|xfs NFS_SIZE=512M (export on a loop image: ENOSPC tests)
. "$(dirname "$(readlink -f "$0")")/service.sh"
verb=${1:-}; [ -n "${2:-}" ] || die "usage: $0 up|down|env|restart DIR"
D=$(absdir "$2"); cfg() { sed -n "s/^$1=//p" "$D/env"; }
print_env() { [ -s "$D/env" ] && cat "$D/env"; for n in ganesha rpcbind; do alive "$D/$n.pid" && { p=$(pid_of "$D/$n.pid"); echo "PID_$n=$p"; echo "RSS_KB_$n=$(rss_kb "$p")"; }; done; true; }
start() { local i FS
  if FS=$(cat "$D/loopfs" 2>/dev/null); then mountpoint -q "$D/export" || mount -o loop "$D/img" "$D/export" || die "loop mount"; fi
  # ganesha refuses to start NFSv3 when it cannot register with a portmapper.  Clients are given the
  # ports explicitly, so no rpcbind (port 111) is needed: interpose ntirpc's rpcb_set/unset.
  PRE=
  if [ "${NFS_PORTMAP:-shim}" = shim ]; then
    [ -s "$D/noportmap.so" ] || printf 'char rpcb_set(){return 1;}\nchar rpcb_unset(){return 1;}\n' | gcc -shared -fPIC -w -O1 -x c - -o "$D/noportmap.so" || die "gcc for the portmap shim"
    PRE=LD_PRELOAD=$D/noportmap.so
  else port_open 111 || { spawn "$D/rpcbind.pid" "$D/ganesha.out" rpcbind -f -w -h 127.0.0.1; wait_for 5 rpcbind port_open 111; }; fi
  spawn "$D/ganesha.pid" "$D/ganesha.out" env $PRE ganesha.nfsd -F -f "$D/ganesha.conf" -L "$D/ganesha.log" -p "$D/ganesha.gpid" -N "${NFS_LOG:-NIV_EVENT}"; }
ready() { alive "$D/ganesha.pid" || return 1; port_open "$(cfg NFS_PORT)" && grep -q 'NFS SERVER INITIALIZED' "$D/ganesha.log"; }
do_up() { local t0 A B E; t0=$(now_ms); alive "$D/ganesha.pid" && { print_env; return; }
  if [ ! -s "$D/env" ]; then
    read -r A B <<<"$(free_ports 2)"; A=${NFS_PORT:-$A}; B=${MNT_PORT:-$B}; E=${NFS_EXPORT:-$D/export}; local F=${NFS_FSAL:-vfs}
    mkdir -p "$E" "$D/recov"
    if [ "${NFS_LOOP:-none}" != none ]; then E=$D/export; truncate -s "${NFS_SIZE:-512M}" "$D/img"; "mkfs.$NFS_LOOP" $([ "$NFS_LOOP" = xfs ] && echo -f || echo -F) -q "$D/img" || die mkfs; echo "$NFS_LOOP" > "$D/loopfs"; fi
    [ "$F" = mem ] && FS='FSAL { Name = MEM; }' || FS='FSAL { Name = VFS; }'
    cat > "$D/ganesha.conf" <<G
NFS_CORE_PARAM {
  Protocols = 3,4;
  NFS_Port = $A;
  MNT_Port = $B;
  Bind_addr = 127.0.0.1;
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Enable_UDP = false;
  mount_path_pseudo = true;
  Dbus_Name_Prefix = "t$A";
}
NFSv4 {
  Graceless = true;
  Lease_Lifetime = 10;
  Grace_Period = 10;
  RecoveryBackend = fs;
  RecoveryRoot = "$D/recov";
  Minor_Versions = 0,1,2;
  Only_Numeric_Owners = true;
}
NFS_KRB5 { Active_krb5 = false; }
MDCACHE { Entries_HWMark = 20000; }
EXPORT {
  Export_Id = 1;
  Path = $E;
  Pseudo = /export;
  Access_Type = RW;
  Squash = ${NFS_SQUASH:-No_Root_Squash};
  SecType = sys;
  Protocols = 3,4;
  Transports = TCP;
  PrivilegedPort = false;
  Attr_Expiration_Time = ${NFS_ATTR_SECONDS:-60};
  $FS
}
LOG { Default_Log_Level = EVENT; Components { ALL = EVENT; } }
G
    cat > "$D/env" <<X
NFS_HOST=127.0.0.1
NFS_PORT=$A
NFS_MOUNT_PORT=$B
NFS_PATH=/export
NFS_EXPORT_DIR=$E
NFS_FSAL=$F
NFS_URL_V3=nfs://127.0.0.1/export/?version=3&nfsport=$A&mountport=$B
NFS_URL_V4=nfs://127.0.0.1/export/?version=4&nfsport=$A
NFS_LOG=$D/ganesha.log
X
  fi
  start; wait_for 120 ganesha ready || die "ganesha: $(tail -4 "$D/ganesha.log")"
  print_env; echo "UP_MS=$(( $(now_ms) - t0 ))"; }
do_down() { local t0; t0=$(now_ms)
  for n in ganesha rpcbind; do [ -e "$D/$n.pid" ] && stop_pid "$D/$n.pid" "${NFS_TERM:-8}"; done
  mountpoint -q "$D/export" && { umount "$D/export" || umount -l "$D/export"; }
  if [ "${KEEP:-0}" != 1 ]; then mountpoint -q "$D/export" && die "still mounted"; rm -rf "$D"/{export,recov,img,loopfs,env,ganesha.conf,ganesha.log,ganesha.out,ganesha.gpid,noportmap.so}; rmdir "$D" 2>/dev/null; fi
  echo "DOWN_MS=$(( $(now_ms) - t0 ))"; }
case $verb in up) do_up;; down) do_down;; env) print_env;;
 restart) stop_pid "$D/ganesha.pid" 5; : > "$D/ganesha.log"; start; wait_for 120 ganesha ready;;
 *) die "verb?";; esac
