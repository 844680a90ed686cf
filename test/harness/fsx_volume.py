"""What a volume and its snapshots must hold, as byte arrays: the memory of fsx.py."""
import collections
import random
import sys

import nbd

PAGE = 4096
BLOCK = 65536
REQUEST_BYTES_MAX = 1 << 20
READ_BYTES = 4 << 20
TRACED_MAX = 20000
ZEROES = memoryview(bytes(REQUEST_BYTES_MAX))


class Bad(Exception):
    """The server broke a promise."""


class Request:
    """One that changes bytes, or a part of it: [start, end) becomes `data`."""
    __slots__ = ("number", "kind", "start", "end", "data", "state", "connection")

    def __init__(self, number, kind, start, end, data, connection):
        self.number, self.kind, self.start, self.end, self.data = number, kind, start, end, data
        self.state, self.connection = "in flight", connection

    def __str__(self):
        return f"#{self.number} {self.kind} [{self.start}, {self.end}) connection {self.connection}: {self.state}"

    def part(self, start, end):
        cut = Request(self.number, self.kind, start, end, self.data[start - self.start:end - self.start], self.connection)
        cut.state = self.state
        return cut

    def outside(self, start, end):
        """What is left of it where [start, end) is somebody else's."""
        if self.end <= start or end <= self.start:
            return [self]
        parts = [(self.start, start), (end, self.end)]
        return [self.part(first, last) for first, last in parts if first < last]


def explain(data, base, maybe):
    """The first place where `data` is neither `base` nor, a page at a time, one of the requests `maybe`; None where all of it is."""
    events = collections.defaultdict(list)
    for request in maybe:
        events[request.start].append((True, request))
        events[request.end].append((False, request))
        for page in range(request.start // PAGE + 1, (request.end - 1) // PAGE + 1):
            events[page * PAGE]  # where one page may be there and the next one not
    active, at = [], 0
    events[len(data)]
    for place in sorted(events):
        if place > len(data):
            break
        if at < place and data[at:place] != base[at:place]:
            if not any(data[at:place] == request.data[at - request.start:place - request.start] for request in active):
                return next(i for i in range(at, place) if data[i] != base[i])
        at = place
        for begins, request in events[place]:
            active.append(request) if begins else active.remove(request)
    return None


class Mark:
    """Where all of the volume was read after a start, in the list of its requests."""

    def __str__(self):
        return "-- all of it was read --"


class Moment:
    """What a snapshot or a clone holds: `base`, and perhaps requests that were under way while it was taken."""

    def __init__(self, volume):
        self.volume, self.base = volume, bytearray(volume.model)
        self.maybe = list(volume.unanswered)
        self.covered = volume.acknowledged()
        self.open = True

    def resolve(self, data, name):
        at = explain(data, self.base, self.maybe) if len(data) == len(self.base) else -1
        if at is not None:
            what = f"has {len(data)} bytes in place of {len(self.base)}" if at < 0 else f"at byte {at} holds {data[at]:#x}, not {self.base[at]:#x}"
            self.volume.tell(at)
            raise Bad(f"{name} {what}, and no request that was under way explains it")
        self.base, self.maybe = bytearray(data), []


class Volume:
    def __init__(self, world, name, uri, base, seed):
        self.world, self.name, self.uri, self.random = world, name, uri, random.Random(seed)
        self.model = base                 # with all that was acknowledged
        self.flushed = bytearray(base)    # with all that a flush or FUA covered
        self.since = []                   # in order: what no flush covers yet
        self.unanswered = []              # in flight, or of which nobody knows whether it took effect
        self.busy = []
        self.requests, self.number, self.hot = 0, 0, 0
        self.traced = collections.deque(maxlen=TRACED_MAX)
        self.connections, self.running = [], False

    def next_number(self):
        self.number += 1
        return self.number

    def place(self):
        """A range that no request in flight touches; None where the dice found none."""
        dice, size = self.random, len(self.model)
        for _ in range(8):
            length = min(int(2 ** dice.uniform(0, 20.001)), REQUEST_BYTES_MAX, size)
            if dice.random() < 0.3:
                self.hot = dice.randrange(size)
            start = self.hot + dice.randrange(-BLOCK, BLOCK) if dice.random() < 0.6 else dice.randrange(size)
            grain = dice.choice((1, 1, 512, PAGE, PAGE, PAGE, BLOCK))
            start, length = start // grain * grain, max(grain, length // grain * grain)
            if dice.random() < 0.05:
                start = size - length  # up to the very end
            start = max(0, min(start, size - 1))
            end = min(start + length, start + REQUEST_BYTES_MAX, size)
            if all(other.end <= start or end <= other.start for other in self.busy):
                return start, end
        return None

    def content(self, start, end):
        """Random bytes, bytes that compress, bytes that other places and volumes hold too, zeroes."""
        dice, length = self.random, end - start
        which = dice.random()
        if which < 0.5:
            return dice.randbytes(length)
        if which < 0.7:
            unit = dice.randbytes(48) + bytes(80)
            return (unit * (length // len(unit) + 1))[:length]
        if which < 0.95:
            at = start % BLOCK + BLOCK * dice.randrange(8)
            return self.world.common[at:at + length]
        return bytes(length)

    def sent(self, request):
        self.unanswered.append(request)
        self.since.append(request)
        for moment in self.world.moments.values():
            if moment.open and moment.volume is self:
                moment.maybe.append(request)

    def acknowledged(self):
        """Numbers of those that a flush which is sent now must cover, whatever parts they are in by the time it is answered."""
        return {request.number for request in self.since if request.state == "ok"}

    def answered(self, kind, request, extra):
        if request is None:
            self.cover(extra)
            return
        request.state = "ok"
        self.busy.remove(request)
        if request.data is not None:
            self.model[request.start:request.end] = request.data
            self.unanswered.remove(request)
            if kind.endswith("-fua"):
                self.flushed[request.start:request.end] = request.data
                before = self.since.index(request)
                self.since[:before + 1] = [part for one in self.since[:before] for part in one.outside(request.start, request.end)]
        elif kind == "read":
            found = extra.to_bytearray()
            if found != self.model[request.start:request.end]:
                at = next(i for i in range(len(found)) if found[i] != self.model[request.start + i])
                self.tell(request.start + at)
                raise Bad(f"{self.name}: {request} gave {found[at]:#x} at byte {request.start + at}, not {self.model[request.start + at]:#x}")

    def cover(self, covered):
        rest = []
        for request in self.since:
            if request.number in covered:
                self.flushed[request.start:request.end] = request.data
                request.state = "ok, and flushed"
            else:
                rest.append(request)
        self.since = rest

    def settled(self, data):
        """What is there now is what must be there from now on."""
        self.traced.append(Mark())
        self.model, self.flushed = bytearray(data), bytearray(data)
        self.since, self.unanswered, self.busy = [], [], []

    def tell(self, at):
        """The requests that touched the place, and the last ones of all, to standard error."""
        touched = [f"{one}" + ("" if isinstance(one, Mark) or one.data is None else f", wrote {one.data[at - one.start]:#x}") for one in self.traced if isinstance(one, Mark) or one.start <= at < one.end]
        print(f"{self.name}, requests that touched byte {at}:", *touched[-40:], "the last of all:", *list(self.traced)[-20:],
              sep="\n  ", file=sys.stderr, flush=True)

    def read_all(self, uri):
        handle = nbd.NBD()
        handle.connect_uri(uri)
        size = handle.get_size()
        data = b"".join(bytes(handle.pread(min(READ_BYTES, size - at), at)) for at in range(0, size, READ_BYTES))
        handle.shutdown()
        return data

    def check(self, base, maybe):
        data = self.read_all(self.uri)
        if len(data) != len(base):
            raise Bad(f"{self.name} has {len(data)} bytes, not {len(base)}")
        at = explain(data, base, maybe)
        if at is not None:
            self.tell(at)
            raise Bad(f"{self.name} holds {data[at]:#x} at byte {at}, not {base[at]:#x}, and no request whose outcome is open explains it")
        return data
