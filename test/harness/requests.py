#!/usr/bin/env python3
"""Sends NBD requests one after the other over one connection and prints how each ended, as a JSON list.

requests.py URI JSON, where JSON is a list of
  ["write", OFFSET, LENGTH, BYTE]   ["write-fua", OFFSET, LENGTH, BYTE]   ["zero", OFFSET, LENGTH]   ["trim", OFFSET, LENGTH]
  ["flush"]                         ["read", OFFSET, LENGTH, BYTE]
Each ends with "ok" or the name of an error ("EIO", "ENOSPC"); a read of other bytes with "differs".
"""
import json
import sys
import nbd


def send(handle, request):
    verb, *words = request
    if verb == "flush":
        handle.flush()
        return "ok"
    offset, length = words[:2]
    if verb == "zero":
        handle.zero(length, offset)
    elif verb == "trim":
        handle.trim(length, offset)
    elif verb == "read":
        if handle.pread(length, offset) != bytes([words[2]]) * length:
            return "differs"
    else:
        handle.pwrite(bytes([words[2]]) * length, offset, nbd.CMD_FLAG_FUA if verb == "write-fua" else 0)
    return "ok"


def main():
    handle = nbd.NBD()
    handle.connect_uri(sys.argv[1])
    outcomes = []
    for request in json.loads(sys.argv[2]):
        try:
            outcomes.append(send(handle, request))
        except nbd.Error as error:
            outcomes.append(error.errno or str(error))
    print(json.dumps(outcomes))


main()
