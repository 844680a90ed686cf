/** What the admin API tells of whole pools: who holds how much, what files would take, what runs over them did. */
import { admin_page_resources_default } from '../../api/routes.js';
import type {
  CollectionView as CollectionAnswer,
  MoveView as MoveAnswer,
  ReplicationView as ReplicationAnswer,
  OneSpaceView,
  ScrubView as ScrubAnswer,
  SpaceView as SpaceAnswer,
} from '../../api/shapes.js';
import type { Estimates } from '../../mapper/estimates.js';
import type { Space, SpaceAsk, SpaceView } from '../../mapper/space.js';
import type { Collections, CollectionView } from '../../upkeep/collections.js';
import type { Moves, MoveView } from '../../upkeep/moves.js';
import type { Replications, ReplicationView } from '../../upkeep/replications.js';
import type { Scrubs, ScrubView } from '../../upkeep/scrubs.js';
import type { Handlers } from './admin.js';
import type { PoolsView } from './views.js';

export type SpaceSource = Pick<Space, 'all' | 'one'>;
export type CollectionSource = Pick<Collections, 'begin' | 'view'>;
export type MoveSource = Pick<Moves, 'begin' | 'view' | 'cancel'>;
export type ReplicationSource = Pick<Replications, 'set' | 'view' | 'remove' | 'list'>;
export type ScrubSource = Pick<Scrubs, 'begin' | 'view'>;
export type EstimateSource = Pick<Estimates, 'begin' | 'read' | 'end'>;

/** What nobody said how long to wait for is waited for this long: an answer must come before the client takes the daemon for hung. */
const wait_seconds_max = 60;
const replicas_kept_default = 3;

export function spaceHandlers(space: SpaceSource): Pick<Handlers, 'spaceList' | 'spaceGet'> {
  return {
    spaceList: async ({ query: { from = 0, limit = admin_page_resources_default, ...times } }) => {
      const view = await space.all(ask(times));
      return { space: view === null ? null : pageOf(view, from, limit) };
    },
    spaceGet: async ({ params, query }) => {
      const found = await space.one(params.name, ask(query));
      if (found === null) return { space: null };
      const { view, pool, resource, sharedWith } = found;
      const one: OneSpaceView = {
        ...measuredOf(view),
        pool: { ...pool },
        resource: { ...resource },
        sharedWith: sharedWith.map((other) => ({ ...other })),
      };
      return { space: one };
    },
  };
}

export function estimateHandlers(
  estimates: EstimateSource,
  pools: PoolsView,
): Pick<Handlers, 'estimateBegin' | 'estimateRead' | 'estimateEnd'> {
  return {
    estimateBegin: async ({ body }) => {
      const { name } = await pools.get(body.pool ?? 'default');
      return { id: await estimates.begin(name) };
    },
    estimateRead: async ({ params, body }) => ({ ...(await estimates.read(params.id, body)) }),
    estimateEnd: async ({ params }) => {
      await estimates.end(params.id);
      return { id: params.id };
    },
  };
}

export function collectionHandlers(collections: CollectionSource): Pick<Handlers, 'poolCollect' | 'poolCollection'> {
  return {
    poolCollect: ({ params, body: { dryRun = false } }) => collectionAnswer(collections.begin(params.name, { dryRun })),
    poolCollection: async ({ params, query: { wait = 0 } }) =>
      collectionAnswer(await collections.view(params.name, Math.min(wait, wait_seconds_max) * 1000)),
  };
}

function collectionAnswer(view: CollectionView): CollectionAnswer {
  const { startedAt, nodesRead: _, halfLive, journalled, damaged, ...rest } = view;
  return {
    ...rest,
    startedAt: new Date(startedAt).toISOString(),
    halfLive: { ...halfLive },
    journalled: { ...journalled },
    damaged: { ...damaged },
  };
}

export function moveHandlers(moves: MoveSource): Pick<Handlers, 'moveBegin' | 'moveGet' | 'moveCancel'> {
  return {
    moveBegin: async ({ body }) => moveAnswer(await moves.begin(body.source, body.pool)),
    moveGet: async ({ params, query: { wait = 0 } }) =>
      moveAnswer(await moves.view(params.name, Math.min(wait, wait_seconds_max) * 1000)),
    moveCancel: async ({ params }) => moveAnswer(await moves.cancel(params.name)),
  };
}

function moveAnswer({ startedAt, ...rest }: MoveView): MoveAnswer {
  return { ...rest, startedAt: new Date(startedAt).toISOString() };
}

export function replicationHandlers(
  replications: ReplicationSource,
): Pick<Handlers, 'replicationSet' | 'replicationGet' | 'replicationStop' | 'replicationList'> {
  return {
    replicationSet: async ({ params, body: { pool, everySeconds, keep = replicas_kept_default } }) =>
      replicationAnswer(await replications.set(params.name, { to: pool, everySeconds, keep })),
    replicationGet: async ({ params, query: { wait = 0 } }) =>
      replicationAnswer(await replications.view(params.name, Math.min(wait, wait_seconds_max) * 1000)),
    replicationStop: async ({ params }) => replicationAnswer(await replications.remove(params.name)),
    replicationList: async () => ({ replications: (await replications.list()).map(replicationAnswer) }),
  };
}

function replicationAnswer({ lastAt, nextAt, ...rest }: ReplicationView): ReplicationAnswer {
  return {
    ...rest,
    lastAt: lastAt === null ? null : new Date(lastAt).toISOString(),
    nextAt: new Date(nextAt).toISOString(),
  };
}

export function scrubHandlers(scrubs: ScrubSource): Pick<Handlers, 'poolScrub' | 'poolScrubbing'> {
  return {
    poolScrub: ({ params }) => scrubAnswer(scrubs.begin(params.name)),
    poolScrubbing: async ({ params, query: { wait = 0 } }) =>
      scrubAnswer(await scrubs.view(params.name, Math.min(wait, wait_seconds_max) * 1000)),
  };
}

function scrubAnswer({ startedAt, findings, ...rest }: ScrubView): ScrubAnswer {
  return {
    ...rest,
    startedAt: new Date(startedAt).toISOString(),
    findings: findings.map(({ what, missing, pack, offset, id, resource, detail, repaired, wanted }) => ({
      what,
      missing,
      pack,
      offset,
      id,
      resource: resource === null ? null : { ...resource },
      detail,
      repaired,
      wanted,
    })),
  };
}

function ask({ age = 0, wait = wait_seconds_max }: { readonly age?: number; readonly wait?: number }): SpaceAsk {
  // An age of 0 takes no answer at all that was there before.
  return {
    ageMilliseconds: age === 0 ? -1 : age * 1000,
    waitMilliseconds: Math.min(wait, wait_seconds_max) * 1000,
  };
}

function measuredOf({ asOf, seconds, incomplete, journal }: SpaceView) {
  return { asOf: new Date(asOf).toISOString(), seconds, incomplete, journal: { ...journal } };
}

function pageOf(view: SpaceView, from: number, limit: number): SpaceAnswer {
  const { resources } = view;
  return {
    ...measuredOf(view),
    pools: view.pools.map((pool) => ({ ...pool })),
    resources: resources.slice(from, from + limit).map((resource) => ({ ...resource })),
    next: from + limit < resources.length ? from + limit : null,
  };
}
