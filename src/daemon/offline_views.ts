/** What checking and recovering found, as the command tells it. */
import type { CheckedContent, PoolCheckView, PoolFindingView, PoolRecoverView, RecoveredView } from '../api/offline.js';
import type { ResourceRecord } from '../catalog/records.js';
import type { JournalSurvey, PoolCheckReport } from '../engine/surveys.js';
import type { PoolSurvey } from '../pool/pool_survey.js';
import type { CatalogReading } from '../upkeep/catalog_reading.js';
import type { Disagreement } from '../upkeep/pool_comparison.js';
import type { Recovered, RecoveryPlan } from '../upkeep/recovery_plan.js';

const findings_max = 1000;
const findings_told_of_one_max = 3;

interface Looked {
  readonly directory: string;
  readonly pool: string;
  readonly catalog: CatalogReading;
  readonly chunkDamage: readonly string[];
  readonly survey: PoolSurvey;
  readonly journal: JournalSurvey | null;
  readonly journalFailure: string;
  readonly report: PoolCheckReport;
}

export function checkView(
  looked: Looked & {
    readonly known: readonly ResourceRecord[];
    readonly content: CheckedContent;
    readonly disagreements: readonly Disagreement[];
  },
): PoolCheckView {
  const { report, survey, known, catalog, journal } = looked;
  const names = namesOf(known, survey);
  const told: PoolFindingView[] = [
    ...looked.chunkDamage.map((detail) => plainFinding('pool-chunk', detail)),
    ...(catalog.state === 'damaged' ? [plainFinding('catalog', `the catalog cannot be read: ${catalog.why}`)] : []),
    ...(catalog.state === 'absent'
      ? [plainFinding('catalog', 'there is no catalog: skerry pool recover makes one from the pool')]
      : []),
    ...(looked.journalFailure === '' ? [] : [plainFinding('journal', looked.journalFailure)]),
    ...looked.disagreements.map(({ what, resource, missing, detail }) => ({
      ...plainFinding(what, detail),
      missing,
      resource: resource === 0 ? null : { id: resource, name: names.get(resource) ?? '' },
    })),
  ];
  const findings = [...told, ...report.findings.map((finding) => nativeFinding(finding, names))];
  const findingsTotal = told.length + report.findingsTotal;
  const resources = known.filter(({ name }) => name !== '').length;
  return {
    pool: looked.pool,
    directory: looked.directory,
    content: looked.content,
    healthy: findingsTotal === 0,
    packs: report.packs,
    openPacks: report.openPacks,
    storedBytes: report.bytes,
    blocks: report.blocks,
    nodes: report.nodes,
    recordsRead: report.recordsRead,
    nodesReached: report.nodesReached,
    blocksReached: report.blocksReached,
    indexCompared: report.indexCompared,
    resources,
    rootChunks: [...survey.resources.values()].reduce((sum, { roots }) => sum + roots.length, 0),
    tombstones: survey.tombstones.size,
    journalRecords: journal?.records ?? 0,
    findings: findings.slice(0, findings_max),
    findingsTotal,
    damaged: report.damagedRoots.map((id) => ({ id, name: names.get(id) ?? '' })),
    notes: [...report.notes, ...(journal?.notes ?? [])],
  };
}

export function recoverView(
  looked: Omit<Looked, 'report'> & {
    readonly report: Pick<PoolCheckReport, 'damagedRoots' | 'findings'>;
    readonly plan: RecoveryPlan;
    readonly movedTo: string | null;
    readonly done: boolean;
    readonly otherPools: number;
    readonly owner: string | null;
  },
): PoolRecoverView {
  const { plan, report, journal, survey } = looked;
  const damaged = new Set(report.damagedRoots);
  return {
    pool: looked.pool,
    directory: looked.directory,
    done: looked.done,
    asOf: timeOf(plan.asOf),
    resources: plan.resources.map((one) => recoveredView(one, damaged, report)),
    deleted: survey.tombstones.size + plan.deleting.length,
    movedTo: looked.movedTo,
    owner: looked.owner,
    journal: looked.journalFailure !== '' ? 'unreadable' : journal === null ? 'absent' : 'replayed at the next start',
    notes: [
      ...journalNotes(looked),
      ...(looked.otherPools === 0 ? [] : [otherPoolsNote]),
      'what was created, cloned, renamed or deleted in the last moments, and a snapshot or clone of the last minute, may be missing or be there again',
      ...looked.chunkDamage,
      ...survey.damaged,
      ...report.findings.filter(({ resource }) => resource === 0).map(({ detail }) => detail),
    ],
  };
}

const otherPoolsNote =
  'there were other pools: this catalog knows nothing of them, and what the journal holds of their volumes is kept in this pool, as recovered-ID';

function journalNotes({ journal, journalFailure }: Pick<Looked, 'journal' | 'journalFailure'>): readonly string[] {
  if (journalFailure !== '')
    return [
      `the journal cannot be read, and is left as it is: ${journalFailure}`,
      'the daemon starts without what it held with skerry serve --salvage-journal',
    ];
  if (journal === null) return ['there is no journal: volumes are as of their roots, and what was written later is lost'];
  if (journal.ringName !== '') return journal.notes;
  return [...journal.notes, 'the ring of the journal is gone, as after a power cut: what was flushed is there'];
}

function recoveredView(one: Recovered, damaged: ReadonlySet<number>, report: Pick<PoolCheckReport, 'findings'>): RecoveredView {
  const { id, kind, name, record, rootFrom, journalRecords } = one;
  const isDamaged = one.damaged || damaged.has(id);
  const findings = report.findings.filter(({ resource }) => resource === id);
  const told = findings
    .slice(0, findings_told_of_one_max)
    .map(({ what, volumeOffset, detail }) => `${what} at offset ${volumeOffset}: ${detail}`);
  const more = findings.length > told.length ? ['and more of it: skerry pool check tells'] : [];
  const shared = damaged.has(id) && findings.length === 0 ? ['it shares what is damaged with another resource'] : [];
  return {
    id,
    kind,
    name,
    state: record === null ? 'lost' : isDamaged ? 'damaged' : 'whole',
    sizeBytes: record?.sizeBytes ?? 0,
    rootFrom: timeOf(rootFrom),
    journalRecords,
    notes: [...one.notes, ...told, ...more, ...shared],
  };
}

function plainFinding(what: PoolFindingView['what'], detail: string): PoolFindingView {
  return { what, missing: false, resource: null, volumeOffset: null, pack: null, offset: null, id: '', detail };
}

function nativeFinding(finding: PoolCheckReport['findings'][number], names: ReadonlyMap<number, string>): PoolFindingView {
  const { what, missing, resource, volumeOffset, pack, offset, id, detail } = finding;
  return {
    what,
    missing,
    resource: resource === 0 ? null : { id: resource, name: names.get(resource) ?? '' },
    volumeOffset: resource === 0 ? null : volumeOffset,
    pack: pack === 0 ? null : pack,
    offset: pack === 0 ? null : offset,
    id,
    detail,
  };
}

function namesOf(known: readonly ResourceRecord[], survey: PoolSurvey): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [id, { roots }] of survey.resources) names.set(id, roots[0]?.name ?? '');
  for (const { id, name } of known) names.set(id, name);
  return names;
}

const timeOf = (milliseconds: number | null): string | null =>
  milliseconds === null ? null : new Date(milliseconds).toISOString();
