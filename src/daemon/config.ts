/**
 * What a daemon is told: options of the command over the configuration file over defaults, checked once and frozen.
 *
 * Memory. The ceiling, memoryBytesMax, is 1 GiB by default, and this is how it is split: the ring 64 MiB (shared memory, counted once it is
 * touched), the overlay 192 MiB, the cache of map nodes 64 MiB, that of blocks of remote pools 64 MiB, finding what the cache on the local disk
 * has 21 MiB, NBD buffers 128 MiB, V8's heap 304 MiB (src/core/heap.ts), and the rest, at least 128 MiB, for packs and logs (32 MiB of
 * each pool) on their way to remote pools, what is fetched from there (32 MiB are kept to be used again), the location index, threads and code.
 * Each part keeps to its own limit; parts that would not fit under the ceiling are refused. Bodies of objects on their way get what is left.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import { defaultDataDirectory } from '../control/endpoint.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { heap_bytes_max } from '../core/heap.js';
import { formatSize, parseSize } from '../core/sizes.js';
import type { EngineOptions } from '../engine/binding.js';
import type { TlsPaths } from './tls_files.js';

const MiB = 1 << 20;
const GiB = 1 << 30;
const sector_bytes = 4096;
/** sun_path of a Unix socket, without its closing NUL. */
const socket_path_bytes_max = 107;
const config_file_bytes_max = 1 << 20;
const socket_threads_max = 64;
const blocking_threads_max = 256;
const metrics_port = 7480;
const s3_address = { host: '127.0.0.1', port: 9000 };
/** Of bodies of objects on their way, where no setting says: what the ceiling leaves, within these. */
const s3_buffer_bytes = { min: 16 * MiB, max: 512 * MiB };
/** Of memory that no setting bounds. */
const rest_bytes_min = 128 * MiB;
/** Of the cache on disk, for each byte of memory that finding it takes: 80 bytes a record, of 16 KiB at least on average (native/blocks/local_cache.cc). */
const local_cache_bytes_found = 200;
const memory_parts = ['ringBytes', 'overlayBytesMax', 'nodeCacheBytesMax', 'blockCacheBytesMax', 'nbdBufferBytesMax'] as const;

/** Bytes as a number or as people write them: 67108864, "64M". `orNone`: 0 too. */
function sizeOf({ min, max, orNone = false }: { readonly min: number; readonly max: number; readonly orNone?: boolean }) {
  const allowed = `write a size from ${formatSize(min)} to ${formatSize(max)}, in whole ${sector_bytes} bytes${orNone ? ', or 0' : ''}`;
  return z.unknown().transform((value, context) => {
    if (orNone && (value === 0 || value === '0')) return 0;
    const bytes = bytesOf(value);
    if (bytes >= min && bytes <= max && bytes % sector_bytes === 0) return bytes;
    context.addIssue(`${JSON.stringify(value)} is not allowed: ${allowed}`);
    return z.NEVER;
  });
}

/** NaN for what is no size. */
function bytesOf(value: unknown): number {
  if (typeof value !== 'number' && typeof value !== 'string') return Number.NaN;
  try {
    return Number(parseSize(String(value)));
  } catch {
    return Number.NaN;
  }
}

/** HOST:PORT, an IPv6 address in brackets. */
const address = z.unknown().transform((text, context) => {
  const match = typeof text === 'string' ? /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) : null;
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    context.addIssue(`${JSON.stringify(text)} is no address: write HOST:PORT, as in 127.0.0.1:10809`);
    return z.NEVER;
  }
  return { host, port };
});

/** As a number, or as text of digits: options of the command are text. */
const wholeNumber = (min: number, max: number) =>
  z.unknown().transform((value, context) => {
    const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max) return number;
    context.addIssue(`${JSON.stringify(value)} is not allowed: write a whole number from ${min} to ${max}`);
    return z.NEVER;
  });

/** none: nobody is served there. */
const addressOrNone = z.unknown().transform((text, context) => {
  if (text === 'none') return null;
  const parsed = address.safeParse(text);
  if (parsed.success) return parsed.data;
  context.addIssue(`${JSON.stringify(text)} is no address: write HOST:PORT, as in 127.0.0.1:9000, or none`);
  return z.NEVER;
});

/** As people write them: `s3.example.org, objects.local`. */
const domainNames = z.unknown().transform((text, context) => {
  const names = typeof text === 'string' ? text.split(',').map((name) => name.trim().toLowerCase()) : [''];
  if (names.every((name) => /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name)))
    return names;
  context.addIssue(`${JSON.stringify(text)} are no names of hosts: write them with commas between, without ports`);
  return z.NEVER;
});

/** By name: what buckets name them by (`arn:aws:sqs:REGION::NAME`). */
const webhook_name = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const webhooks_max = 32;

/** A redirect is not followed, and a password in a URL would be in logs. */
const webhookUrl = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.hash === '';
}, 'write http://HOST/PATH or https://HOST/PATH, without a user or a password');

const file = z
  .string()
  .min(1)
  .transform((path) => resolve(path));

const settings = z.strictObject({
  /** Serve NBD on TCP too; without nbdTlsCertificate nothing is encrypted there, and nobody is asked who they are. */
  nbdListen: address.optional(),
  /** Files in PEM: the server's certificate with those that lead to its root, and its key. */
  nbdTlsCertificate: file.optional(),
  nbdTlsKey: file.optional(),
  /** Authorities in PEM: clients must show a certificate that one of these signed. */
  nbdTlsClientCa: file.optional(),
  /** On TCP. Where there is a certificate the default is required, else off. */
  nbdTlsMode: z.enum(['off', 'optional', 'required']).optional(),
  /** Of health and metrics on 127.0.0.1; 0 picks a free one. */
  httpPort: wholeNumber(0, 65_535).default(metrics_port),
  /** Where S3 is served. */
  s3Listen: addressOrNone.default(s3_address),
  /** Each bucket has a host of its own below these: `BUCKET.DOMAIN`. */
  s3Domains: domainNames.default([]),
  s3Region: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'write a name of small letters, digits and hyphens, as in us-east-1')
    .default('us-east-1'),
  /** Requests that are signed by the older scheme, of HMAC-SHA1, which leaves more of them unsigned. */
  s3SignatureVersion2: z.enum(['accepted', 'refused']).default('accepted'),
  /** Files in PEM: with them S3 is served over TLS, and over nothing else. */
  s3TlsCertificate: file.optional(),
  s3TlsKey: file.optional(),
  /** Where bodies of buckets go that are made from then on. */
  s3Pool: z.string().min(1).default('default'),
  /** Whose objects images are that are imported; absent: those of the only account. */
  s3ImagesAccount: z.string().min(1).optional(),
  /** A line of JSON for each request. */
  s3AuditLog: file.optional(),
  /** Of each account; 0: as many as come. */
  s3RequestsPerSecond: wholeNumber(0, 1_000_000).default(0),
  s3BytesPerSecond: sizeOf({ min: 64 * 1024, max: 1024 * GiB, orNone: true }).default(0),
  /** Between runs that keep the rules of lifecycle; 0: never. */
  s3LifecycleSeconds: wholeNumber(0, 604_800).default(86_400),
  /** Who may be told of changes in buckets. Only in the file. */
  s3Webhooks: z
    .record(
      z.string().regex(webhook_name, 'a webhook has a name of up to 64 letters, digits, hyphens and underscores'),
      z.strictObject({ url: webhookUrl, secretFile: file.optional(), accounts: z.array(z.string().min(1)).optional() }),
    )
    .refine((all) => Object.keys(all).length <= webhooks_max, `there are ${webhooks_max} at most`)
    .default({}),
  /** Of bodies on their way, of all requests together. */
  s3BufferBytesMax: sizeOf({ min: s3_buffer_bytes.min, max: 1024 * GiB }).optional(),
  /** Of all that the daemon holds, shared memory included. */
  memoryBytesMax: sizeOf({ min: 512 * MiB, max: 1024 * GiB }).default(GiB),
  ringBytes: sizeOf({ min: 4 * MiB, max: 4 * GiB }).default(64 * MiB),
  segmentBytes: sizeOf({ min: 2 * MiB, max: GiB }).default(32 * MiB),
  journalBytesMax: sizeOf({ min: 16 * MiB, max: 1024 * GiB }).default(4 * GiB),
  overlayBytesMax: sizeOf({ min: 8 * MiB, max: 1024 * GiB }).default(192 * MiB),
  nodeCacheBytesMax: sizeOf({ min: MiB, max: 1024 * GiB }).default(64 * MiB),
  blockCacheBytesMax: sizeOf({ min: MiB, max: 1024 * GiB }).default(64 * MiB),
  /** On the local disk: blocks of remote pools, for the next reader and the next start; a quarter of the room there at most. */
  localCacheBytesMax: sizeOf({ min: 64 * MiB, max: 512 * GiB, orNone: true }).default(4 * GiB),
  /** On the local disk, of each remote pool: packs that wait to be shipped, and copies of those that were. */
  poolStagedBytesMax: sizeOf({ min: 32 * MiB, max: 1024 * GiB }).default(GiB),
  poolKeptBytesMax: sizeOf({ min: MiB, max: 1024 * 1024 * GiB }).default(GiB),
  nbdBufferBytesMax: sizeOf({ min: 64 * MiB, max: 1024 * GiB }).default(128 * MiB),
  socketThreads: wholeNumber(1, socket_threads_max).default(Math.min(Math.max(availableParallelism(), 2), 8)),
  blockingThreads: wholeNumber(1, blocking_threads_max).default(8),
  /** Between runs by themselves that give space back; 0: only when asked. */
  gcSeconds: wholeNumber(0, 604_800).default(3600),
  scrubSeconds: wholeNumber(0, 2_000_000).default(604_800),
  /** Between counts of what accounts hold that is distinct, which walk over all maps; 0: never. */
  usageUniqueSeconds: wholeNumber(0, 604_800).default(3600),
  /** How long it is known what accounts did. */
  usageDays: wholeNumber(1, 3660).default(90),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

type Settings = z.output<typeof settings>;

export const settingNames: readonly string[] = Object.keys(settings.shape);

/** As the command line gives them: text where it was text. What is absent is taken from the file, else from the defaults. */
export interface ServeOptions extends Partial<Readonly<Record<Exclude<keyof Settings, 's3Webhooks'>, string | number>>> {
  /** Else SKERRY_DATA, else /var/lib/skerry for root and ~/.local/share/skerry for others. */
  readonly dataDirectory?: string;
  /** JSON, with the names of the settings above. */
  readonly configFile?: string;
  /** Go on past journal corruption, losing what it held. Only ever said for one start, so it is no setting. */
  readonly salvageJournal?: boolean;
}

export interface Config extends Readonly<Settings> {
  readonly s3BufferBytesMax: number;
  /** null: S3 is served without TLS. */
  readonly s3Tls: TlsPaths | null;
  /** Absolute. */
  readonly dataDirectory: string;
  readonly nbdSocket: string;
  readonly adminSocket: string;
  readonly salvageJournal: boolean;
  /** null: NBD is served without TLS. */
  readonly nbdTls: NbdTlsConfig | null;
}

export interface NbdTlsConfig extends TlsPaths {
  readonly mode: 'optional' | 'required';
}

/** @throws SkerryError invalid naming each setting that is wrong. */
export function resolveConfig(options: ServeOptions): Config {
  const { dataDirectory: named, configFile, salvageJournal = false, ...given } = options;
  const dataDirectory = resolve(named ?? defaultDataDirectory());
  const file = configFile === undefined ? {} : readConfigFile(configFile);
  const fromOptions = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const parsed = settings.safeParse({ ...file, ...fromOptions });
  if (!parsed.success) {
    throw new SkerryError('invalid', `the configuration is wrong: ${parsed.error.issues.map(explain).join('; ')}`);
  }
  if (parsed.data.segmentBytes * 2 > parsed.data.ringBytes) {
    throw new SkerryError(
      'invalid',
      `the configuration is wrong: segmentBytes must be at most half of ringBytes (${parsed.data.ringBytes})`,
    );
  }
  const s3BufferBytesMax = s3BufferBytes(parsed.data);
  refuseTooMuch(parsed.data);
  const nbdTls = tlsOf(parsed.data);
  const s3Tls = s3TlsOf(parsed.data);
  const nbdSocket = join(dataDirectory, 'nbd.sock');
  const adminSocket = join(dataDirectory, 'admin.sock');
  if (Buffer.byteLength(adminSocket) > socket_path_bytes_max) {
    throw new SkerryError(
      'invalid',
      `the path of the data directory ${dataDirectory} is too long: that of a socket in it may have ${socket_path_bytes_max} bytes`,
    );
  }
  return Object.freeze({
    ...parsed.data,
    dataDirectory,
    nbdSocket,
    adminSocket,
    salvageJournal,
    nbdTls,
    s3Tls,
    s3BufferBytesMax,
  });
}

/** Of all that has a limit of its own, and of the rest. */
function heldBytesMax(given: Settings): number {
  const found = Math.ceil(given.localCacheBytesMax / local_cache_bytes_found);
  const parts = memory_parts.reduce((before, name) => before + given[name], 0);
  return parts + found + heap_bytes_max + rest_bytes_min + (given.s3BufferBytesMax ?? 0);
}

/** Where nothing is left, the least there is: it is taken from what is for all else. */
function s3BufferBytes(given: Settings): number {
  const { min, max } = s3_buffer_bytes;
  return given.s3BufferBytesMax ?? Math.max(min, Math.min(max, given.memoryBytesMax - heldBytesMax(given)));
}

function refuseTooMuch(given: Settings): void {
  const sum = heldBytesMax(given);
  if (sum <= given.memoryBytesMax) return;
  const found = Math.ceil(given.localCacheBytesMax / local_cache_bytes_found);
  const named = [
    ...memory_parts.map((name) => `${name} ${formatSize(given[name])}`),
    ...(given.s3BufferBytesMax === undefined ? [] : [`s3BufferBytesMax ${formatSize(given.s3BufferBytesMax)}`]),
    `what localCacheBytesMax takes of memory ${formatSize(found)}`,
  ];
  throw new SkerryError(
    'invalid',
    `the configuration is wrong: ${named.join(', ')}, and ${formatSize(heap_bytes_max + rest_bytes_min)} for all else, are together ${formatSize(sum)}; ` +
      `lower one of them, or allow as much by memoryBytesMax (${formatSize(given.memoryBytesMax)})`,
  );
}

function tlsOf(given: Settings): NbdTlsConfig | null {
  const { nbdTlsCertificate: certificate, nbdTlsKey: key, nbdTlsClientCa: clientCa = null } = given;
  const mode = given.nbdTlsMode ?? (certificate === undefined && key === undefined && clientCa === null ? 'off' : 'required');
  if (mode === 'off') return null;
  if (certificate === undefined || key === undefined) {
    const missing = certificate === undefined ? 'nbdTlsCertificate' : 'nbdTlsKey';
    throw new SkerryError(
      'invalid',
      `the configuration is wrong: TLS for NBD needs a certificate and its key; set ${missing} too`,
    );
  }
  return { certificate, key, clientCa, mode };
}

function s3TlsOf({ s3TlsCertificate: certificate, s3TlsKey: key }: Settings): TlsPaths | null {
  if (certificate === undefined && key === undefined) return null;
  if (certificate === undefined || key === undefined) {
    const missing = certificate === undefined ? 's3TlsCertificate' : 's3TlsKey';
    throw new SkerryError(
      'invalid',
      `the configuration is wrong: TLS for S3 needs a certificate and its key; set ${missing} too`,
    );
  }
  return { certificate, key, clientCa: null };
}

function explain(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'unrecognized_keys') return `${issue.path.join('.')}: ${issue.message}`;
  const unknown = issue.keys.map((key) => JSON.stringify(key)).join(' or ');
  if (issue.path.length > 0) return `${issue.path.join('.')} has no ${unknown}`;
  return `there is no setting ${unknown}; there are ${settingNames.join(', ')}`;
}

export function engineOptions(config: Config, ringName: string): EngineOptions {
  const {
    ringBytes,
    segmentBytes,
    journalBytesMax,
    overlayBytesMax,
    nodeCacheBytesMax,
    blockCacheBytesMax,
    localCacheBytesMax,
    nbdBufferBytesMax,
    socketThreads,
    blockingThreads,
    salvageJournal,
  } = config;
  const directory = join(config.dataDirectory, 'engine');
  return {
    directory,
    ringName,
    ringBytes,
    segmentBytes,
    journalBytesMax,
    overlayBytesMax,
    nodeCacheBytesMax,
    blockCacheBytesMax,
    localCacheBytesMax,
    cacheDirectory: join(config.dataDirectory, 'cache'),
    nbdBufferBytesMax,
    socketThreads,
    blockingThreads,
    salvageJournal,
  };
}

function readConfigFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw toSkerryError(error, `the configuration file ${path} cannot be read`);
  }
  if (text.length > config_file_bytes_max) throw new SkerryError('invalid', `the configuration file ${path} is too long`);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new SkerryError(
      'invalid',
      `the configuration file ${path} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new SkerryError('invalid', `the configuration file ${path} must hold one object of settings`);
  }
  return content as Record<string, unknown>;
}
