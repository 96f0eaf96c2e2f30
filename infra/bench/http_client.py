"""A blocking HTTP client of one connection: as little as it takes to measure one request's time."""

import socket
from time import perf_counter_ns
from urllib.parse import urlsplit

import httptools

_TIMEOUT_S = 10.0


def post_head(url: str, key: str, body: bytes) -> bytes:
    """The request line and headers of a POST of `body`."""
    parts = urlsplit(url)
    return (
        b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\nauthorization: Bearer %b\r\n"
        b"content-length: %d\r\n\r\n" % (parts.path.encode(), parts.netloc.encode(), key.encode(), len(body))
    )


class Connection:
    """One keep-alive connection, made when it is needed; a request at a time."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._socket: socket.socket | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._complete = False

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._complete = True

    def post(self, body: bytes) -> tuple[int, int]:
        """Sends `body`; returns the status and the nanoseconds to the answer's end. Connecting is not in them.

        Raises `OSError`; the next request then has a new connection.
        """
        request = post_head(self._url, self._key, body) + body
        connection = self._socket or self._connect()
        self._complete = False
        started = perf_counter_ns()
        try:
            connection.sendall(request)
            while not self._complete:
                data = connection.recv(65536)
                if not data:
                    raise ConnectionResetError("The connection ended before the answer did.")
                self._parser.feed_data(data)
        except OSError:
            self.close()
            raise
        took_ns = perf_counter_ns() - started
        return int(self._parser.get_status_code()), took_ns

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        parts = urlsplit(self._url)
        connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._parser = connection, httptools.HttpResponseParser(self)
        return connection
