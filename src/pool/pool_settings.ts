/** Settings that belong to a pool and not to its driver: `--set` takes both. */
import { SkerryError } from '../core/errors.js';

export interface PoolSettings {
  /** stall: what needs a backend that is away waits for it, up to `stallMilliseconds`; error: it fails as soon as a few attempts did. */
  readonly onOutage: 'stall' | 'error';
  readonly stallMilliseconds: number;
}

const stall_seconds_default = 120;
const stall_seconds_max = 86_400;

export interface SplitSettings {
  readonly pool: PoolSettings;
  readonly driver: Readonly<Record<string, string>>;
}

/** @throws SkerryError invalid for a value that one of the pool's own settings cannot have. */
export function splitSettings(settings: Readonly<Record<string, string>>): SplitSettings {
  const { 'on-outage': onOutage = 'stall', 'stall-seconds': stallSeconds = String(stall_seconds_default), ...driver } = settings;
  if (onOutage !== 'stall' && onOutage !== 'error')
    throw new SkerryError('invalid', `on-outage: ${JSON.stringify(onOutage.slice(0, 40))} is neither stall nor error`);
  const seconds = /^\d{1,5}$/.test(stallSeconds) ? Number(stallSeconds) : 0;
  if (seconds < 1 || seconds > stall_seconds_max)
    throw new SkerryError('invalid', `stall-seconds: write a whole number of seconds, 1 to ${stall_seconds_max}`);
  return { pool: { onOutage, stallMilliseconds: onOutage === 'stall' ? seconds * 1000 : 0 }, driver };
}
