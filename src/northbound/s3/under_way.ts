/** A request from its head to the end of its answer, and what becomes known of it on the way. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Principal } from '../../identity/access_keys.js';
import type { Address } from './address.js';
import type { Caller } from './authenticator.js';
import type { BodyHooks } from './request_body.js';
import type { RequestRecord } from './request_record.js';
import type { TransferMemory } from './transfer_memory.js';

/** Signed chunks up to here are among what each upload is given anyway. */
const chunk_bytes_allowed = 1 << 20;

export class UnderWay {
  readonly requestId = newRequestId();
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly #expectsContinue: boolean;
  readonly #memory: TransferMemory;
  readonly #startedAt = Date.now();
  readonly #began = performance.now();
  /** Asked now: a socket that is gone has none. */
  readonly clientAddress: string | null;
  readonly #givesBack: (() => void)[] = [];
  #chunkBytes = chunk_bytes_allowed;
  #continued = false;
  address: Address | null = null;
  authenticated = false;
  caller: Caller<Principal> | null = null;
  operation: string | null = null;
  /** That go with whatever it is answered. */
  corsHeaders: Readonly<Record<string, string>> = {};
  status = 0;
  code: string | null = null;
  bytesIn = 0;
  bytesOut = 0;

  constructor(incoming: IncomingMessage, response: ServerResponse, expectsContinue: boolean, memory: TransferMemory) {
    this.incoming = incoming;
    this.response = response;
    this.#expectsContinue = expectsContinue;
    this.#memory = memory;
    this.clientAddress = incoming.socket.remoteAddress ?? null;
  }

  /** For words and logs: `/bucket/key`, or the path as it came where it is for nothing. */
  get place(): string {
    if (this.address === null) return (this.incoming.url ?? '').replace(/\?.*$/s, '');
    const { bucket, key } = this.address;
    return bucket === null ? '/' : key === null ? `/${bucket}` : `/${bucket}/${key}`;
  }

  /** Whose shares it takes of; 0: of all who sign nothing, or of whom it is not known yet. */
  get account(): number {
    return this.caller?.principal.account ?? 0;
  }

  /** The client waits for leave to send its body, and got none. */
  get awaitsLeave(): boolean {
    return this.#expectsContinue && !this.#continued;
  }

  readonly hooks: BodyHooks = {
    onFirstRead: () => {
      if (!this.awaitsLeave) return;
      this.#continued = true;
      this.response.writeContinue();
    },
    onReceived: (bytes) => {
      this.bytesIn += bytes;
    },
    onSignedChunk: (bytes) => {
      if (bytes <= this.#chunkBytes) return;
      this.#givesBack.push(this.#memory.takeNow(this.account, bytes - this.#chunkBytes));
      this.#chunkBytes = bytes;
    },
  };

  /** Until the end of the request. @throws S3Failure SlowDown */
  async takeMemory(bytes: number): Promise<void> {
    this.#givesBack.push(await this.#memory.take(this.account, bytes));
  }

  end(): void {
    for (const giveBack of this.#givesBack.splice(0)) giveBack();
  }

  record(): RequestRecord {
    const { requestId, operation, authenticated, clientAddress, status, code, bytesIn, bytesOut } = this;
    return {
      requestId,
      startedAt: this.#startedAt,
      milliseconds: Math.round((performance.now() - this.#began) * 1000) / 1000,
      method: this.incoming.method ?? '',
      operation,
      bucket: this.address?.bucket ?? null,
      key: this.address?.key ?? null,
      authenticated,
      principal: this.caller?.principal ?? null,
      scheme: this.caller?.scheme ?? null,
      clientAddress,
      status,
      code,
      aborted: !this.response.writableFinished,
      bytesIn,
      bytesOut,
    };
  }
}

/** 16 digits: of a UUID, for which node draws its dice in bulk. */
function newRequestId(): string {
  return randomUUID().replaceAll('-', '').slice(-16).toUpperCase();
}
