/** The connection ended before what was on its way over it did: nobody is there to be told. */
export class ClientGone extends Error {
  constructor() {
    super('the client is gone');
  }
}

/** Also as streams say it. */
export function isClientGone(error: unknown): boolean {
  if (error instanceof ClientGone) return true;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED';
}
