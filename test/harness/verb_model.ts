/** What verbs do to volumes and snapshots, or with which code they are refused: names, sizes, bytes, labels, who is attached. */
import fc from 'fast-check';

import type { ErrorCode } from '../../src/core/errors.js';

export const page = 4096;
const names = ['a', 'b', 'c'];
const marks = ['x', 'y'];

export interface Modelled {
  /** One byte for each page, 0 where it was never written. */
  readonly pages: readonly number[];
  /** Of volumes: the label `role`. */
  readonly role: string | null;
  /** Of volumes: whether the test holds a connection to it. */
  readonly attached: boolean;
}

export type Model = ReadonlyMap<string, Modelled>;

const verbNames = [
  'create',
  'misname',
  'write',
  'zero',
  'snapshot',
  'rollback',
  'resize',
  'grow',
  'rename',
  'clone',
  'branch',
  'label',
  'attach',
  'detach',
  'delete',
  'forget',
  'diff',
  'kill',
] as const;

export interface Verb {
  readonly verb: (typeof verbNames)[number];
  readonly name: string;
  readonly other: string;
  readonly mark: string;
  readonly first: number;
  readonly count: number;
  readonly byte: number;
}

export const verbs = fc.record<Verb>({
  // Without volumes that are written, kept and resized most of the others would find nothing.
  verb: fc.constantFrom(...verbNames, 'create', 'write', 'write', 'snapshot', 'resize'),
  name: fc.constantFrom(...names),
  other: fc.constantFrom(...names),
  mark: fc.constantFrom(...marks),
  first: fc.nat(80),
  count: fc.integer({ min: 1, max: 40 }),
  byte: fc.integer({ min: 1, max: 255 }),
});

const fresh = (pages: readonly number[]): Modelled => ({ pages, role: null, attached: false });
const snapshotsOf = (model: Model, volume: string): string[] => [...model.keys()].filter((name) => name.startsWith(`${volume}@`));

/** The model after the verb, or the code with which it must be refused. */
export function expectedOf(model: Model, verb: Verb): Model | ErrorCode {
  const next = new Map(model);
  const held = model.get(verb.name);
  switch (verb.verb) {
    case 'kill':
      return new Map([...next].map(([name, modelled]) => [name, { ...modelled, attached: false }]));
    case 'misname':
      return 'invalid';
    case 'create':
      return held === undefined ? next.set(verb.name, fresh(Array<number>(verb.first + verb.count).fill(0))) : 'exists';
    case 'rollback':
    case 'branch':
    case 'forget':
    case 'diff':
      return expectedOfKept(model, verb);
    case 'write':
    case 'zero':
    case 'snapshot':
    case 'resize':
    case 'grow':
    case 'rename':
    case 'clone':
    case 'label':
    case 'attach':
    case 'detach':
    case 'delete':
      return held === undefined ? 'not-found' : expectedOfHeld(model, verb, held);
  }
}

/** Of verbs that name a snapshot which must be there. */
function expectedOfKept(model: Model, { verb, name, other, mark }: Verb): Model | ErrorCode {
  const next = new Map(model);
  const snapshot = `${name}@${mark}`;
  const held = model.get(name);
  const kept = model.get(snapshot);
  // A volume that has snapshots is not deleted, so neither is without the other.
  if (held === undefined || kept === undefined) return 'not-found';
  if (verb === 'rollback') return held.attached ? 'conflict' : next.set(name, { ...held, pages: kept.pages });
  if (verb === 'branch') return model.has(other) ? 'exists' : next.set(other, fresh(kept.pages));
  if (verb === 'forget') next.delete(snapshot);
  return next;
}

/** Of verbs that name a volume which is there. */
function expectedOfHeld(model: Model, verb: Verb, held: Modelled): Model | ErrorCode {
  const next = new Map(model);
  const { name, other, first, count } = verb;
  const { pages } = held;
  const size = first + count;
  switch (verb.verb) {
    case 'write':
    case 'zero': {
      const byte = verb.verb === 'zero' ? 0 : verb.byte;
      return next.set(name, { ...held, pages: pages.map((was, at) => (at >= first && at < size ? byte : was)) });
    }
    case 'snapshot':
      return model.has(`${name}@${verb.mark}`) ? 'exists' : next.set(`${name}@${verb.mark}`, fresh(pages));
    case 'resize':
    case 'grow':
      if (verb.verb === 'grow' && size < pages.length) return 'invalid';
      return next.set(name, { ...held, pages: Array.from({ length: size }, (_, at) => pages[at] ?? 0) });
    case 'clone':
      return model.has(other) ? 'exists' : next.set(other, fresh(pages));
    case 'rename':
      return name === other ? next : renamed(model, name, other);
    case 'label':
      return next.set(name, { ...held, role: String(verb.byte) });
    case 'attach':
    case 'detach':
      return next.set(name, { ...held, attached: verb.verb === 'attach' });
    case 'delete':
      if (held.attached || snapshotsOf(model, name).length > 0) return 'conflict';
      next.delete(name);
      return next;
    case 'create':
    case 'misname':
    case 'rollback':
    case 'branch':
    case 'forget':
    case 'diff':
    case 'kill':
      throw new Error(`${verb.verb} is not a verb of a volume that is there`);
  }
}

function renamed(model: Model, name: string, other: string): Model | ErrorCode {
  if (model.has(other)) return 'exists';
  const following = [name, ...snapshotsOf(model, name)];
  return new Map([...model].map(([was, modelled]) => [following.includes(was) ? other + was.slice(name.length) : was, modelled]));
}
