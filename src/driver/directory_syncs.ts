/**
 * Syncs of directories, shared: who asks while one is under way waits for the next, together with all others who ask
 * meanwhile. A sync that began before a name was made says nothing about that name.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

interface Line {
  running: Promise<void>;
  next: Promise<void> | null;
}

export class DirectorySyncs {
  readonly #sync: (path: string) => Promise<void>;
  readonly #lines = new Map<string, Line>();

  constructor(sync: (path: string) => Promise<void> = syncDirectory) {
    this.#sync = sync;
  }

  /** Resolves once all that was in the directory when it was called is durable. Rejects as the system does. */
  sync(path: string): Promise<void> {
    const line = this.#lines.get(path);
    if (line === undefined) return this.#begin(path);
    line.next ??= line.running.catch(() => undefined).then(() => this.#begin(path));
    return line.next;
  }

  #begin(path: string): Promise<void> {
    const running = this.#sync(path);
    const line: Line = { running, next: null };
    this.#lines.set(path, line);
    const ended = (): void => {
      if (line.next === null && this.#lines.get(path) === line) this.#lines.delete(path);
    };
    running.then(ended, ended);
    return running;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
