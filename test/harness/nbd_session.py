"""One NBD connection that a test drives line by line, over libnbd: nbd_session.py URI [CONTEXT ...]

  size                        -> ok BYTES
  write OFFSET BYTES PATTERN  -> ok
  trim OFFSET BYTES           -> ok
  read OFFSET BYTES           -> ok HEX, with runs of equal bytes as BYTExCOUNT joined by commas
  flush                       -> ok
  status CONTEXT OFFSET BYTES -> ok LENGTH:FLAGS,...
  contexts                    -> ok NAME,...
An error of the server is "error ERRNO-NAME".
"""
import errno
import itertools
import sys

import nbd


def runs(data):
    return ",".join(f"{byte:02x}x{sum(1 for _ in same)}" for byte, same in itertools.groupby(data))


def answer(handle, words):
    verb, rest = words[0], words[1:]
    if verb == "size":
        return str(handle.get_size())
    if verb == "write":
        handle.pwrite(bytes([int(rest[2])]) * int(rest[1]), int(rest[0]))
        return ""
    if verb == "trim":
        handle.trim(int(rest[1]), int(rest[0]))
        return ""
    if verb == "read":
        return runs(handle.pread(int(rest[1]), int(rest[0])))
    if verb == "flush":
        handle.flush()
        return ""
    if verb == "contexts":
        return ",".join(name for name in CONTEXTS if handle.can_meta_context(name))
    if verb == "status":
        found = []

        def extent(context, offset, entries, error):
            if context == rest[0]:
                found.extend(zip(entries[::2], entries[1::2]))
            return 0

        handle.block_status(int(rest[2]), int(rest[1]), extent)
        return ",".join(f"{length}:{flags}" for length, flags in found)
    raise ValueError(f"unknown verb {verb}")


CONTEXTS = sys.argv[2:]
connection = nbd.NBD()
# Requests that the client library would refuse by itself must reach the server.
connection.set_strict_mode(0)
for name in CONTEXTS:
    connection.add_meta_context(name)
connection.connect_uri(sys.argv[1])
print("ok", flush=True)
for line in sys.stdin:
    try:
        print("ok", answer(connection, line.split()), flush=True)
    except nbd.Error as error:
        print("error", errno.errorcode.get(error.errnum, error.errnum), flush=True)
