/**
 * Every failure that code may act on is a SkerryError with a code of this one table. The table answers what a caller
 * would otherwise guess: whether trying again can help, how the command exits, which HTTP status a client sees.
 */

export interface ErrorKind {
  /** The same call may succeed later without anybody repairing anything. */
  readonly retry: boolean;
  /** 1 failed, 2 wrong usage, 3 not found, 4 conflict. */
  readonly exitCode: 1 | 2 | 3 | 4;
  readonly httpStatus: number;
}

export const errorTable = {
  /** The device, the network or the backend failed in a way that may pass. */
  io: { retry: true, exitCode: 1, httpStatus: 500 },
  /** A disk, a pool or a configured limit is full. Reads, trims and deletes go on. */
  'no-space': { retry: false, exitCode: 1, httpStatus: 507 },
  /** Bytes at rest do not match their sum, or a record cannot be what it says it is. */
  corrupt: { retry: false, exitCode: 1, httpStatus: 500 },
  'not-found': { retry: false, exitCode: 3, httpStatus: 404 },
  /** What was asked for cannot be: a bad name, size or option. */
  invalid: { retry: false, exitCode: 2, httpStatus: 400 },
  'read-only': { retry: false, exitCode: 4, httpStatus: 409 },
  /** No room or no turn right now. */
  'try-again': { retry: true, exitCode: 1, httpStatus: 503 },
  /** The thing is shutting down or was shut down. */
  closed: { retry: false, exitCode: 1, httpStatus: 503 },
  /** The state of the resource forbids it: in use, has dependants, changed meanwhile. */
  conflict: { retry: false, exitCode: 4, httpStatus: 409 },
  /** The name is taken. */
  exists: { retry: false, exitCode: 4, httpStatus: 409 },
  timeout: { retry: true, exitCode: 1, httpStatus: 504 },
  /** What would serve it cannot be reached. */
  unavailable: { retry: true, exitCode: 1, httpStatus: 503 },
  /** The caller, or this process, is not allowed to. */
  denied: { retry: false, exitCode: 1, httpStatus: 403 },
  /** A request or chunk beyond a limit. */
  'too-large': { retry: false, exitCode: 2, httpStatus: 413 },
  /** Written by a newer version of Skerry, or asked of one that cannot do it. */
  unsupported: { retry: false, exitCode: 1, httpStatus: 501 },
  cancelled: { retry: false, exitCode: 1, httpStatus: 409 },
  /** A bug of ours: its message is for a report, not for advice. */
  internal: { retry: false, exitCode: 1, httpStatus: 500 },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorTable;

/** The one error class. `message` is a sentence for a person: what failed, where, and what can be done. */
export class SkerryError extends Error {
  override readonly name = 'SkerryError';
  readonly code: ErrorCode;
  /** What exactly it was, in a word of the layer that threw it, where a protocol above has finer errors than the table; else ''. */
  readonly reason: string;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown; readonly reason?: string }) {
    super(message, options);
    this.code = code;
    this.reason = options?.reason ?? '';
  }

  /** The same call may succeed later. */
  get retry(): boolean {
    return errorTable[this.code].retry;
  }

  get exitCode(): ErrorKind['exitCode'] {
    return errorTable[this.code].exitCode;
  }

  get httpStatus(): number {
    return errorTable[this.code].httpStatus;
  }
}

export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(errorTable, text);
}

/** Whether `error` is a SkerryError, of one of `codes` where some are given. */
export function isSkerryError(error: unknown, ...codes: readonly ErrorCode[]): error is SkerryError {
  return error instanceof SkerryError && (codes.length === 0 || codes.includes(error.code));
}

/**
 * What `error` is in the terms of the table. A SkerryError is itself; system errors map by their errno name; an error
 * that already carries a code of the table (the native engine's do) keeps it; all else is `internal`.
 * `doing` names what was attempted and starts the message.
 */
export function toSkerryError(error: unknown, doing?: string): SkerryError {
  if (error instanceof SkerryError) return error;
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return new SkerryError(code, doing === undefined ? message : `${doing}: ${message}`, { cause: error });
}

const errnoCodes: Readonly<Record<string, ErrorCode>> = {
  EIO: 'io',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  ENOENT: 'not-found',
  ENOTDIR: 'invalid',
  EISDIR: 'invalid',
  EINVAL: 'invalid',
  ENAMETOOLONG: 'invalid',
  EFBIG: 'too-large',
  EROFS: 'read-only',
  EEXIST: 'exists',
  EACCES: 'denied',
  EPERM: 'denied',
  EBUSY: 'conflict',
  EADDRINUSE: 'conflict',
  EAGAIN: 'try-again',
  EMFILE: 'try-again',
  ENFILE: 'try-again',
  ENOMEM: 'try-again',
  ETIMEDOUT: 'timeout',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  EPIPE: 'unavailable',
  EHOSTUNREACH: 'unavailable',
  ENETUNREACH: 'unavailable',
  ESTALE: 'io',
  ABORT_ERR: 'cancelled',
};

function codeOf(error: unknown): ErrorCode {
  if (typeof error !== 'object' || error === null || !('code' in error)) return 'internal';
  const { code } = error;
  if (isErrorCode(code)) return code;
  if (typeof code !== 'string') return 'internal';
  const known = errnoCodes[code];
  if (known !== undefined) return known;
  return 'errno' in error ? 'io' : 'internal';
}
