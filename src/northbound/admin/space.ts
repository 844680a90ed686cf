/** What the admin API tells of space: who holds how much. */
import type { OneSpaceView, SpaceView as SpaceAnswer } from '../../api/shapes.js';
import type { Space, SpaceAsk, SpaceView } from '../../mapper/space.js';
import type { Handlers } from './admin.js';

export type SpaceSource = Pick<Space, 'all' | 'one'>;

/** What nobody said how long to wait for is waited for this long: an answer must come before the client takes the daemon for hung. */
const wait_seconds_max = 60;

export function spaceHandlers(space: SpaceSource): Pick<Handlers, 'spaceList' | 'spaceGet'> {
  return {
    spaceList: async ({ query }) => {
      const view = await space.all(ask(query));
      return { space: view === null ? null : viewSpace(view) };
    },
    spaceGet: async ({ params, query }) => {
      const found = await space.one(params.name, ask(query));
      if (found === null) return { space: null };
      const { view, resource, sharedWith } = found;
      const { resources: _, ...rest } = viewSpace(view);
      const one: OneSpaceView = { ...rest, resource: { ...resource }, sharedWith: sharedWith.map((other) => ({ ...other })) };
      return { space: one };
    },
  };
}

function ask({ age = 0, wait = wait_seconds_max }: { readonly age?: number; readonly wait?: number }): SpaceAsk {
  // An age of 0 takes no answer at all that was there before.
  return {
    ageMilliseconds: age === 0 ? -1 : age * 1000,
    waitMilliseconds: Math.min(wait, wait_seconds_max) * 1000,
  };
}

function viewSpace({ asOf, seconds, incomplete, pool, resources }: SpaceView): SpaceAnswer {
  return {
    asOf: new Date(asOf).toISOString(),
    seconds,
    incomplete,
    pool: { ...pool, journal: { ...pool.journal } },
    resources: resources.map((resource) => ({ ...resource })),
  };
}
