"""A line between a client and the hall that goes bad when it is told to. The same as js/line.mjs, for Python."""

import socket
import struct
import threading

# Closing then says "reset" instead of "goodbye".
RESET = struct.pack("ii", 1, 0)


class Line:
    """Clients go to `address`."""

    def __init__(self, hall):
        host, port = hall.split(":")
        self.hall = (host, int(port))
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.is_cut = self.is_deaf = False
        # Held by whoever adds connections, and by `cut`.
        self.lock = threading.Lock()
        self.sockets = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Ends every connection in the middle of whatever it says, and lets no new one through."""
        with self.lock:
            self.is_cut = True
            for end in self.sockets:
                _reset(end)
            self.sockets.clear()

    def deafen(self):
        """Lets nothing of what the hall says through any more; the hall still hears the client."""
        self.is_deaf = True

    def mend(self):
        self.is_cut = self.is_deaf = False

    def _accept(self):
        while True:
            client, _ = self.server.accept()
            with self.lock:
                if self.is_cut:
                    _reset(client)
                    continue
                hall = socket.create_connection(self.hall)
                self.sockets |= {client, hall}
            for end in (client, hall):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(client, hall, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(hall, client, True), daemon=True).start()

    def _carry(self, source, sink, is_answer):
        try:
            while piece := source.recv(65536):
                if not (is_answer and self.is_deaf):
                    sink.sendall(piece)
        except OSError:
            pass
        _reset(sink)


def _reset(end):
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        # Wakes whoever is reading it, which closing alone does not.
        end.shutdown(socket.SHUT_RDWR)
        end.close()
    except OSError:
        pass
