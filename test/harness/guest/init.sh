#!/bin/busybox sh
# The guest's only process. Kernel words: t=spin (mkfs, then fsynced files with their sums, rounds given by n=), t=check, or t=run:
# the commands in run="..." with the disk's file system on /mnt, or a shell where there are none.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs d /dev; mount -t proc p /proc; mount -t sysfs s /sys
say() { echo "MARK $*" >/dev/console; }
die() { say "FAIL $*"; poweroff -f; }
for pass in 1 2 3; do for m in /lib/*.ko; do insmod "$m" 2>/dev/null && rm "$m"; done; done
for word in $(cat /proc/cmdline); do case $word in t=*) T=${word#t=};; n=*) N=${word#n=};; esac; done
D=/dev/vda
i=0; while [ ! -b $D ] && [ $i -lt 600 ]; do usleep 50000; i=$((i + 1)); done
[ -b $D ] || die 'no disk'
disk_mount() { mount -t ext4 "$@" 2>/dev/null || mount -t ext2 "$@" || die mount; }
case $T in
  spin)
    mkfs.ext4 -q -F $D >/dev/null 2>&1 || die mkfs
    disk_mount $D /mnt
    say SPIN-START
    k=0
    while [ $k -lt ${N:-60} ]; do
      dd if=/dev/urandom of=/tmp/b bs=64k count=4 2>/dev/null
      dd if=/tmp/b of=/mnt/f$((k % 8)) bs=64k conv=fsync 2>/dev/null || say "IOERR $k"
      md5sum </tmp/b | cut -c1-32 >/mnt/s$((k % 8)) || say "IOERR $k"
      sync
      k=$((k + 1))
      [ $((k % 10)) = 0 ] && say "TICK $k"
      usleep 50000
    done
    umount /mnt; blockdev --flushbufs $D; echo 3 >/proc/sys/vm/drop_caches
    disk_mount -r $D /mnt
    bad=0
    for j in 0 1 2 3 4 5 6 7; do [ "$(md5sum </mnt/f$j | cut -c1-32)" = "$(cat /mnt/s$j)" ] || bad=1; done
    umount /mnt
    say "SPIN-DONE bad=$bad"
    ;;
  run)
    disk_mount $D /mnt
    cd /mnt
    # The kernel hands the words it does not know to this process as its environment.
    if [ -n "${run:-}" ]; then sh -c "$run" </dev/console >/dev/console 2>&1; else setsid cttyhack sh; fi
    cd /
    umount /mnt
    poweroff -f
    ;;
  check)
    disk_mount -r $D /mnt
    bad=0; seen=0
    for j in 0 1 2 3 4 5 6 7; do
      [ -s /mnt/s$j ] || continue
      seen=$((seen + 1))
      [ "$(md5sum </mnt/f$j | cut -c1-32)" = "$(cat /mnt/s$j)" ] || bad=$((bad + 1))
    done
    umount /mnt
    say "CHECK-DONE seen=$seen bad=$bad"
    ;;
esac
say BYE
sync
poweroff -f
