/**
 * The admin API: translates HTTP and JSON to the verbs of the mapper and back. It listens on a Unix socket that only its
 * owner may open, which is all the authorization there is.
 */
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { openapiDocument } from '../../api/openapi.js';
import {
  admin_body_bytes_max,
  admin_page_resources_default,
  admin_segment_characters_max,
  openapiPath,
  routes,
} from '../../api/routes.js';
import type { RouteName } from '../../api/routes.js';
import { shapes } from '../../api/shapes.js';
import type { Answer, DeletedView, Parts, UriView } from '../../api/shapes.js';
import { SkerryError } from '../../core/errors.js';
import { isSnapshotName } from '../../core/names.js';
import { isObjectUri, parseObjectUri } from '../../core/object_uri.js';
import { checkVolumeBytes } from '../../core/sizes.js';
import type { Resource, ResourceKind, Resources } from '../../mapper/resources.js';
import type { ImageObjects } from '../../object/image_objects.js';
import type { ObjectDisks } from '../../object/object_disks.js';
import { registerContent } from './content.js';
import { invalidRequest, unknownRoute, wireError } from './errors.js';
import { accountHandlers, keyHandlers, type IdentitySource } from './identity.js';
import { publicationHandlers, type PublicationSource } from './publications.js';
import type { CollectionSource, MoveSource, EstimateSource, ReplicationSource, ScrubSource, SpaceSource } from './space.js';
import {
  collectionHandlers,
  estimateHandlers,
  moveHandlers,
  replicationHandlers,
  scrubHandlers,
  spaceHandlers,
} from './space.js';
import { addStreams } from './streams.js';
import { tcpUri, unixUri } from './uri.js';
import { viewResource, viewTransfer } from './views.js';
import type { ActivitySource, PoolsVerbs, PoolsView, StatusSource } from './views.js';

/** Volumes of objects. */
export type DiskSource = Pick<ObjectDisks, 'volume'>;

export interface AdminLog {
  error(fields: object, message: string): void;
}

export interface AdminOptions {
  /** Whether NBD offers TLS on TCP. */
  readonly nbdTls?: boolean;
  readonly resources: Resources;
  readonly pools: PoolsView;
  readonly poolVerbs: PoolsVerbs;
  readonly status: StatusSource;
  readonly activity: ActivitySource;
  readonly space: SpaceSource;
  readonly collections: CollectionSource;
  readonly moves: MoveSource;
  readonly replications: ReplicationSource;
  readonly scrubs: ScrubSource;
  readonly estimates: EstimateSource;
  readonly identity: IdentitySource;
  readonly disks: DiskSource;
  readonly publications: PublicationSource;
  readonly imageObjects: Pick<ImageObjects, 'plan'>;
  /** Where the daemon listens: absolute paths of sockets, HOST:PORT. */
  readonly listeners: () => Readonly<Record<string, string>>;
  readonly log: AdminLog;
}

interface PageQuery {
  readonly volume?: string;
  readonly after?: string;
  readonly limit?: number;
  readonly matching?: (labels: Resource['labels']) => boolean;
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
  // Time in this process, for who wants to know how much of a wait was ours: `curl -i` shows it.
  const arrivals = new WeakMap<FastifyRequest, number>();
  app.addHook('onRequest', (request, _reply, done) => {
    arrivals.set(request, performance.now());
    done();
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    const now = performance.now();
    reply.header('server-timing', `total;dur=${(now - (arrivals.get(request) ?? now)).toFixed(3)}`);
    done(null, payload);
  });
  app.setErrorHandler((error, _request, reply) => send(reply, error));
  app.setNotFoundHandler((request, reply) => send(reply, unknownRoute(request.method, request.url)));

  addStreams(app, options.resources);
  const handlers = handlersFor(options);
  for (const route of Object.keys(routes) as RouteName[]) register(app, route, handlers[route]);
  registerContent(app, options.resources);
  app.get(openapiPath, () => openapiDocument());
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

function handlersFor({
  resources,
  pools,
  poolVerbs,
  status,
  activity,
  space,
  collections,
  moves,
  replications,
  scrubs,
  estimates,
  identity,
  disks,
  publications,
  imageObjects,
  listeners,
  nbdTls = false,
}: AdminOptions): Handlers {
  const get = async (kind: ResourceKind, name: string) => viewResource(await resources.get(kind, name));
  const remove = async (kind: ResourceKind, name: string): Promise<DeletedView> => {
    await resources.remove(kind, name);
    return { kind, name, deleted: true };
  };
  // One more than asked for tells whether there is more.
  const list = async (kind: ResourceKind, { limit = admin_page_resources_default, ...query }: PageQuery) => {
    const found = await resources.list(kind, { ...query, resourcesMax: limit + 1 });
    const shown = found.slice(0, limit).map(viewResource);
    return { shown, next: found.length > limit ? (shown.at(-1)?.name ?? null) : null };
  };
  return {
    status,
    activity,
    volumeList: async ({ query: { label = [], ...query } }) => {
      const wanted = [label].flat();
      const matching = (labels: Resource['labels']): boolean => wanted.every((one) => hasLabel(labels, one));
      const { shown, next } = await list('volume', wanted.length === 0 ? query : { ...query, matching });
      return { volumes: shown, next };
    },
    volumeCreate: async ({ body }) =>
      viewResource(await resources.create({ ...body, sizeBytes: checkVolumeBytes(body.sizeBytes) })),
    volumeGet: ({ params }) => get('volume', params.name),
    volumeSet: async ({ params, body }) => viewResource(await resources.set(params.name, body)),
    volumeResize: async ({ params, body: { sizeBytes, ...options } }) =>
      viewResource(await resources.resize(params.name, checkVolumeBytes(sizeBytes), options)),
    volumeRename: async ({ params, body }) => viewResource(await resources.rename('volume', params.name, body.name)),
    volumeDelete: ({ params }) => remove('volume', params.name),
    volumeUri: async ({ params: { name } }): Promise<UriView> => {
      await resources.get(isSnapshotName(name) ? 'snapshot' : 'volume', name);
      const { nbd: socketPath, nbdTcp: address } = listeners();
      if (socketPath === undefined) throw new SkerryError('unavailable', 'the daemon does not serve NBD yet');
      return { name, uri: unixUri(socketPath, name), tcpUri: address === undefined ? null : tcpUri(address, name, nbdTls) };
    },
    snapshotList: async ({ query }) => {
      const { shown, next } = await list('snapshot', query);
      return { snapshots: shown, next };
    },
    snapshotCreate: async ({ body: { name, ...options } }) => viewResource(await resources.snapshot(name, options)),
    snapshotGet: ({ params }) => get('snapshot', params.name),
    snapshotRollback: async ({ params }) => viewResource(await resources.rollback(params.name)),
    snapshotDelete: ({ params }) => remove('snapshot', params.name),
    clone: async ({ body: { source, name, ...options } }) =>
      viewResource(
        isObjectUri(source)
          ? await disks.volume(parseObjectUri(source), name, options)
          : await resources.clone(source, name, options),
      ),
    diff: async ({ query: { from, to, offset } }) => {
      const { ranges, ...rest } = await resources.changes(from, to, offset);
      const kinds = ranges.map(({ offset: at, length, zero }) => ({
        offset: at,
        length,
        kind: zero ? ('zero' as const) : ('data' as const),
      }));
      return { ...rest, ranges: kinds };
    },
    imageList: async ({ query }) => {
      const { shown, next } = await list('image', query);
      return { images: shown, next };
    },
    imageImport: async ({ body: { account, bucket, ...order } }) => {
      const plan = await imageObjects.plan({
        name: order.name,
        ...(order.pool === undefined ? {} : { pool: order.pool }),
        ...(account === undefined ? {} : { account }),
        ...(bucket === undefined ? {} : { bucket }),
      });
      const { place } = plan;
      const transfer = viewTransfer(await resources.importImage(place === null ? order : { ...order, also: plan.also }));
      return place === null
        ? { ...transfer, object: null, objectProblem: plan.why }
        : { ...transfer, object: `s3://${place.bucket}/${place.key}`, objectProblem: null };
    },
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
    poolCreate: async ({ body }) => {
      await poolVerbs.create(body);
      return pools.get(body.name);
    },
    poolSet: async ({ params: { name }, body }) => {
      await poolVerbs.set(name, body);
      return pools.get(name);
    },
    poolChangeKey: async ({ params: { name }, body }) => {
      await poolVerbs.changeKey(name, body.key);
      return pools.get(name);
    },
    poolDelete: async ({ params: { name } }): Promise<DeletedView> => {
      await poolVerbs.remove(name);
      return { kind: 'pool', name, deleted: true };
    },
    poolGet: ({ params }) => pools.get(params.name),
    ...spaceHandlers(space),
    ...collectionHandlers(collections),
    ...moveHandlers(moves),
    ...replicationHandlers(replications),
    ...scrubHandlers(scrubs),
    ...estimateHandlers(estimates, pools),
    ...accountHandlers(identity),
    ...keyHandlers(identity),
    ...publicationHandlers(publications, identity),
  };
}

/** `wanted`: KEY, or KEY=VALUE. */
function hasLabel(labels: Resource['labels'], wanted: string): boolean {
  const [, key = wanted, value] = /^([^=]*)=(.*)$/s.exec(wanted) ?? [];
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}
