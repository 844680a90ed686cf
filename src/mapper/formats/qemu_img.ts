/** qemu-img, asked what an image is and told to copy one. It always hears which driver to use, and never probes. */
import { SkerryError } from '../../core/errors.js';
import type { LimitedPrograms, ProcessEnd, ProcessLimits } from './limited_process.js';

/** QEMU's description of something it can open: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html, BlockdevOptions. */
export type BlockNode = { readonly [key: string]: string | null | boolean | number | BlockNode };

export interface ImageInfo {
  readonly filename: string;
  readonly format: string;
  readonly virtualBytes: number;
  readonly backingFilename: string | null;
  readonly backingFormat: string | null;
  readonly encrypted: boolean;
}

const info_milliseconds_max = 60_000;
/** As OpenStack bounds its look at an image. */
const info_limits: ProcessLimits = { memoryBytesMax: 1 << 30, processorSecondsMax: 30, fileBytesMax: 0, filesMax: 64 };
const copy_limits: ProcessLimits = { memoryBytesMax: 2 ** 31, filesMax: 64 };
const message_characters_max = 400;
const check_corrupt = 2;
/** Whole; whole with space that nothing uses; of a format without a check. */
const checkPassed: ReadonlySet<number | null> = new Set([0, 3, 63]);

export class QemuImg {
  readonly #programs: LimitedPrograms;

  constructor(programs: LimitedPrograms) {
    this.#programs = programs;
  }

  /** The image, then those it rests on where `chain` asks for them. `name` is what the failure calls it, and `otherwise` its code. */
  async info(
    node: BlockNode,
    about: {
      readonly name: string;
      readonly purpose: string;
      readonly chain: boolean;
      readonly otherwise: 'corrupt' | 'unavailable';
    },
  ): Promise<readonly ImageInfo[]> {
    const args = ['info', '--output=json', '-U', ...(about.chain ? ['--backing-chain'] : []), `json:${JSON.stringify(node)}`];
    const end = await this.#programs.run('qemu-img', args, {
      purpose: about.purpose,
      limits: info_limits,
      milliseconds: info_milliseconds_max,
    });
    if (end.status !== 0) throw failure(end, `${about.name} cannot be read`, about.otherwise);
    let told: unknown;
    try {
      told = JSON.parse(end.stdout);
    } catch (cause) {
      throw new SkerryError('internal', `qemu-img info of ${about.name} answered with what is not JSON`, { cause });
    }
    return (Array.isArray(told) ? told : [told]).map(parseInfo);
  }

  /**
   * Whether the image is whole, by its own tables, where its format has a check. What lies past the end of a file reads as
   * zeroes, so one that was cut off on its way would be copied without a word.
   * @throws SkerryError corrupt
   */
  async check(
    node: BlockNode,
    about: { readonly name: string; readonly purpose: string; readonly signal: AbortSignal },
  ): Promise<void> {
    const args = ['check', `json:${JSON.stringify(node)}`];
    const { purpose, signal } = about;
    const end = await this.#programs.run('qemu-img', args, { purpose, signal, limits: { ...copy_limits, fileBytesMax: 0 } });
    if (checkPassed.has(end.status)) return;
    if (end.status === check_corrupt)
      throw new SkerryError('corrupt', `${about.name} is damaged or cut off: qemu-img check tells more`);
    throw failure(end, `${about.name} cannot be read`, 'corrupt');
  }

  /** Copies all of `from` into what is there already at `to`, an NBD URI, and reads as zeroes. @throws SkerryError */
  copyInto(from: BlockNode, to: string, about: CopyOptions): Promise<void> {
    const args = ['-n', '--target-is-zero', '-W', '-O', 'raw', `json:${JSON.stringify(from)}`, to];
    return this.#convert(args, { ...copy_limits, fileBytesMax: 0 }, about);
  }

  /** Writes a qcow2 file at `path`, over what is there. @throws SkerryError */
  writeQcow2(from: string, path: string, about: CopyOptions & { readonly compress: boolean }): Promise<void> {
    const compress = about.compress ? ['-c'] : ['-W'];
    return this.#convert([...compress, '-f', 'raw', '-O', 'qcow2', from, path], copy_limits, about);
  }

  async #convert(args: readonly string[], limits: ProcessLimits, about: CopyOptions): Promise<void> {
    let line = '';
    const end = await this.#programs.run('qemu-img', ['convert', '-p', ...args], {
      purpose: about.purpose,
      limits,
      signal: about.signal,
      onOutput: (text) => {
        // `    (12.34/100%)\r`, again and again.
        line = (line + text).slice(-200);
        const shares = [...line.matchAll(/\((\d+\.\d+)\/100%\)/g)];
        const share = Number(shares.at(-1)?.[1] ?? Number.NaN);
        if (Number.isFinite(share)) about.onShare(Math.min(1, share / 100));
      },
    });
    if (end.status !== 0) throw failure(end, about.doing, 'io');
  }
}

export interface CopyOptions {
  /** `tests are read`, for who has no qemu-img. */
  readonly purpose: string;
  /** Starts the message of a failure. */
  readonly doing: string;
  readonly signal: AbortSignal;
  /** Of the work that is done, from 0 to 1. */
  readonly onShare: (share: number) => void;
}

function failure(end: ProcessEnd, doing: string, code: 'corrupt' | 'unavailable' | 'io'): SkerryError {
  const said = end.stderr.replaceAll(/^qemu-img: /gm, '').replaceAll(/\s+/g, ' ');
  // Its own limit on memory, processor time or open files, or a crash: the image asks for more than any honest one.
  if (end.status === null || end.status > 128 || /cannot allocate memory|too many open files/i.test(said))
    return new SkerryError('invalid', `${doing}: qemu-img ran into its limits${said === '' ? '' : `: ${shorten(said)}`}`);
  const full = /No space left on device/.test(said);
  return new SkerryError(full ? 'no-space' : code, `${doing}: ${said === '' ? 'qemu-img gave no reason' : shorten(said)}`);
}

/** It may repeat a whole node in its words; the end of them says what is wrong. */
function shorten(text: string): string {
  return text.length <= message_characters_max ? text : `...${text.slice(3 - message_characters_max)}`;
}

function parseInfo(told: unknown): ImageInfo {
  const fields = (typeof told === 'object' && told !== null ? told : {}) as Readonly<Record<string, unknown>>;
  const text = (name: string): string | null => {
    const value = fields[name];
    return typeof value === 'string' ? value : null;
  };
  const virtualBytes = fields['virtual-size'];
  if (typeof virtualBytes !== 'number' || virtualBytes < 0) throw new SkerryError('internal', 'qemu-img info told no size');
  return {
    filename: text('filename') ?? '',
    format: text('format') ?? '',
    virtualBytes,
    backingFilename: text('full-backing-filename') ?? text('backing-filename'),
    backingFormat: text('backing-filename-format'),
    encrypted: fields['encrypted'] === true,
  };
}
