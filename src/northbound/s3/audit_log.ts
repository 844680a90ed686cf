/**
 * A line of JSON for each request, in a file that others may rotate by renaming it: before anything is written it is looked whether the
 * path still means the file that is open. Nobody waits for it, and what a killed daemon had not written is lost.
 */
import { open, stat, type FileHandle } from 'node:fs/promises';

import type { RequestRecord } from './request_record.js';

/** Of lines that wait for a disk: past it lines are lost, and it is said how many. */
const waiting_bytes_max = 8 << 20;
/** Lines of a moment go together. */
const gather_milliseconds = 100;
const file_mode = 0o640;

export interface AuditLogOptions {
  readonly path: string;
  readonly log: (level: 'error', message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export class AuditLog {
  readonly #options: AuditLogOptions;
  #file: FileHandle | null = null;
  #lines: string[] = [];
  #bytes = 0;
  #lost = 0;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  /** @throws an error of the file system where the file cannot be written */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    const log = new AuditLog(options);
    await log.#current();
    return log;
  }

  add(record: RequestRecord): void {
    const line = `${JSON.stringify(lineOf(record))}\n`;
    if (this.#bytes + line.length > waiting_bytes_max) {
      this.#lost += 1;
      return;
    }
    this.#lines.push(line);
    this.#bytes += line.length;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, gather_milliseconds).unref();
  }

  /** All that was added before. Never rejects. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.flush();
    await this.#file?.close();
    this.#file = null;
  }

  async #write(): Promise<void> {
    const lines = this.#lines;
    const lost = this.#lost;
    if (lines.length === 0) return;
    this.#lines = [];
    this.#bytes = 0;
    this.#lost = 0;
    try {
      const file = await this.#current();
      await file.appendFile(lines.join(''));
      if (lost > 0) this.#options.log('error', 'lines of the audit log were lost: its disk is too slow', { lines: lost });
    } catch (error) {
      const { path } = this.#options;
      this.#options.log('error', 'the audit log cannot be written', { path, lines: lines.length + lost, error: String(error) });
    }
  }

  async #current(): Promise<FileHandle> {
    const { path } = this.#options;
    const file = this.#file;
    if (file !== null) {
      const [held, named] = await Promise.all([file.stat(), stat(path).catch(() => null)]);
      if (named !== null && named.ino === held.ino && named.dev === held.dev) return file;
      this.#file = null;
      await file.close();
    }
    this.#file = await open(path, 'a', file_mode);
    return this.#file;
  }
}

function lineOf({ startedAt, principal, scheme, ...rest }: RequestRecord): Record<string, unknown> {
  const { requestId, milliseconds, method, operation, bucket, key, clientAddress, status, code, aborted, bytesIn, bytesOut } =
    rest;
  return {
    time: new Date(startedAt).toISOString(),
    requestId,
    account: principal?.accountName ?? null,
    user: principal?.user ?? null,
    accessKey: principal?.accessKey ?? null,
    scheme,
    clientAddress,
    method,
    operation,
    bucket,
    key,
    status,
    code,
    aborted,
    bytesIn,
    bytesOut,
    milliseconds,
  };
}
