/** Whether a pool's chunks and the catalog tell the same. A pool may know less than the catalog only where that is noted. */
import type { ResourceRecord } from '../catalog/records.js';
import type { PoolSurvey } from '../pool/pool_survey.js';
import type { RootChunk } from '../pool/root_chunk.js';
import type { CatalogContent } from './catalog_reading.js';

export interface Disagreement {
  readonly what: 'root-chunk' | 'tombstone' | 'catalog';
  /** 0 where it is of none. */
  readonly resource: number;
  readonly missing: boolean;
  readonly detail: string;
}

/** `content` null: there is no catalog to compare with. */
export function comparePool(survey: PoolSurvey, content: CatalogContent | null, pool: string): readonly Disagreement[] {
  const found: Disagreement[] = [];
  for (const [resource, { damaged }] of survey.resources)
    for (const { why } of damaged) found.push({ what: 'root-chunk', resource, missing: false, detail: why });
  for (const detail of survey.damaged) found.push({ what: 'tombstone', resource: 0, missing: false, detail });
  if (content === null) return found;
  const known = new Map(content.records.filter((record) => record.pool === pool).map((record) => [record.id, record]));
  for (const record of known.values()) {
    const complaint = judge(record, survey, content.rootsDue.has(record.id));
    if (complaint !== null) found.push({ resource: record.id, missing: complaint.what === 'root-chunk', ...complaint });
  }
  for (const [resource, { roots }] of survey.resources) {
    const [newest] = roots;
    if (known.has(resource) || survey.tombstones.has(resource) || newest === undefined) continue;
    const detail = `the pool tells of ${newest.kind} ${newest.name}, which the catalog does not have`;
    found.push({ what: 'catalog', resource, missing: true, detail });
  }
  for (const detail of content.problems) found.push({ what: 'catalog', resource: 0, missing: false, detail });
  let highest = 0;
  for (const ids of [known, survey.resources, survey.tombstones]) for (const id of ids.keys()) highest = Math.max(highest, id);
  if (highest > 0 && content.nextId <= highest) {
    const detail = `the catalog would give id ${content.nextId} to something new, and ${highest} is taken already`;
    found.push({ what: 'catalog', resource: 0, missing: false, detail });
  }
  return found;
}

function judge(
  record: ResourceRecord,
  survey: PoolSurvey,
  due: boolean,
): { readonly what: 'root-chunk' | 'tombstone'; readonly detail: string } | null {
  const { id, kind, name, state, pendingOf } = record;
  // What has no name ends with a tombstone, which may be there already.
  if (name === '' || state !== 'ready') return null;
  if (survey.tombstones.has(id))
    return { what: 'tombstone', detail: `the pool says that ${kind} ${name} was deleted, and the catalog has it` };
  if (due || pendingOf !== 0) return null;
  const [newest] = survey.resources.get(id)?.roots ?? [];
  if (newest === undefined)
    return { what: 'root-chunk', detail: `the pool has no root chunk of ${kind} ${name} that can be read` };
  if (holds(newest, record)) return null;
  return { what: 'root-chunk', detail: `the newest root chunk of ${kind} ${name} is older than its root in the catalog` };
}

/** Root chunks come before the catalog's transaction, so one may be newer. */
function holds(chunk: RootChunk, record: ResourceRecord): boolean {
  if (chunk.fence !== record.fence) return chunk.fence > record.fence;
  if (chunk.lineage !== record.lineage) return chunk.lineage > record.lineage;
  if (chunk.appliedSequence !== record.appliedSequence) return chunk.appliedSequence > record.appliedSequence;
  return Buffer.compare(chunk.root.id, record.root.id) === 0;
}
