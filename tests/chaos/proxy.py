"""A TCP proxy on loopback that can be slow, cut the line or reset every connection."""

import asyncio
import socket
import struct
import threading


class Proxy:
    """Forwards connections from ``port`` to ``target`` in a thread of its own."""

    def __init__(self, port, target):
        self.port, self.target = port, target
        self.latency_s = 0.0
        self.is_cut = False
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _connected(self, reader, writer):
        if self.is_cut:
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(65_536):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def reset(self):
        """Every connection ends with RST."""

        def abort():
            for writer in list(self._writers):
                if connection := writer.get_extra_info("socket"):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def cut(self):
        """Nothing gets through, and nobody can connect, until ``heal``."""
        self.is_cut = True
        self.reset()

    def heal(self):
        """Forward again, at once."""
        self.is_cut, self.latency_s = False, 0.0

    def close(self):
        """Stop listening."""
        self.cut()
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
