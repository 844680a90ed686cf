/** A client of one bucket whose every request ends in bounded time, with a failure of the one table if not well. */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

import { SkerryError } from '../../src/core/errors.js';
import { failureOf } from './failure.js';

/** Time is allowed for each of these that a request moves, begun ones counting whole. */
export const stride_bytes = 8 << 20;
const connect_seconds_max = 5;

export interface ConnectionOptions {
  /** AWS's own for the region where absent. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly pathStyle: boolean;
  readonly timeoutSeconds: number;
  /** Never a limit in practice: a request that waits for a socket spends its time. */
  readonly socketsMax: number;
  /** Signature version 4 where absent. */
  readonly signer?: NonNullable<S3ClientConfig['signer']>;
}

export interface Asking {
  /** Begins the message of a failure: `chunk K cannot be read`. */
  readonly doing: string;
  /** That the request carries one way or the other. */
  readonly bytes?: number;
  readonly giveUp?: AbortSignal;
}

export interface RequestOptions {
  readonly abortSignal: AbortSignal;
}

export class Connection {
  readonly bucket: string;
  /** For messages. */
  readonly place: string;
  readonly #client: S3Client;
  readonly #timeoutSeconds: number;

  constructor(options: ConnectionOptions) {
    this.bucket = options.bucket;
    this.place = `bucket ${options.bucket} at ${options.endpoint ?? `AWS ${options.region}`}`;
    this.#timeoutSeconds = options.timeoutSeconds;
    const agent = { keepAlive: true, maxSockets: options.socketsMax };
    this.#client = new S3Client({
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
      ...(options.signer === undefined ? {} : { signer: options.signer }),
      region: options.region,
      credentials: { accessKeyId: options.accessKey, secretAccessKey: options.secretKey },
      forcePathStyle: options.pathStyle,
      // Trying again is the retry filter's affair.
      maxAttempts: 1,
      // Servers of some age refuse sums they have not heard of.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // Costs a round and a connection for each put; and a server that refuses one so may be gone before its answer is read.
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: Math.min(connect_seconds_max, options.timeoutSeconds) * 1000,
        httpAgent: agent,
        httpsAgent: agent,
      },
    });
  }

  /**
   * What `call` gives, which is to have read all it wants of the answer by then: the rest is cut off.
   * @throws SkerryError timeout where it took too long, else as the table of failures says
   */
  async ask<T>(
    { doing, bytes = 0, giveUp }: Asking,
    call: (client: S3Client, options: RequestOptions) => Promise<T>,
  ): Promise<T> {
    const seconds = this.#timeoutSeconds * Math.max(1, Math.ceil(bytes / stride_bytes));
    const ended = new AbortController();
    const state = { late: false };
    const timer = setTimeout(() => {
      state.late = true;
      ended.abort();
    }, seconds * 1000);
    const abortSignal = giveUp === undefined ? ended.signal : AbortSignal.any([ended.signal, giveUp]);
    try {
      return await call(this.#client, { abortSignal });
    } catch (error) {
      const where = `${doing} (${this.place})`;
      if (state.late) throw new SkerryError('timeout', `${where}: no whole answer within ${seconds} s`, { cause: error });
      throw failureOf(error, where);
    } finally {
      clearTimeout(timer);
      // A socket whose answer nobody reads to its end would stay open for ever.
      ended.abort();
    }
  }

  close(): void {
    this.#client.destroy();
  }
}
