/** What is known of a request once it was answered, or its client is gone: for the audit log, for usage and for metrics. */
import type { Principal } from '../../identity/access_keys.js';
import type { Scheme } from './authenticator.js';

export interface RequestRecord {
  readonly requestId: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly milliseconds: number;
  readonly method: string;
  /** As AWS calls it: `GetObject`; null where the request means none, or was refused before that was known. */
  readonly operation: string | null;
  /** As the request named them, whether they are there or not. */
  readonly bucket: string | null;
  readonly key: string | null;
  /** Whether it is known who asks, be it nobody: a bad signature is nobody's. */
  readonly authenticated: boolean;
  /** null: nobody signed. */
  readonly principal: Principal | null;
  readonly scheme: Scheme | null;
  readonly clientAddress: string | null;
  /** 0: there was no answer. */
  readonly status: number;
  /** Of the failure, as the client was told it. */
  readonly code: string | null;
  /** The client was gone before its answer was. */
  readonly aborted: boolean;
  /** Of bodies, with their framing; heads are not counted. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}
