#!/bin/bash
# A tour of Skerry that runs by itself: image, guest, snapshot, rollback, export. tour.md has the words to it. Run it in a clone,
# with `skerry` known and its daemon running: bash docs/tutorial/tour.sh
set -euo pipefail
# Each line is shown before it runs.
set -v

# Is anybody there?
skerry status

# A small guest
bash test/harness/guest/make_guest.sh build/guest
guest() {
  qemu-system-x86_64 -machine q35,accel="${ACCEL:-kvm:tcg}" -cpu max -m 256M \
    -nodefaults -display none -no-reboot -serial stdio \
    -kernel build/guest/vmlinuz -initrd build/guest/initrd.gz \
    -append "console=ttyS0 quiet loglevel=0 panic=-1 t=run run=\"$2\"" \
    -drive file="$(skerry volume uri "$1")",format=raw,if=virtio,discard=unmap,file.reconnect-delay=60
}

# An image
tour=$(mktemp -d)
mkdir "$tour/files"
echo 'made on the host' >"$tour/files/origin"
truncate -s 64M "$tour/disk.raw"
mke2fs -q -t ext4 -d "$tour/files" "$tour/disk.raw"
skerry image import "$tour/disk.raw" tour-image --size-max 1G

# A guest on a clone
skerry clone tour-image tour-vm --description 'a guest on tour'
skerry volume list
guest tour-vm 'cat origin; echo day one >diary; ls'

# A snapshot, and a mishap
skerry snapshot create tour-vm@day-one
guest tour-vm 'rm diary; dd if=/dev/urandom of=noise bs=1M count=8 2>/dev/null; ls'
skerry snapshot diff tour-vm@day-one tour-vm | tail -n 1

# What a guest does, live
guest tour-vm 'dd if=/dev/urandom of=noise bs=1M count=16 2>/dev/null; sync; sleep 8' &
until skerry volume show tour-vm | grep -q connection; do sleep 0.2; done
skerry top --once --interval 5
skerry volume rollback tour-vm@day-one || echo "that ended with $?"
wait

# Back to day one
skerry volume rollback tour-vm@day-one
guest tour-vm 'cat diary; ls'
skerry clone tour-vm@day-one tour-fork
guest tour-fork 'echo another day two >>diary; cat diary'
guest tour-vm 'cat diary'

# Out again
skerry image export tour-vm@day-one "$tour/day-one.raw"
debugfs -R 'cat diary' "$tour/day-one.raw" 2>/dev/null
skerry image export tour-vm "$tour/vm.qcow2" --format qcow2
qemu-img compare -f qcow2 -F raw "$tour/vm.qcow2" "$(skerry volume uri tour-vm)"

# What it took
skerry pool show
skerry volume show tour-vm --json

# The end
skerry volume delete tour-fork
skerry snapshot delete tour-vm@day-one
skerry volume delete tour-vm
skerry image delete tour-image
rm -r "$tour"
