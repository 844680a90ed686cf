/** How a driver is made known: drivers/all.ts lists one entry for each, and nothing else names a driver. */
import type { ZodType } from 'zod';

import { SkerryError, toSkerryError } from '../core/errors.js';
import type { Driver } from './driver.js';

export interface DriverEntry<Settings = unknown> {
  readonly name: string;
  /** One sentence for `skerry pool create --help`. */
  readonly description: string;
  /** Checks and types the `--set k=v` pairs, all of which come as text. */
  readonly settings: ZodType<Settings>;
  /** @throws SkerryError when the backend cannot be opened. */
  open(settings: Settings): Promise<Driver>;
}

/** An entry whose settings type is closed over, so that entries of different drivers fit one list. */
export interface RegisteredDriver {
  readonly name: string;
  readonly description: string;
  /** @throws SkerryError invalid naming each setting that is wrong. */
  open(settings: Readonly<Record<string, string>>): Promise<Driver>;
}

export type DriverRegistry = readonly RegisteredDriver[];

export function registerDriver<Settings>(entry: DriverEntry<Settings>): RegisteredDriver {
  return {
    name: entry.name,
    description: entry.description,
    async open(settings) {
      const parsed = entry.settings.safeParse(settings);
      if (!parsed.success) {
        const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'settings'}: ${issue.message}`).join('; ');
        throw new SkerryError('invalid', `driver ${entry.name}: ${wrong}`);
      }
      try {
        return await entry.open(parsed.data);
      } catch (error) {
        throw toSkerryError(error, `driver ${entry.name} cannot be opened`);
      }
    },
  };
}

/** @throws SkerryError invalid where there is no such driver, naming those there are; else what its open throws. */
export async function openDriver(
  registry: DriverRegistry,
  name: string,
  settings: Readonly<Record<string, string>>,
): Promise<Driver> {
  const entry = registry.find((candidate) => candidate.name === name);
  if (entry === undefined) {
    const known = registry.map((candidate) => candidate.name).join(', ');
    throw new SkerryError('invalid', `there is no driver ${JSON.stringify(name.slice(0, 40))}: known are ${known}`);
  }
  return entry.open(settings);
}
