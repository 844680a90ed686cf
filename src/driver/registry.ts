/** How a driver is made known: drivers/all.ts lists one entry for each, and nothing else names a driver. */
import type { ZodType } from 'zod';

import { SkerryError, toSkerryError } from '../core/errors.js';
import type { Driver, DriverTraits } from './driver.js';
import { openOrReopen } from './reopening.js';

export interface DriverEntry<Settings = unknown> {
  readonly name: string;
  /** One sentence for `skerry pool create --help`. */
  readonly description: string;
  /** Checks and types the `--set k=v` pairs, all of which come as text. */
  readonly settings: ZodType<Settings>;
  /** Names of settings whose values are never shown again. */
  readonly secrets?: readonly string[];
  /** @throws SkerryError when the backend cannot be opened. */
  open(settings: Settings): Promise<Driver>;
  /**
   * What the place can do at least, without asking it, so that a pool is served while its backend is away. null, or absent, where native
   * threads reach the chunks themselves: that place must be there.
   */
  traitsWhileAway?(settings: Settings): DriverTraits | null;
  /** The same for who only reads: nothing is made or changed, put and remove are refused. Absent where a driver cannot. */
  openToRead?(settings: Settings): Promise<Driver>;
}

/** An entry whose settings type is closed over, so that entries of different drivers fit one list. */
export interface RegisteredDriver {
  readonly name: string;
  readonly description: string;
  readonly secrets: readonly string[];
  /** @throws SkerryError invalid naming each setting that is wrong. */
  open(settings: Readonly<Record<string, string>>): Promise<Driver>;
  /**
   * As open; but where a backend cannot be reached, calls try that again, as reopening.ts tells, and `onAway` hears why.
   * @throws SkerryError as open does, where the place must be there
   */
  openOrAway?(settings: Readonly<Record<string, string>>, onAway: (failure: SkerryError) => void): Promise<Driver>;
  /** Of drivers that can be opened without changing anything. @throws as open does */
  openToRead?(settings: Readonly<Record<string, string>>): Promise<Driver>;
}

export type DriverRegistry = readonly RegisteredDriver[];

/** Stands for the value of a secret. */
const hidden = '(hidden)';

export function registerDriver<Settings>(entry: DriverEntry<Settings>): RegisteredDriver {
  const openToRead = entry.openToRead?.bind(entry);
  const open = (settings: Readonly<Record<string, string>>): Promise<Driver> =>
    openWith(entry, settings, (parsed) => entry.open(parsed));
  return {
    name: entry.name,
    description: entry.description,
    secrets: entry.secrets ?? [],
    open,
    async openOrAway(settings, onAway) {
      const parsed = entry.settings.safeParse(settings);
      const traits = parsed.success ? (entry.traitsWhileAway?.(parsed.data) ?? null) : null;
      return traits === null ? open(settings) : openOrReopen({ traits, open: () => open(settings), onAway });
    },
    ...(openToRead === undefined ? {} : { openToRead: (settings) => openWith(entry, settings, openToRead) }),
  };
}

async function openWith<Settings>(
  entry: DriverEntry<Settings>,
  settings: Readonly<Record<string, string>>,
  open: (parsed: Settings) => Promise<Driver>,
): Promise<Driver> {
  const parsed = entry.settings.safeParse(settings);
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'settings'}: ${issue.message}`).join('; ');
    throw new SkerryError('invalid', `driver ${entry.name}: ${wrong}`);
  }
  try {
    return await open(parsed.data);
  } catch (error) {
    throw toSkerryError(error, `driver ${entry.name} cannot be opened`);
  }
}

/** @throws SkerryError invalid where there is no such driver, naming those there are; else what its open throws. */
export async function openDriver(
  registry: DriverRegistry,
  name: string,
  settings: Readonly<Record<string, string>>,
): Promise<Driver> {
  return findDriver(registry, name).open(settings);
}

/** As openDriver, where a backend that cannot be reached is looked for again. `onAway` hears why it cannot be. */
export async function openDriverOrAway(
  registry: DriverRegistry,
  name: string,
  settings: Readonly<Record<string, string>>,
  onAway: (failure: SkerryError) => void,
): Promise<Driver> {
  const driver = findDriver(registry, name);
  return driver.openOrAway === undefined ? driver.open(settings) : driver.openOrAway(settings, onAway);
}

/** As openDriver, for who only reads. @throws SkerryError unsupported where the driver cannot be opened so */
export async function openDriverToRead(
  registry: DriverRegistry,
  name: string,
  settings: Readonly<Record<string, string>>,
): Promise<Driver> {
  const driver = findDriver(registry, name);
  if (driver.openToRead === undefined) throw new SkerryError('unsupported', `driver ${name} cannot be opened only to read`);
  return driver.openToRead(settings);
}

/** @throws SkerryError invalid where there is no such driver, naming those there are. */
export function findDriver(registry: DriverRegistry, name: string): RegisteredDriver {
  const entry = registry.find((candidate) => candidate.name === name);
  if (entry !== undefined) return entry;
  const known = registry.map((candidate) => candidate.name).join(', ');
  throw new SkerryError('invalid', `there is no driver ${JSON.stringify(name.slice(0, 40))}: known are ${known}`);
}

/** The settings as they may be shown: secret ones are there by name alone. A driver that is not known hides all. */
export function shownSettings(
  registry: DriverRegistry,
  name: string,
  settings: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const secrets = registry.find((candidate) => candidate.name === name)?.secrets ?? Object.keys(settings);
  const shown = Object.entries(settings).map(([key, value]) => [key, secrets.includes(key) ? hidden : value]);
  return Object.fromEntries(shown) as Record<string, string>;
}
