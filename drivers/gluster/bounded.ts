/** Calls of the library, which end when it likes: here in bounded time, and with codes of the one table. */
import { SkerryError, toSkerryError, type ErrorCode } from '../../src/core/errors.js';

/** Rejects with timeout where the call takes longer; it then goes on by itself, and its outcome is nobody's. */
export async function bounded<T>(call: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const seconds = milliseconds / 1000;
    timer = setTimeout(
      () => reject(new SkerryError('timeout', `the Gluster volume did not answer within ${seconds} s`)),
      milliseconds,
    );
  });
  try {
    return await Promise.race([call, late]);
  } catch (error) {
    throw fromLibrary(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Beside what the table knows: how the library says that bricks are away. */
const errnoCodes: Readonly<Record<string, ErrorCode>> = { ENOTCONN: 'unavailable', EBADFD: 'unavailable' };

function fromLibrary(error: unknown): SkerryError {
  const name = error instanceof Error && 'code' in error ? String(error.code) : '';
  const code = errnoCodes[name];
  if (code === undefined) return toSkerryError(error);
  return new SkerryError(code, `bricks of the Gluster volume cannot be reached (${name})`, { cause: error });
}
