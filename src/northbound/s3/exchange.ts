/** One request with all that an operation needs to answer it. */
import type { Account, AccountEntry, AccountSecrets } from '../../identity/accounts.js';
import type { Principal } from '../../identity/access_keys.js';
import type { Cause, Notices } from '../../object/notices.js';
import type { ObjectStore } from '../../object/object_store.js';
import type { Access } from './access.js';
import type { Address } from './address.js';
import type { Answer } from './answer.js';
import type { Authenticator, Caller } from './authenticator.js';
import { S3Failure } from './errors.js';
import type { RequestBody } from './request_body.js';
import type { S3Request } from './request.js';

/** Whom changes may be told to. */
export interface NamedWebhook {
  readonly name: string;
  /** Names of those whose buckets it may hear of; null: of all. */
  readonly accounts: readonly string[] | null;
}

/** What all requests share. */
export interface S3Services {
  readonly store: ObjectStore;
  readonly notices: Pick<Notices, 'test'>;
  /** That rules of buckets may name. */
  readonly webhooks: readonly NamedWebhook[];
  readonly access: Access;
  readonly accounts: {
    /** @throws SkerryError not-found */
    get(account: string | number): Promise<Account>;
    byCanonicalId(canonicalId: string): Promise<Account | null>;
    /** To be compared by what comes to be in it. @throws SkerryError not-found, conflict while it is being deleted */
    livingEntry(account: number): Promise<AccountEntry>;
    /** @throws SkerryError not-found, unavailable without an identity key */
    secrets(account: number): Promise<AccountSecrets>;
  };
  readonly authenticator: Authenticator<Principal>;
  readonly region: string;
  /** Where bodies of new buckets go. */
  readonly pool: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Exchange {
  readonly requestId: string;
  readonly request: S3Request;
  readonly address: Address;
  /** null: nobody signed. */
  readonly caller: Caller<Principal> | null;
  /** Told of who asks by an operation that finds it in the body. @throws S3Failure SlowDown where he has asked too much */
  readonly identify: (caller: Caller<Principal> | null) => void;
  readonly body: RequestBody;
  /** An IPv4 or IPv6 address; null where it came through none. */
  readonly clientAddress: string | null;
  readonly services: S3Services;
}

/** An operation of S3. */
export interface Operation {
  /** As AWS calls it: `GetObject`. It is in the log, and in what is counted. */
  readonly name: string;
  /** Who asks is said in the body: it is known once the operation has told exchange.identify. */
  readonly callerInBody?: true;
  /** The body is read only after access was judged. @throws S3Failure, SkerryError */
  run(exchange: Exchange): Promise<Answer>;
}

/** @throws S3Failure AccessDenied where nobody signed */
export function signedCaller({ caller }: Exchange): Principal {
  if (caller === null) throw new S3Failure('AccessDenied');
  return caller.principal;
}

/** What is told of who asked for a change, to who hears of that. */
export function causeOf({ caller, clientAddress, requestId }: Exchange): Cause {
  return { requester: caller?.principal.userId ?? '', address: plainAddress(clientAddress) ?? '', requestId };
}

/** Without what a socket for both families puts before IPv4 addresses: `::ffff:192.0.2.1`. */
export function plainAddress(address: string | null): string | null {
  return address?.replace(/^::ffff:(?=\d+\.)/i, '') ?? null;
}

/** Of a request that is for a bucket, or for an object in one. */
export function bucketName({ address }: Exchange): string {
  if (address.bucket === null) throw new Error('the request is for no bucket');
  return address.bucket;
}

/** Of a request that is for an object. */
export function objectKey({ address }: Exchange): string {
  if (address.key === null) throw new Error('the request is for no object');
  return address.key;
}
