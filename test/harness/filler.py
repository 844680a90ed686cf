#!/usr/bin/env python3
"""Fills a volume with bytes that cannot be deduplicated, and knows afterwards what was acknowledged.

filler.py fill  URI LEDGER SIZE SEED REFUSALS   writes at random places until REFUSALS writes in a row ended with ENOSPC
filler.py check URI LEDGER                      every acknowledged write must be there
LEDGER is a file: for each slot of the volume the generation that was acknowledged, and one that was refused since, if any.
Prints a JSON object: {"acked", "refused", "errors"} or {"checked", "wrong"}.
"""
import json
import random
import sys
import nbd

SLOT = 65536
PAGE = 4096


def content(slot, generation, length):
    return random.Random(slot * 1000003 + generation).randbytes(length)


def place(slot):
    # Half of the slots are written a page at a time, through the journal; the others whole, straight to packs.
    return (slot * SLOT + slot % 16 * PAGE, PAGE) if slot % 2 else (slot * SLOT, SLOT)


def fill(uri, ledger_path, size, seed, refusals):
    handle = nbd.NBD()
    handle.connect_uri(uri)
    dice = random.Random(seed)
    try:
        with open(ledger_path) as file:
            ledger = {int(slot): value for slot, value in json.load(file).items()}
    except FileNotFoundError:
        ledger = {}
    acked = refused = in_a_row = 0
    errors = {}
    while in_a_row < refusals:
        slot = dice.randrange(size // SLOT)
        offset, length = place(slot)
        done, doubtful = ledger.get(slot, (0, 0))
        generation = max(done, doubtful) + 1
        try:
            handle.pwrite(content(slot, generation, length), offset)
            ledger[slot] = (generation, 0)
            acked += 1
            in_a_row = 0
        except nbd.Error as error:
            refused += 1
            in_a_row += 1
            ledger[slot] = (done, generation)
            errors[error.errno or str(error)] = errors.get(error.errno or str(error), 0) + 1
            if error.errno != "ENOSPC":
                break
    with open(ledger_path, "w") as file:
        json.dump(ledger, file)
    return {"acked": acked, "refused": refused, "errors": errors}


def check(uri, ledger_path):
    handle = nbd.NBD()
    handle.connect_uri(uri)
    with open(ledger_path) as file:
        ledger = json.load(file)
    wrong = []
    for slot, (done, doubtful) in ledger.items():
        offset, length = place(int(slot))
        data = bytes(handle.pread(length, offset))
        allowed = [bytes(length) if done == 0 else content(int(slot), done, length)]
        if doubtful:
            allowed.append(content(int(slot), doubtful, length))
        if data not in allowed:
            wrong.append(offset)
    return {"checked": len(ledger), "wrong": wrong}


def main():
    verb, uri, ledger, *words = sys.argv[1:]
    print(json.dumps(check(uri, ledger) if verb == "check" else fill(uri, ledger, *map(int, words))))


main()
