/** Where a daemon answers: the Unix socket of its data directory, or an HTTP address. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { SkerryError } from '../core/errors.js';
import { node_major_min } from '../core/limits.js';

export type Endpoint =
  | { readonly kind: 'socket'; readonly socketPath: string; readonly dataDirectory: string }
  | { readonly kind: 'http'; readonly host: string; readonly port: number; readonly basePath: string; readonly url: string };

export interface Environment {
  readonly SKERRY_DATA?: string | undefined;
}

/** SKERRY_DATA, else /var/lib/skerry for root and ~/.local/share/skerry for others. Absolute. */
export function defaultDataDirectory(environment: Environment = process.env): string {
  const { SKERRY_DATA: named } = environment;
  if (named !== undefined && named !== '') return resolve(named);
  return process.getuid?.() === 0 ? '/var/lib/skerry' : join(homedir(), '.local', 'share', 'skerry');
}

export function socketEndpoint(dataDirectory: string): Endpoint {
  const directory = resolve(dataDirectory);
  return { kind: 'socket', socketPath: join(directory, 'admin.sock'), dataDirectory: directory };
}

/** @throws SkerryError invalid for what is no http URL. */
export function httpEndpoint(text: string): Endpoint {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== 'http:' || url.hostname === '') {
    throw new SkerryError('invalid', `${JSON.stringify(text)} is no address of a daemon: write it as http://HOST:PORT`);
  }
  if (url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new SkerryError('invalid', 'the address of a daemon has no user, query or fragment: write it as http://HOST:PORT');
  }
  return {
    kind: 'http',
    // node:http wants an IPv6 address without the brackets of a URL.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 80 : Number(url.port),
    basePath: url.pathname.replace(/\/+$/, ''),
    url: url.href,
  };
}

/** The sentence for an endpoint where nothing answers, with the way out. */
export function unreachable(endpoint: Endpoint, cause: unknown): SkerryError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (endpoint.kind === 'http') {
    return new SkerryError(
      'unavailable',
      `no daemon answers at ${endpoint.url} (${describe(cause)}); check the address, and that the daemon runs`,
      { cause },
    );
  }
  const { socketPath, dataDirectory } = endpoint;
  if (code === 'EACCES' || code === 'EPERM') {
    return new SkerryError('denied', `the daemon at ${socketPath} belongs to another user: run the command as that user`, {
      cause,
    });
  }
  return new SkerryError('unavailable', `no daemon answers at ${socketPath}; start one with: ${howToStart(dataDirectory)}`, {
    cause,
  });
}

/** `node`: the version that this runs on, which need not be one that the daemon runs on. */
export function howToStart(dataDirectory: string, node = process.versions.node): string {
  const options = `--data ${quote(dataDirectory)}`;
  if (Number.parseInt(node, 10) >= node_major_min) return `skerry serve ${options}`;
  return `npm start -- ${options} (in the package; skerry serve needs Node.js ${node_major_min} or newer, and this is ${node})`;
}

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}

/** As a shell takes it back. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
