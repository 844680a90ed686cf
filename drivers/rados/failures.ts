/** What librados's errnos mean, in codes of the one table and in words that say what to look at. */
import { isSkerryError, SkerryError, toSkerryError, type ErrorCode } from '../../src/core/errors.js';
import type { RadosSettings } from './settings.js';

export function hasErrno(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && names.includes(error.code);
}

/** null for what says that there is no such object; anything else is thrown on. */
export function nullIfAbsent(error: unknown): null {
  if (hasErrno(error, 'ENOENT')) return null;
  throw error;
}

/** Of a call on an open pool. `doing` begins the message. */
export function failureOf(error: unknown, doing: string, settings: RadosSettings): SkerryError {
  if (isSkerryError(error)) return error;
  const { pool, user } = settings;
  const seconds = settings['timeout-seconds'];
  const failure = (code: ErrorCode, why: string): SkerryError => new SkerryError(code, `${doing}: ${why}`, { cause: error });
  if (hasErrno(error, 'ETIMEDOUT')) return failure('timeout', `no answer in ${seconds} s: see \`ceph health detail\``);
  if (hasErrno(error, 'EDQUOT')) return failure('no-space', `pool ${pool} has reached its quota`);
  if (hasErrno(error, 'ENOSPC')) return failure('no-space', `pool ${pool} or an OSD under it is full`);
  if (hasErrno(error, 'EPERM', 'EACCES'))
    return failure('denied', `${user} may not: its OSD capabilities must allow rwx on pool ${pool} and the namespace`);
  // That a chunk is absent does not come here.
  if (hasErrno(error, 'ENOENT')) return failure('not-found', `pool ${pool} is gone`);
  // EBLOCKLISTED is that number to Linux.
  if (hasErrno(error, 'ESHUTDOWN'))
    return failure('unavailable', 'the cluster has put this client on its blocklist: see `ceph osd blocklist ls`');
  if (hasErrno(error, 'EMSGSIZE')) return failure('too-large', 'the OSDs take less at once (osd_max_write_size)');
  if (hasErrno(error, 'ENOTCONN')) return failure('unavailable', 'the cluster cannot be reached');
  return toSkerryError(error, doing);
}

/** Of connecting. `monitors`: as configured. */
export function connectFailureOf(error: unknown, monitors: string, settings: RadosSettings): SkerryError {
  const { conf, keyring, user } = settings;
  const failure = (code: ErrorCode, why: string): SkerryError => new SkerryError(code, why, { cause: error });
  if (hasErrno(error, 'ETIMEDOUT'))
    return failure('unavailable', `no monitor of ${conf} (${monitors}) answered in ${settings['timeout-seconds']} s`);
  if (hasErrno(error, 'EPERM', 'EACCES'))
    return failure('denied', `the cluster does not let ${user} in with the key of ${keyring ?? 'its keyring'}`);
  if (hasErrno(error, 'ENOENT'))
    return failure('invalid', `settings: ${conf} names no monitor, or there is no keyring for ${user}: set keyring`);
  if (hasErrno(error, 'EINVAL'))
    return failure('invalid', `settings: the monitors of ${conf} (${monitors}) are no addresses that are known`);
  return toSkerryError(error, `${conf} (${monitors}) cannot be connected to as ${user}`);
}
