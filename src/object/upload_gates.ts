/**
 * Parts of an upload are committed side by side, and none may be committed while the upload is completed or aborted: it would be
 * left behind. Who comes meanwhile waits, and then looks whether the upload is still there. In memory only: each of these is one
 * transaction, so a crash leaves nothing half done.
 */
import { SkerryError } from '../core/errors.js';

interface Gate {
  /** Who is inside, or waits. */
  users: number;
  inside: number;
  closed: boolean;
  /** Who waits for a change of it. */
  readonly waiting: (() => void)[];
}

export class UploadGates {
  readonly #gates = new Map<number, Gate>();

  /** Runs what commits a part. */
  enter<T>(upload: number, work: () => Promise<T>): Promise<T> {
    return this.#use(upload, async (gate) => {
      while (gate.closed) await changeOf(gate);
      gate.inside += 1;
      try {
        return await work();
      } finally {
        gate.inside -= 1;
        changed(gate);
      }
    });
  }

  /** Runs what ends the upload, when no part is being committed and nobody else ends it. Where it fails, parts may come again. */
  close<T>(upload: number, work: () => Promise<T>): Promise<T> {
    return this.#use(upload, async (gate) => {
      while (gate.closed) await changeOf(gate);
      gate.closed = true;
      try {
        while (gate.inside > 0) await changeOf(gate);
        return await work();
      } finally {
        gate.closed = false;
        changed(gate);
      }
    });
  }

  async #use<T>(upload: number, work: (gate: Gate) => Promise<T>): Promise<T> {
    const gate = this.#gates.get(upload) ?? { users: 0, inside: 0, closed: false, waiting: [] };
    this.#gates.set(upload, gate);
    gate.users += 1;
    try {
      return await work(gate);
    } finally {
      gate.users -= 1;
      if (gate.users === 0) this.#gates.delete(upload);
    }
  }
}

function changeOf(gate: Gate): Promise<void> {
  return new Promise((resolve) => gate.waiting.push(resolve));
}

function changed(gate: Gate): void {
  for (const wake of gate.waiting.splice(0)) wake();
}

export function noSuchUpload(): SkerryError {
  return new SkerryError('not-found', 'there is no such upload: it was completed or aborted, or never begun', {
    reason: 'no-such-upload',
  });
}
