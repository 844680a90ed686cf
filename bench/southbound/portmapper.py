"""A portmapper of two programs on loopback (RFC 1833, version 2, GETPORT over TCP): all that a client of NFS version 3 asks of one."""
import socket
import struct
import threading

NFS, MOUNT = 100003, 100005
PORT = 111


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", PORT))
    listener.listen()
    return listener


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def answer(call, ports):
    """Accepted and successful, with the port that the four last words of the call ask for; 0: there is no such program."""
    transaction = call[:4]
    program = struct.unpack(">I", call[-16:-12])[0]
    procedure = struct.unpack(">I", call[20:24])[0]
    result = b"" if procedure == 0 else struct.pack(">I", ports.get(program, 0))
    return transaction + struct.pack(">IIIII", 1, 0, 0, 0, 0) + result


def talk(connection, ports):
    with connection:
        try:
            while True:
                head = struct.unpack(">I", exactly(connection, 4))[0]
                reply = answer(exactly(connection, head & 0x7FFFFFFF), ports)
                connection.sendall(struct.pack(">I", 0x80000000 | len(reply)) + reply)
        except (ConnectionError, OSError):
            pass


def serve(listener, ports):
    """Until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=talk, args=(connection, ports), daemon=True).start()
