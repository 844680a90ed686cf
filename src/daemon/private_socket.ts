/**
 * A Unix socket that only its owner can connect to, from its first moment on. bind() makes it with whatever rights the umask
 * leaves, and Node listens in the same breath: it is born in a directory that nobody else may enter, and moved out when it is shut.
 */
import { chmodSync, mkdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** With the socket's name in it no longer than `/admin.sock`: a socket's path has a limit. */
const cradleName = 'sock.new';

export interface ListensOnPath {
  listen(options: { readonly path: string }): Promise<unknown>;
}

/** A socket that stands at `path` is replaced: whoever calls knows that nobody serves it. Removing it in the end is his, too. */
export async function listenPrivately(server: ListensOnPath, path: string): Promise<void> {
  const cradle = join(dirname(path), cradleName);
  const socket = join(cradle, 's');
  // One may be there of a daemon that was killed in here.
  rmSync(cradle, { recursive: true, force: true });
  mkdirSync(cradle, { mode: 0o700 });
  await server.listen({ path: socket });
  chmodSync(socket, 0o600);
  renameSync(socket, path);
  rmdirSync(cradle);
}
