/** `--set key=value`, of a pool and its driver; may be given several times. */
import { SkerryError } from '../core/errors.js';

export const collectSettings = (value: string, before: readonly string[]): readonly string[] => [...before, value];

/** @throws SkerryError invalid for what is no key=value, or a key given twice */
export function parseSettings(pairs: readonly string[]): Record<string, string> {
  const settings = new Map<string, string>();
  for (const pair of pairs) {
    const [, key, value] = /^([a-z0-9-]+)=(.*)$/s.exec(pair) ?? [];
    // What stands behind the = may be a secret, and is not said again.
    if (key === undefined || value === undefined)
      throw new SkerryError('invalid', '--set takes key=value, with a key of a-z 0-9 and -');
    if (settings.has(key)) throw new SkerryError('invalid', `--set ${key}=... is given twice`);
    settings.set(key, value);
  }
  return Object.fromEntries(settings);
}
