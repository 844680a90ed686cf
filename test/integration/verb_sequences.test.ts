/** Sequences of verbs as nobody would write them down, against a model: names, sizes, bytes, and which verbs are refused. */
import { readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { type Client, connect } from '../../src/control/client.js';
import { isSkerryError } from '../../src/core/errors.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const page = 4096;
const names = ['a', 'b', 'c'];
const marks = ['x', 'y'];

/** A resource as the model knows it: one byte for each page, 0 where it was never written. */
type Pages = readonly number[];
type Model = Map<string, Pages>;

let daemon: DaemonProcess;
let client: Client;
let scratch: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-verbs-'));
  daemon = new DaemonProcess();
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
});

afterAll(async () => {
  client.close();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

interface Verb {
  readonly verb:
    | 'create'
    | 'write'
    | 'zero'
    | 'snapshot'
    | 'rollback'
    | 'resize'
    | 'rename'
    | 'clone'
    | 'delete'
    | 'forget'
    | 'diff'
    | 'kill';
  readonly name: string;
  readonly other: string;
  readonly mark: string;
  readonly first: number;
  readonly count: number;
  readonly byte: number;
}

const verbs = fc.record<Verb>({
  verb: fc.constantFrom(
    'create',
    'create',
    'write',
    'write',
    'write',
    'zero',
    'snapshot',
    'snapshot',
    'rollback',
    'resize',
    'resize',
    'rename',
    'clone',
    'delete',
    'forget',
    'diff',
    'kill',
  ),
  name: fc.constantFrom(...names),
  other: fc.constantFrom(...names),
  mark: fc.constantFrom(...marks),
  first: fc.nat(80),
  count: fc.integer({ min: 1, max: 40 }),
  byte: fc.integer({ min: 1, max: 255 }),
});

const snapshotsOf = (model: Model, volume: string): string[] => [...model.keys()].filter((name) => name.startsWith(`${volume}@`));

/** What the verb does to the model, or the code with which it must be refused. */
function expectedOf(model: Model, { verb, name, other, mark, first, count, byte }: Verb): Model | string {
  const next = new Map(model);
  const held = model.get(name);
  const snapshot = `${name}@${mark}`;
  const kept = model.get(snapshot);
  const size = first + count;
  switch (verb) {
    case 'kill':
      return next;
    case 'create':
      return held === undefined ? next.set(name, Array<number>(size).fill(0)) : 'exists';
    case 'clone': {
      if (held === undefined) return 'not-found';
      return model.has(other) ? 'exists' : next.set(other, held);
    }
    case 'rollback':
      return held === undefined || kept === undefined ? 'not-found' : next.set(name, kept);
    case 'forget':
      return kept !== undefined && next.delete(snapshot) ? next : 'not-found';
    case 'diff':
      return held === undefined || kept === undefined ? 'not-found' : next;
    case 'write':
    case 'zero':
    case 'snapshot':
    case 'resize':
    case 'rename':
    case 'delete':
      return held === undefined ? 'not-found' : expectedOfHeld(model, { verb, name, other, mark, first, count, byte }, held);
  }
}

/** The same for verbs that change a volume which is there. */
function expectedOfHeld(model: Model, { verb, name, other, mark, first, count, byte }: Verb, held: Pages): Model | string {
  const next = new Map(model);
  const snapshot = `${name}@${mark}`;
  const size = first + count;
  switch (verb) {
    case 'write':
    case 'zero':
      return next.set(
        name,
        held.map((was, at) => (at >= first && at < size ? (verb === 'zero' ? 0 : byte) : was)),
      );
    case 'snapshot':
      return model.has(snapshot) ? 'exists' : next.set(snapshot, held);
    case 'resize':
      return next.set(
        name,
        Array.from({ length: size }, (_, at) => held[at] ?? 0),
      );
    case 'rename': {
      if (name === other) return next;
      if (model.has(other)) return 'exists';
      for (const was of [name, ...snapshotsOf(model, name)]) {
        next.set(other + was.slice(name.length), model.get(was) ?? []);
        next.delete(was);
      }
      return next;
    }
    case 'delete':
      if (snapshotsOf(model, name).length > 0) return 'conflict';
      next.delete(name);
      return next;
    case 'create':
    case 'clone':
    case 'rollback':
    case 'forget':
    case 'diff':
    case 'kill':
      throw new Error(`${verb} does not change a volume that is there`);
  }
}

async function act(model: Model, { verb, name, other, mark, first, count, byte }: Verb): Promise<void> {
  const snapshot = `${name}@${mark}`;
  switch (verb) {
    case 'create':
      await client.createVolume({ name, sizeBytes: (first + count) * page });
      return;
    case 'write':
    case 'zero': {
      const { uri } = await client.volumeUri(name);
      const pages = Math.min(first + count, model.get(name)?.length ?? 0) - first;
      const how = verb === 'zero' ? 'write -z' : `write -P ${byte}`;
      if (pages > 0) await must('qemu-io', ['-f', 'raw', '-c', `${how} ${first * page} ${pages * page}`, uri]);
      return;
    }
    case 'snapshot':
      await client.createSnapshot({ name: snapshot });
      return;
    case 'rollback':
      await client.rollback(snapshot);
      return;
    case 'resize':
      await client.resizeVolume(name, { sizeBytes: (first + count) * page, shrink: true });
      return;
    case 'rename':
      await client.renameVolume(name, other);
      return;
    case 'clone':
      await client.clone({ source: name, name: other });
      return;
    case 'delete':
      await client.deleteVolume(name);
      return;
    case 'forget':
      await client.deleteSnapshot(snapshot);
      return;
    case 'diff':
      return checkDiff(snapshot, name, model);
    case 'kill':
      client.close();
      await daemon.kill();
      await daemon.start();
      client = connect({ dataDirectory: daemon.directory });
  }
}

/** What is not told to differ is equal, and what is told to be zero is. */
async function checkDiff(from: string, to: string, model: Model): Promise<void> {
  const [old = [], now = []] = [model.get(from), model.get(to)];
  const { ranges } = await client.diff(from, to);
  const told = (at: number) => ranges.find(({ offset, length }) => at * page >= offset && at * page < offset + length);
  now.forEach((byte, at) => {
    const range = told(at);
    if (range === undefined) expect({ at, byte }).toEqual({ at, byte: old[at] ?? 0 });
    if (range?.kind === 'zero') expect({ at, byte }).toEqual({ at, byte: 0 });
  });
}

async function check(model: Model): Promise<void> {
  const listed = [...(await client.volumes()), ...(await client.snapshots())];
  const sizes = Object.fromEntries(listed.map(({ name, sizeBytes }) => [name, sizeBytes / page]));
  expect(sizes).toEqual(Object.fromEntries([...model].map(([name, pages]) => [name, pages.length])));
  for (const [name, pages] of model) {
    const file = join(scratch, 'bytes.raw');
    rmSync(file, { force: true });
    await must('nbdcopy', [(await client.volumeUri(name)).uri, file]);
    const bytes = readFileSync(file);
    const wrong = pages.findIndex((byte, at) => !bytes.subarray(at * page, (at + 1) * page).equals(Buffer.alloc(page, byte)));
    expect({ name, wrong, size: bytes.length }).toEqual({ name, wrong: -1, size: pages.length * page });
  }
}

async function clear(): Promise<void> {
  for (const { name } of await client.snapshots()) await client.deleteSnapshot(name);
  for (const { name } of await client.volumes()) await client.deleteVolume(name);
}

it('any sequence of verbs leaves what the model says, and refuses what it refuses', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(verbs, { minLength: 20, maxLength: 40, size: 'max' }), async (sequence) => {
      await clear();
      let model: Model = new Map();
      // Two volumes to begin with, so that most verbs find what they name.
      const [begin] = sequence;
      const created = ['a', 'b'].map((name): Verb[] => (begin === undefined ? [] : [{ ...begin, verb: 'create', name }]));
      for (const verb of [...created.flat(), ...sequence]) {
        const expected = expectedOf(model, verb);
        let outcome = 'done';
        try {
          await act(model, verb);
        } catch (error) {
          if (!isSkerryError(error)) throw error;
          outcome = error.code;
        }
        expect({ verb, outcome }).toEqual({ verb, outcome: typeof expected === 'string' ? expected : 'done' });
        if (typeof expected !== 'string') model = expected;
      }
      await check(model);
    }),
    { numRuns: 8, endOnFailure: true },
  );
});
