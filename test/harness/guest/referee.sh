#!/bin/bash
# referee.sh IMAGE: judges a disk the guest wrote, from outside: e2fsck, then each file against the sum stored beside it.
# Prints "fsck=STATUS ok=N bad=N". With --torn one file may disagree: the one whose sum was being written at a snapshot.
image=$1
e2fsck -fn "$image" >/dev/null 2>&1
fsck=$?
ok=0
bad=0
for j in 0 1 2 3 4 5 6 7; do
  debugfs -R "stat f$j" "$image" 2>/dev/null | grep -q Inode: || continue
  sum=$(debugfs -R "cat s$j" "$image" 2>/dev/null | tr -d '\n ')
  [ -n "$sum" ] || continue
  if [ "$(debugfs -R "cat f$j" "$image" 2>/dev/null | md5sum | cut -c1-32)" = "$sum" ]; then ok=$((ok + 1)); else bad=$((bad + 1)); fi
done
echo "fsck=$fsck ok=$ok bad=$bad"
