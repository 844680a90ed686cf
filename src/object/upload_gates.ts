/**
 * Parts of an upload are committed side by side, and none may be committed while the upload is completed or aborted: it would be
 * left behind. In memory only: each of these is one transaction, so a crash leaves nothing half done.
 */
import { SkerryError } from '../core/errors.js';

interface Gate {
  inside: number;
  closed: boolean;
  wake: () => void;
}

export class UploadGates {
  readonly #gates = new Map<number, Gate>();

  /** Runs what commits a part. @throws SkerryError not-found (no-such-upload) while the upload ends */
  async enter<T>(upload: number, work: () => Promise<T>): Promise<T> {
    const gate = this.#of(upload);
    if (gate.closed) throw noSuchUpload();
    gate.inside += 1;
    try {
      return await work();
    } finally {
      gate.inside -= 1;
      gate.wake();
      this.#forget(upload, gate);
    }
  }

  /** Runs what ends the upload, when no part is being committed. Where it fails, parts may come again. */
  async close<T>(upload: number, work: () => Promise<T>): Promise<T> {
    const gate = this.#of(upload);
    if (gate.closed)
      throw new SkerryError('conflict', 'the upload is being completed or aborted already', { reason: 'upload-ending' });
    gate.closed = true;
    try {
      while (gate.inside > 0) {
        await new Promise<void>((resolve) => {
          gate.wake = resolve;
        });
      }
      return await work();
    } finally {
      gate.closed = false;
      this.#forget(upload, gate);
    }
  }

  #of(upload: number): Gate {
    let gate = this.#gates.get(upload);
    if (gate === undefined) {
      gate = { inside: 0, closed: false, wake: () => undefined };
      this.#gates.set(upload, gate);
    }
    return gate;
  }

  #forget(upload: number, gate: Gate): void {
    if (gate.inside === 0 && !gate.closed) this.#gates.delete(upload);
  }
}

export function noSuchUpload(): SkerryError {
  return new SkerryError('not-found', 'there is no such upload: it was completed or aborted, or never begun', {
    reason: 'no-such-upload',
  });
}
