/** Sequences of verbs as nobody would write them down, against a model, through the client library and through the command. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';
import { CommandDriver, LibraryDriver, type Outcome, type VerbDriver } from '../harness/verb_driver.ts';
import { expectedOf, type Model, page, type Verb, verbs } from '../harness/verb_model.ts';

let daemon: DaemonProcess;
let scratch: string;
/** Connections that are held, by the name of the volume. */
const sessions = new Map<string, NbdSession>();

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-verbs-'));
  daemon = new DaemonProcess();
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
  await letGo();
  rmSync(scratch, { recursive: true, force: true });
});

async function letGo(): Promise<void> {
  await Promise.all([...sessions.values()].map((session) => session.close()));
  sessions.clear();
}

async function act(driver: VerbDriver, model: Model, { verb, name, other, mark, first, count, byte }: Verb): Promise<Outcome> {
  const snapshot = `${name}@${mark}`;
  const sizeBytes = (first + count) * page;
  switch (verb) {
    case 'create':
      return driver.create(name, sizeBytes);
    case 'misname':
      return driver.create(`${name}.${mark}`, sizeBytes);
    case 'snapshot':
      return driver.snapshot(snapshot);
    case 'rollback':
      return driver.rollback(snapshot);
    case 'resize':
    case 'grow':
      return driver.resize(name, sizeBytes, verb === 'resize');
    case 'rename': {
      const outcome = await driver.rename(name, other);
      const session = sessions.get(name);
      if (outcome === 'done' && session !== undefined && sessions.delete(name)) sessions.set(other, session);
      return outcome;
    }
    case 'clone':
      return driver.clone(name, other);
    case 'branch':
      return driver.clone(snapshot, other);
    case 'label':
      return driver.label(name, String(byte));
    case 'delete':
      return driver.delete(name);
    case 'forget':
      return driver.forget(snapshot);
    case 'diff':
      return checkDiff(driver, model, snapshot, name);
    case 'write':
    case 'zero':
    case 'attach':
    case 'detach':
      return model.has(name) ? connected(driver, model, { verb, name, first, count, byte }) : 'not-found';
    case 'kill':
      await daemon.kill();
      await letGo();
      await daemon.start();
      driver.reconnect();
      return 'done';
  }
}

/** What is no verb of the command, but of those who are connected to a volume that is there. */
async function connected(
  driver: VerbDriver,
  model: Model,
  { verb, name, first, count, byte }: Pick<Verb, 'verb' | 'name' | 'first' | 'count' | 'byte'>,
): Promise<'done'> {
  const held = sessions.get(name);
  if (verb === 'attach') {
    if (held === undefined) sessions.set(name, await NbdSession.open(await driver.uri(name)));
  } else if (verb === 'detach') {
    await held?.close();
    sessions.delete(name);
  } else {
    const pages = Math.min(first + count, model.get(name)?.pages.length ?? 0) - first;
    const how = verb === 'zero' ? 'write -z' : `write -P ${byte}`;
    if (pages > 0) await must('qemu-io', ['-f', 'raw', '-c', `${how} ${first * page} ${pages * page}`, await driver.uri(name)]);
  }
  return 'done';
}

/** What is not told to differ is equal, and what is told to be zero is. */
async function checkDiff(driver: VerbDriver, model: Model, from: string, to: string): Promise<Outcome> {
  const difference = await driver.diff(from, to);
  if (typeof difference === 'string') return difference;
  const old = model.get(from)?.pages ?? [];
  model.get(to)?.pages.forEach((byte, at) => {
    const range = difference.ranges.find(({ offset, length }) => at * page >= offset && at * page < offset + length);
    if (range === undefined) expect({ at, byte }).toEqual({ at, byte: old[at] ?? 0 });
    if (range?.kind === 'zero') expect({ at, byte }).toEqual({ at, byte: 0 });
  });
  return 'done';
}

async function check(driver: VerbDriver, model: Model): Promise<void> {
  const listed = [...(await driver.volumes()), ...(await driver.snapshots())];
  const told = listed.map(({ name, sizeBytes, labels, attachedConnections }) => [
    name,
    { size: sizeBytes / page, role: labels['role'] ?? null, attached: attachedConnections > 0 },
  ]);
  const expected = [...model].map(([name, { pages, role, attached }]) => [name, { size: pages.length, role, attached }]);
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(expected));
  for (const [name, { pages }] of model) {
    const file = join(scratch, 'bytes.raw');
    rmSync(file, { force: true });
    await must('nbdcopy', [await driver.uri(name), file]);
    const bytes = readFileSync(file);
    const wrong = pages.findIndex((byte, at) => !bytes.subarray(at * page, (at + 1) * page).equals(Buffer.alloc(page, byte)));
    expect({ name, wrong, size: bytes.length }).toEqual({ name, wrong: -1, size: pages.length * page });
  }
}

async function clear(driver: VerbDriver): Promise<void> {
  await letGo();
  for (const { name } of await driver.snapshots()) expect(await driver.forget(name)).toBe('done');
  for (const { name } of await driver.volumes()) expect(await driver.delete(name)).toBe('done');
}

it.each([
  {
    through: 'the client library',
    driverTo: (to: DaemonProcess): VerbDriver => new LibraryDriver(to),
    runs: 8,
    verbsMin: 20,
    verbsMax: 40,
  },
  {
    through: 'the command',
    driverTo: (to: DaemonProcess): VerbDriver => new CommandDriver(to),
    runs: 6,
    verbsMin: 12,
    verbsMax: 15,
  },
])('any sequence of verbs through $through leaves what the model says, and is refused what it refuses', async (way) => {
  const driver = way.driverTo(daemon);
  /** Done, and refused with each code. */
  const outcomes = new Map<string, number>();
  const sequences = fc.array(verbs, { minLength: way.verbsMin, maxLength: way.verbsMax, size: 'max' });
  await fc.assert(
    fc.asyncProperty(sequences, async (sequence) => {
      await clear(driver);
      let model: Model = new Map();
      // Two volumes to begin with, so that most verbs find what they name.
      const [begin] = sequence;
      const created = ['a', 'b'].map((name): Verb[] => (begin === undefined ? [] : [{ ...begin, verb: 'create', name }]));
      for (const verb of [...created.flat(), ...sequence]) {
        const expected = expectedOf(model, verb);
        const outcome = await act(driver, model, verb);
        expect({ verb, outcome }).toEqual({ verb, outcome: typeof expected === 'string' ? expected : 'done' });
        if (typeof expected !== 'string') model = expected;
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      await check(driver, model);
    }),
    { numRuns: way.runs, endOnFailure: true },
  );
  driver.close();
  // A model that is never refused anything would show little.
  expect(outcomes.get('done')).toBeGreaterThan(way.runs * 5);
  expect([...outcomes.keys()]).toEqual(expect.arrayContaining(['not-found', 'exists', 'invalid']));
});
