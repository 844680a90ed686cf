/**
 * The admin API: translates HTTP and JSON to the verbs of the mapper and back. It listens on a Unix socket that only its
 * owner may open, which is all the authorization there is.
 */
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { admin_body_bytes_max, admin_segment_characters_max, routes } from '../../api/routes.js';
import type { RouteName } from '../../api/routes.js';
import { shapes } from '../../api/shapes.js';
import type { Answer, DeletedView, Parts, UriView } from '../../api/shapes.js';
import { SkerryError } from '../../core/errors.js';
import { isSnapshotName } from '../../core/names.js';
import { checkVolumeBytes } from '../../core/sizes.js';
import type { Resource, ResourceKind, Resources } from '../../mapper/resources.js';
import { registerContent } from './content.js';
import { invalidRequest, unknownRoute, wireError } from './errors.js';
import type { SpaceSource } from './space.js';
import { spaceHandlers } from './space.js';
import { addStreams } from './streams.js';
import { tcpUri, unixUri } from './uri.js';
import { viewResource, viewTransfer } from './views.js';
import type { PoolsView, StatusSource } from './views.js';

export interface AdminLog {
  error(fields: object, message: string): void;
}

export interface AdminOptions {
  readonly resources: Resources;
  readonly pools: PoolsView;
  readonly status: StatusSource;
  readonly space: SpaceSource;
  readonly log: AdminLog;
}

export type Handlers = { readonly [R in RouteName]: (parts: Parts<R>) => Answer<R> | Promise<Answer<R>> };

/** An instance that is ready to listen. Closing it waits for the requests under way and ends idle connections. */
export function buildAdmin(options: AdminOptions): FastifyInstance {
  const { log } = options;
  const send = (reply: FastifyReply, error: unknown): FastifyReply => {
    const { status, body } = wireError(error);
    if (status >= 500) log.error({ err: error, method: reply.request.method, url: reply.request.url }, 'an admin request failed');
    return reply.code(status).send(body);
  };
  const app = fastify({
    bodyLimit: admin_body_bytes_max,
    forceCloseConnections: 'idle',
    // Room for a name that is too long, so that the shapes refuse it with words and not the router as a route that is not there.
    routerOptions: { maxParamLength: admin_segment_characters_max * 16 },
    frameworkErrors: (error, _request, reply) => {
      void send(reply, error);
    },
  });
  app.setErrorHandler((error, _request, reply) => send(reply, error));
  app.setNotFoundHandler((request, reply) => send(reply, unknownRoute(request.method, request.url)));

  addStreams(app, options.resources);
  const handlers = handlersFor(options);
  for (const route of Object.keys(routes) as RouteName[]) register(app, route, handlers[route]);
  registerContent(app, options.resources);
  return app;
}

// Which parts a handler takes is tied to its route by the type of Handlers; in this loop over all of them it cannot be said.
function register(app: FastifyInstance, route: RouteName, handle: (parts: never) => unknown): void {
  const { method, path, status } = routes[route];
  app.route({
    method,
    url: path,
    handler: async (request, reply) => {
      const answer = await handle(parseParts(route, request) as never);
      return reply.code(status).send(answer);
    },
  });
}

function parseParts(route: RouteName, given: Readonly<Record<'params' | 'query' | 'body', unknown>>): Record<string, unknown> {
  const parsed: Record<string, unknown> = {};
  for (const [part, schema] of Object.entries(shapes[route])) {
    if (part !== 'params' && part !== 'query' && part !== 'body') continue;
    const outcome = schema.safeParse(given[part] ?? {});
    if (!outcome.success) throw invalidRequest(part, outcome.error);
    parsed[part] = outcome.data;
  }
  return parsed;
}

function handlersFor({ resources, pools, status, space }: AdminOptions): Handlers {
  const get = async (kind: ResourceKind, name: string) => viewResource(await resources.get(kind, name));
  const remove = async (kind: ResourceKind, name: string): Promise<DeletedView> => {
    await resources.remove(kind, name);
    return { kind, name, deleted: true };
  };
  return {
    status,
    volumeList: async ({ query: { label = [] } }) => {
      const wanted = [label].flat();
      const volumes = await resources.list('volume');
      return { volumes: viewAll(volumes.filter(({ labels }) => wanted.every((one) => hasLabel(labels, one)))) };
    },
    volumeCreate: async ({ body }) => {
      refusePoolDurability(body.durability);
      return viewResource(await resources.create({ ...body, sizeBytes: checkVolumeBytes(body.sizeBytes) }));
    },
    volumeGet: ({ params }) => get('volume', params.name),
    volumeSet: async ({ params, body }) => viewResource(await resources.set(params.name, body)),
    volumeResize: async ({ params, body: { sizeBytes, ...options } }) =>
      viewResource(await resources.resize(params.name, checkVolumeBytes(sizeBytes), options)),
    volumeRename: async ({ params, body }) => viewResource(await resources.rename('volume', params.name, body.name)),
    volumeDelete: ({ params }) => remove('volume', params.name),
    volumeUri: async ({ params: { name } }): Promise<UriView> => {
      await resources.get(isSnapshotName(name) ? 'snapshot' : 'volume', name);
      const { listeners } = await status();
      const { nbd: socketPath, nbdTcp: address } = listeners;
      if (socketPath === undefined) throw new SkerryError('unavailable', 'the daemon does not serve NBD yet');
      return { name, uri: unixUri(socketPath, name), tcpUri: address === undefined ? null : tcpUri(address, name) };
    },
    snapshotList: async ({ query }) => ({ snapshots: viewAll(await resources.list('snapshot', query.volume)) }),
    snapshotCreate: async ({ body: { name, ...options } }) => viewResource(await resources.snapshot(name, options)),
    snapshotGet: ({ params }) => get('snapshot', params.name),
    snapshotRollback: async ({ params }) => viewResource(await resources.rollback(params.name)),
    snapshotDelete: ({ params }) => remove('snapshot', params.name),
    clone: async ({ body: { source, name, durability, ...options } }) => {
      refusePoolDurability(durability);
      return viewResource(await resources.clone(source, name, options));
    },
    diff: async ({ query: { from, to, offset } }) => {
      const { ranges, ...rest } = await resources.changes(from, to, offset);
      const kinds = ranges.map(({ offset: at, length, zero }) => ({
        offset: at,
        length,
        kind: zero ? ('zero' as const) : ('data' as const),
      }));
      return { ...rest, ranges: kinds };
    },
    imageList: async () => ({ images: viewAll(await resources.list('image')) }),
    imageImport: async ({ body }) => viewTransfer(await resources.importImage(body)),
    imageGet: ({ params }) => get('image', params.name),
    imageRename: async ({ params, body }) => viewResource(await resources.rename('image', params.name, body.name)),
    imageDelete: ({ params }) => remove('image', params.name),
    export: async ({ body }) => viewTransfer(await resources.exportResource(body)),
    transferGet: ({ params }) => viewTransfer(resources.transfer(params.id)),
    transferCancel: ({ params }) => {
      resources.cancelTransfer(params.id);
      return viewTransfer(resources.transfer(params.id));
    },
    poolList: async () => ({ pools: [...(await pools.list())] }),
    poolGet: ({ params }) => pools.get(params.name),
    ...spaceHandlers(space),
  };
}

/** `wanted`: KEY, or KEY=VALUE. */
function hasLabel(labels: Resource['labels'], wanted: string): boolean {
  const [, key = wanted, value] = /^([^=]*)=(.*)$/s.exec(wanted) ?? [];
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}

const viewAll = (resources: readonly Resource[]) => resources.map(viewResource);

/** Log chunks, which would carry a flush to the pool, do not exist yet; a promise that is not kept is worse than none. */
function refusePoolDurability(durability: 'local' | 'pool' | undefined): void {
  if (durability !== 'pool') return;
  throw new SkerryError(
    'invalid',
    'durability `pool` is not available yet: a flush cannot be shipped to the pool before log chunks exist. Only `local` is accepted: ' +
      'what was flushed survives as long as this host’s disk',
  );
}
