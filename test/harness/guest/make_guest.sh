#!/bin/bash
# make_guest.sh OUT: a kernel and an initramfs of busybox, from Debian packages, in OUT/vmlinuz and OUT/initrd.gz.
# The kernel package is downloaded once into OUT and unpacked, not installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
# One at a time: tests that run side by side make the same one.
exec 9>.lock
flock 9
if [ ! -s vmlinuz ]; then
  mkdir -p download
  cd download
  if [ "$(id -u)" = 0 ]; then user=(-o APT::Sandbox::User=root); else user=(); fi
  kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/{print $2; exit}')
  if [ -z "$kernel" ]; then
    apt-get update --quiet >/dev/null
    kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/{print $2; exit}')
  fi
  [ -n "$kernel" ] || { echo 'the Debian package linux-image-cloud-amd64 is not known to apt' >&2; exit 1; }
  apt-get "${user[@]}" download "$kernel" >/dev/null
  dpkg-deb -x "$kernel"_*.deb unpacked
  cd ..
  cp download/unpacked/boot/vmlinuz-* vmlinuz.part
  mv vmlinuz.part vmlinuz
fi
modules=$(echo download/unpacked/lib/modules/*/kernel/drivers)
rm -rf root
mkdir -p root/{bin,dev,proc,sys,mnt,lib,tmp}
cp "$(command -v busybox)" root/bin/busybox
# busybox knows no ext4: e2fsprogs makes it, with the libraries that it asks for.
cp "$(PATH=$PATH:/usr/sbin:/sbin command -v mke2fs)" root/bin/mkfs.ext4
ldd root/bin/mkfs.ext4 | grep -o '/[^ ]*' | while read -r library; do cp --parents --dereference "$library" root; done
number=10
for module in virtio/virtio virtio/virtio_ring virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev virtio/virtio_pci block/virtio_blk; do
  if [ -e "$modules/$module.ko" ]; then cp "$modules/$module.ko" "root/lib/$number-$(basename "$module").ko"; fi
  number=$((number + 1))
done
cp "$here/init.sh" root/init
chmod +x root/init
(cd root && find . | cpio -o -H newc --quiet | gzip -1) > initrd.part
mv initrd.part initrd.gz
