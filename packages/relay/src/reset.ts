import type { Socket } from 'node:net';

/**
 * Resets the connection (RST) and drops what has not been sent.
 *
 * `resetAndDestroy` of Node ends the stream first, so the peer sees an orderly end and may never see the reset
 * that follows. The flag is what Node itself sets on the way to its reset; were it gone, this would be `destroy`.
 */
export function reset(socket: Socket): void {
  Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}
