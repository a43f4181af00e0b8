"""Prints the first of six consecutive free ports on this machine."""

import random
import socket

COUNT = 6


def free(base):
    held = []
    try:
        for port in range(base, base + COUNT):
            held.append(socket.create_server(("127.0.0.1", port)))
        return True
    except OSError:
        return False
    finally:
        for server in held:
            server.close()


# Below the range from which the system itself hands out ports.
candidates = list(range(10_000, 32_000, 10))
random.shuffle(candidates)
print(next(base for base in candidates if free(base)))
