/** A small ext4 of its own, over a file: what fills up in a test must not be the disk that everybody works on. Needs root. */
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { must } from './command.ts';

/** Mounting takes root. Where it is there, as in CI, nothing is skipped. */
export const canMount = process.getuid?.() === 0;

export class SmallDisk {
  readonly path: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.path = join(directory, 'disk');
  }

  static async make(bytes: number): Promise<SmallDisk> {
    const disk = new SmallDisk(mkdtempSync(join(tmpdir(), 'skerry-disk-')));
    const image = join(disk.#directory, 'image');
    writeFileSync(image, '');
    truncateSync(image, bytes);
    mkdirSync(disk.path);
    // Without blocks kept for root, which the daemon here is.
    await must('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
    await must('mount', ['-o', 'loop', image, disk.path]);
    return disk;
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }

  async remove(): Promise<void> {
    await must('umount', [this.path]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
