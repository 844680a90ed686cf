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

  /** What the file system rests on. Its bytes may be changed behind its back: what it has in the page cache stays as it was. */
  get device(): string {
    return join(this.#directory, 'image');
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }

  /**
   * As after an error of the device (errors=remount-ro): every write and sync fails from here on. A remount would be refused while files
   * are open for writing, so this is ext4's own shutdown (EXT4_IOC_SHUTDOWN), with what it had logged written first: a host whose
   * file system fails loses no more than that.
   */
  async goReadOnly(): Promise<void> {
    const logFlush = 1;
    const script = `import fcntl, os, struct; fcntl.ioctl(os.open("${this.path}", os.O_RDONLY), 0x8004587d, struct.pack("I", ${logFlush}))`;
    await must('/usr/bin/python3', ['-c', script]);
  }

  /** Writable again, as a repair leaves it. Nothing may have it open. */
  async mountAgain(): Promise<void> {
    await must('umount', [this.path]);
    await must('mount', ['-o', 'loop', this.device, this.path]);
  }

  async remove(): Promise<void> {
    await must('umount', [this.path]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
