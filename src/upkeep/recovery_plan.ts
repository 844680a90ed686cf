/**
 * What a catalog must hold when all there is are a pool's chunks and a journal (docs/decisions/0039-recovering-a-catalog.md).
 * Pure: it decides, and changes nothing. Where the two do not tell enough it keeps content under a name of its own making
 * rather than let it go, and says so.
 */
import { cacheModes, durabilities, type ResourceKind, type ResourceRecord } from '../catalog/records.js';
import { page_bytes, volume_name_characters_max } from '../core/limits.js';
import { checkResourceName } from '../core/names.js';
import type { JournalSurvey } from '../engine/surveys.js';
import { newRecord } from '../mapper/new_resource.js';
import { compareAge, type PoolSurvey, type ResourceChunks } from '../pool/pool_survey.js';
import type { RootChunk } from '../pool/root_chunk.js';

/** The engine gives no id twice; those that were handed out in vain stand in no record, and are skipped. */
export const ids_skipped = 4096;

export interface RecoveryInput {
  readonly pool: string;
  readonly survey: PoolSurvey;
  /** null where there is none, or it cannot be read. */
  readonly journal: JournalSurvey | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** One resource: its record in the new catalog, or none where it is lost. */
export interface Recovered {
  readonly id: number;
  readonly kind: ResourceKind;
  readonly name: string;
  readonly record: ResourceRecord | null;
  /** The pool holds no root chunk of it as it is now. */
  readonly rootDue: boolean;
  /** Something of it is known to be gone. */
  readonly damaged: boolean;
  /** Milliseconds since 1970; null where it comes from no root chunk. */
  readonly rootFrom: number | null;
  readonly journalRecords: number;
  readonly notes: readonly string[];
}

export interface RecoveryPlan {
  /** Ascending by id. */
  readonly resources: readonly Recovered[];
  /** Deleted, and to be ended by upkeep: the journal says so, the pool not yet. */
  readonly deleting: readonly ResourceRecord[];
  readonly nextId: number;
  /** When the pool was last told anything; null where it tells nothing. */
  readonly asOf: number | null;
}

export function planRecovery(input: RecoveryInput): RecoveryPlan {
  return new Planner(input).plan();
}

type JournalOf = JournalSurvey['resources'][number];
type Barrier = JournalSurvey['barriers'][number];
type Draft = { -readonly [Field in keyof Recovered]: Recovered[Field] } & { notes: string[] };

class Planner {
  readonly #input: RecoveryInput;
  readonly #journal: ReadonlyMap<number, JournalOf>;
  /** Snapshots that the journal tells of and the pool does not. */
  readonly #barriers: readonly Barrier[];
  /** Of a volume: where the first of them is in its sequence. */
  readonly #firstBarriers = new Map<number, number>();
  readonly #drafts = new Map<number, Draft>();
  readonly #deleting: ResourceRecord[] = [];
  #idMax = 0;

  constructor(input: RecoveryInput) {
    this.#input = input;
    this.#journal = new Map((input.journal?.resources ?? []).map((one) => [one.id, one]));
    this.#barriers = (input.journal?.barriers ?? []).filter((barrier) => this.#isUnknown(barrier));
    for (const { volume, sequence } of this.#barriers)
      this.#firstBarriers.set(volume, Math.min(sequence, this.#firstBarriers.get(volume) ?? sequence));
  }

  plan(): RecoveryPlan {
    const { survey } = this.#input;
    for (const [id, chunks] of survey.resources) if (!this.#isGone(id)) this.#fromPool(id, chunks);
    for (const one of this.#journal.values()) if (!this.#isGone(one.id) && !this.#drafts.has(one.id)) this.#fromJournal(one);
    for (const barrier of this.#barriers) this.#fromBarrier(barrier);
    this.#nameAll();
    const resources = [...this.#drafts.values()].sort((a, b) => a.id - b.id);
    return { resources, deleting: this.#deleting, nextId: this.#nextId(), asOf: this.#asOf() };
  }

  /** A tombstone ends a resource; so does its last record in the journal, which comes first. */
  #isGone(id: number): boolean {
    return this.#input.survey.tombstones.has(id);
  }

  #isUnknown({ volume, snapshot }: Barrier): boolean {
    const known = this.#input.survey.resources.get(snapshot)?.roots ?? [];
    return known.length === 0 && !this.#isGone(snapshot) && !this.#isGone(volume) && this.#journal.get(volume)?.dropped !== true;
  }

  #fromPool(id: number, { roots, damaged }: ResourceChunks): void {
    // A root that is still to come says nothing of the content.
    const usable = roots.filter(({ pendingOf }) => pendingOf === 0);
    const journal = this.#journal.get(id);
    const [newest] = usable;
    if (newest === undefined) {
      if (journal === undefined || journal.dropped || journal.lastSequence === 0)
        this.#lose(id, roots[0], [...damaged.map(({ why }) => why), 'no root of it can be read']);
      // With records of its own it is kept as far as these go.
      return;
    }
    const chosen = newest.kind === 'volume' && journal !== undefined ? this.#choose(usable, journal) : newest;
    const record = this.#recordOf(chosen);
    if (journal?.dropped === true) {
      this.#deleting.push({ ...record, name: '', state: 'deleting' });
      return;
    }
    const notes = damaged.map(({ why }) => `a root chunk of it cannot be read: ${why}`);
    const draft: Draft = {
      id,
      kind: record.kind,
      name: record.name,
      record,
      rootDue: false,
      damaged: false,
      rootFrom: chosen.writtenAt,
      journalRecords: 0,
      notes,
    };
    this.#drafts.set(id, draft);
    if (record.kind !== 'volume') return;
    if (journal !== undefined && journal.lastSequence > record.appliedSequence) this.#joinJournal(draft, record, journal);
    else if (damaged.some((one) => compareAge(one, chosen) > 0)) {
      // The journal was trimmed by it, or is gone.
      draft.damaged = true;
      notes.push('what was written between this root and the one that cannot be read is lost');
    }
  }

  /**
   * The newest root that the journal goes on from without a gap and that comes before each snapshot whose root is still to
   * come; where there is none, the newest that it goes on from; else the newest of all.
   */
  #choose(roots: readonly RootChunk[], journal: JournalOf): RootChunk {
    const [newest] = roots as readonly [RootChunk];
    const firstBarrier = this.#firstBarriers.get(journal.id) ?? Infinity;
    const joined = roots.filter((root) => !leavesGap(root, journal));
    return joined.find(({ appliedSequence }) => appliedSequence < firstBarrier) ?? joined[0] ?? newest;
  }

  #joinJournal(draft: Draft, record: ResourceRecord, journal: JournalOf): void {
    draft.journalRecords = journal.lastSequence - record.appliedSequence;
    if (!leavesGap(record, journal)) return;
    const [first, last] = [record.appliedSequence + 1, journal.firstSequence - 1];
    draft.damaged = true;
    draft.journalRecords = journal.lastSequence - last;
    draft.notes.push(
      `changes ${first} to ${last} of it are lost, for the root that held them cannot be read; what came before and after is there`,
    );
    draft.record = {
      ...record,
      appliedSequence: last,
      fence: Math.max(record.fence, journal.fence),
      sizeBytes: Math.max(record.sizeBytes, wholePages(journal.endBytes)),
    };
    draft.rootDue = true;
  }

  /** Known to the journal alone: made or cloned in the last moments, half imported, or its root chunks are gone. */
  #fromJournal(journal: JournalOf): void {
    if (journal.dropped || journal.lastSequence === 0) return;
    const { id } = journal;
    const older = journal.firstSequence > 1;
    const notes = [
      'the pool does not tell what it is: it is kept with what the journal holds of it, and all else of it reads zero',
      'nobody may attach it until skerry volume allow says who, for that is not known either',
      ...(this.#input.survey.resources.get(id)?.damaged ?? []).map(({ why }) => `a root chunk of it cannot be read: ${why}`),
      ...(older ? [`changes 1 to ${journal.firstSequence - 1} of it are lost`] : []),
    ];
    const record: ResourceRecord = {
      ...this.#blank(id, 'volume', madeName('', id)),
      sizeBytes: Math.max(wholePages(journal.endBytes), page_bytes),
      description: 'recovered from the journal alone',
      appliedSequence: journal.firstSequence - 1,
      fence: journal.fence,
      access: { grants: [] },
    };
    this.#drafts.set(id, {
      id,
      kind: 'volume',
      name: record.name,
      record,
      rootDue: true,
      damaged: true,
      rootFrom: null,
      journalRecords: journal.lastSequence - record.appliedSequence,
      notes,
    });
  }

  #fromBarrier({ volume, snapshot: id, sequence, sizeBytes }: Barrier): void {
    const parent = this.#drafts.get(volume)?.record ?? null;
    if (parent === null) return;
    const name = `${parent.name}@${madeName('', id)}`;
    const basis: Draft = {
      id,
      kind: 'snapshot',
      name,
      record: null,
      rootDue: false,
      damaged: false,
      rootFrom: null,
      journalRecords: 0,
      notes: ['its root was still to come, so its name was in the catalog alone'],
    };
    const record: ResourceRecord = {
      ...this.#blank(id, 'snapshot', name),
      sizeBytes: sizeBytes === 0 ? parent.sizeBytes : sizeBytes,
      cache: parent.cache,
      durability: parent.durability,
      parentId: volume,
      parentName: parent.name,
      fence: 0,
    };
    if (sequence > parent.appliedSequence) {
      this.#drafts.set(id, { ...basis, record: { ...record, pendingOf: volume } });
      return;
    }
    // A root of the volume that ends with the barrier is the snapshot's.
    const same = this.#input.survey.resources.get(volume)?.roots.find((root) => root.appliedSequence === sequence);
    if (same === undefined) {
      basis.notes.push('and the journal no longer holds what it was made of');
      this.#drafts.set(id, basis);
      return;
    }
    const { sizeBytes: rootBytes, root, writtenAt } = same;
    const resolved = { ...record, sizeBytes: rootBytes, root, appliedSequence: sequence };
    this.#drafts.set(id, { ...basis, record: resolved, rootDue: true, rootFrom: writtenAt });
  }

  #lose(id: number, root: RootChunk | undefined, notes: readonly string[]): void {
    this.#drafts.set(id, {
      id,
      kind: root?.kind ?? 'volume',
      name: root?.name ?? '',
      record: null,
      rootDue: false,
      damaged: true,
      rootFrom: null,
      journalRecords: 0,
      notes: [...notes],
    });
  }

  #blank(id: number, kind: ResourceKind, name: string): ResourceRecord {
    const { pool, now: createdAt } = this.#input;
    return newRecord({ id, kind, name, pool, sizeBytes: 0, createdAt });
  }

  #recordOf(chunk: RootChunk): ResourceRecord {
    const { poolUuid: _pool, number: _number, writtenAt: _writtenAt, ...kept } = chunk;
    return {
      ...kept,
      pool: this.#input.pool,
      state: 'ready',
      durability: durabilities.find((one) => one === chunk.durability) ?? 'local',
      cache: cacheModes.find((one) => one === chunk.cache) ?? 'writeback',
      compression: 'inherit',
      // Which journal goes on from it nobody knows: what was flushed is read again.
      log: chunk.log === null ? null : { ...chunk.log, journal: new Uint8Array(0) },
    };
  }

  /** Volumes before their snapshots, whose names begin with theirs. Of two with one name the younger has it. */
  #nameAll(): void {
    const taken = new Set<string>();
    const drafts = [...this.#drafts.values()].filter(({ record }) => record !== null).sort((a, b) => b.id - a.id);
    for (const draft of drafts.filter(({ kind }) => kind !== 'snapshot')) this.#name(draft, draft.name, taken);
    for (const draft of drafts.filter(({ kind }) => kind === 'snapshot')) {
      const parent = this.#drafts.get(draft.record?.parentId ?? 0)?.record ?? null;
      const own = draft.name.slice(draft.name.indexOf('@'));
      if (parent === null) draft.notes.push('its volume is not there any more');
      this.#name(draft, parent === null ? draft.name : parent.name + own, taken);
    }
  }

  #name(draft: Draft, wanted: string, taken: Set<string>): void {
    const { kind, id } = draft;
    const among = draft.record?.shelf === true ? 'shelf' : kind;
    const free = !taken.has(`${among}/${wanted}`) && isName(kind, wanted);
    const at = wanted.indexOf('@');
    const made = kind === 'snapshot' && at > 0 ? `${wanted.slice(0, at)}@${madeName('', id)}` : madeName(wanted, id);
    const name = free
      ? wanted
      : isName(kind, made)
        ? made
        : kind === 'snapshot'
          ? `${madeName('', id)}@${madeName('', id)}`
          : madeName('', id);
    if (!free) draft.notes.push(`its name, ${JSON.stringify(wanted)}, is that of a younger one or none at all`);
    taken.add(`${among}/${name}`);
    draft.name = name;
    if (draft.record !== null) draft.record = { ...draft.record, name };
  }

  #nextId(): number {
    const { survey, journal } = this.#input;
    const see = (id: number): void => void (this.#idMax = Math.max(this.#idMax, id));
    for (const [id, { roots }] of survey.resources) {
      see(id);
      for (const { parentId, pendingOf } of roots) [parentId, pendingOf].forEach(see);
    }
    for (const id of survey.tombstones.keys()) see(id);
    for (const { id } of journal?.resources ?? []) see(id);
    for (const { volume, snapshot } of journal?.barriers ?? []) [volume, snapshot].forEach(see);
    return this.#idMax + 1 + ids_skipped;
  }

  #asOf(): number | null {
    let last: number | null = null;
    for (const { roots } of this.#input.survey.resources.values())
      for (const { writtenAt } of roots) last = Math.max(last ?? 0, writtenAt);
    for (const deletedAt of this.#input.survey.tombstones.values()) if (deletedAt !== null) last = Math.max(last ?? 0, deletedAt);
    return last;
  }
}

/** Records that the journal holds begin later than the root ends. */
function leavesGap({ appliedSequence }: { readonly appliedSequence: number }, journal: JournalOf): boolean {
  return journal.lastSequence > appliedSequence && journal.firstSequence > appliedSequence + 1;
}

/** `vm1-recovered-12`, or `recovered-12` for what has no name. */
function madeName(name: string, id: number): string {
  const made = `recovered-${id}`;
  const begin = name.slice(0, volume_name_characters_max - made.length - 1).replace(/[^a-z0-9]+$/, '');
  return begin === '' ? made : `${begin}-${made}`;
}

function isName(kind: ResourceKind, name: string): boolean {
  try {
    return checkResourceName(kind, name) === name;
  } catch {
    return false;
  }
}

const wholePages = (bytes: number): number => Math.ceil(bytes / page_bytes) * page_bytes;
