/**
 * The admin API as an OpenAPI document, made from the same routes and shapes that the server registers and the client calls. The
 * daemon serves it, and docs/reference/openapi.json is a copy.
 */
import { z } from 'zod';
import { errorTable } from '../core/errors.js';
import { openapiPath, routes, stream_content_type, streamRoutes, transferContentPath } from './routes.js';
import type { RouteName } from './routes.js';
import * as declared from './shapes.js';

type Json = Record<string, unknown>;

/** What one sentence says of each route. */
const summaries: Readonly<Record<RouteName, string>> = {
  status: 'Whether the daemon is well, what it serves and how it fares.',
  activity: 'What is attached, and counters of what it does.',
  volumeList: 'All volumes, or those with all of the labels: `key`, or `key=value`.',
  volumeCreate: 'Creates an empty volume.',
  volumeGet: 'One volume.',
  volumeDelete: 'Deletes a volume that is not attached and has no snapshots.',
  volumeSet:
    'Changes description, labels, limit, access and compression; what is not named stays, and a label that is null is taken away.',
  volumeResize: 'Makes a volume larger, or with `shrink` smaller.',
  volumeRename: 'Gives a volume another name. Snapshots follow, connections go on.',
  volumeUri: 'The NBD URI of a volume, or of VOL@SNAP.',
  snapshotList: 'All snapshots, or those of one volume.',
  snapshotCreate: 'Keeps a volume as it is now, without stopping its writes.',
  snapshotGet: 'One snapshot.',
  snapshotRollback: 'The volume becomes what the snapshot is; the answer is the volume.',
  snapshotDelete: 'Deletes a snapshot; clones of it live on.',
  clone:
    'Creates a volume that begins equal to `source`, without a copy. An object is `s3://BUCKET/KEY`, with `?versionId=ID` behind it for an older one.',
  diff: 'Where `to` differs from `from`; ask again from `next` until it is null.',
  imageList: 'All images.',
  imageImport: 'Begins an import from one of `path`, `uri` and `stream`; the transfer tells how it goes.',
  imageGet: 'One image.',
  imageRename: 'Gives an image another name.',
  imageDelete: 'Deletes an image; clones of it live on.',
  export: 'Begins an export to one of `path` and `stream`; the transfer tells how it goes.',
  transferGet: 'How an import or export goes, or went.',
  transferCancel: 'Cancels a transfer that runs.',
  poolList: 'All pools.',
  poolCreate: 'Makes a pool of a configured backend.',
  poolGet: 'One pool.',
  poolSet: 'Sets how blocks are compressed that are written from here on.',
  poolChangeKey: 'Wraps the secrets of an encrypted pool under another key; no data is rewritten.',
  poolDelete: 'Forgets a pool that holds no volume, snapshot or image; its backend keeps what is there.',
  poolCollect: 'Begins to remove packs that hold little or nothing that is wanted.',
  poolCollection: 'How that goes, or how the last run went.',
  poolScrub: 'Begins to read everything from the disk, and to repair what a second copy can.',
  poolScrubbing: 'How that goes, or how the last run went.',
  replicationSet: 'Begins to copy a volume to another pool again and again, by differences, or changes how.',
  replicationGet: 'How that goes.',
  replicationStop: 'Ends it; the replicas stay.',
  replicationList: 'How it goes for all volumes that are copied so.',
  moveBegin: 'Begins to move a volume with its snapshots, or an image, to another pool, while it is used.',
  moveGet: 'How that goes, or how the last move of it went.',
  moveCancel: 'Ends a move; what moved stays where it is.',
  spaceList: 'Who holds how much, and what deleting it would free; null where no answer was there in time.',
  spaceGet: 'The same of one volume, VOL@SNAP or image, and with whom it shares.',
  estimateBegin: 'Begins to tell what files would take in a pool; ends by itself when nothing is read for a minute.',
  estimateRead: 'Reads on in a file for a moment; the answer tells all that was read so far.',
  estimateEnd: 'Ends an estimate.',
  accountList: 'All accounts.',
  accountCreate: 'Creates an account, with its root user.',
  accountGet: 'One account.',
  accountSet: 'Changes its display name, and whether it is suspended; what is not named stays.',
  accountRename: 'Gives an account another name.',
  accountDelete: 'Deletes an account that holds nothing, with its users and keys.',
  publicationList: 'All buckets that show resources as objects.',
  publicationCreate: 'Makes a bucket that shows the snapshots of a volume, or images, as objects.',
  publicationDelete: 'Takes such a bucket back; copies of its objects stay.',
  userList: 'All users of an account.',
  userCreate: 'Creates a user of an account.',
  userDelete: 'Deletes a user, with its keys.',
  keyList: 'All keys of an account, without their secrets.',
  keyCreate: 'Creates a key. No other answer has its secret.',
  keySet: 'Makes a key active or not, at once.',
  keyRotate: 'Revokes a key and creates another one for the same user, in one step. No other answer has its secret.',
  keyRevoke: 'Revokes a key, at once and for ever.',
  quotaGet: 'What an account and its buckets hold, and may hold.',
  quotaSet: 'Limits what an account, or one of its buckets, may hold; what is not named stays.',
  usageGet: 'Requests, traffic and what was stored, by the hour; ask again from `next` until it is null.',
};

/** Shapes that have a name in the document, so that a generated client has it too. */
const named = {
  Account: declared.accountView,
  Activity: declared.activityView,
  ChangeKeyRequest: declared.changeKeyRequest,
  CloneRequest: declared.cloneRequest,
  ReplicationRequest: declared.replicationRequest,
  Replication: declared.replicationView,
  MoveRequest: declared.moveRequest,
  Move: declared.moveView,
  CollectRequest: declared.collectRequest,
  Collection: declared.collectionView,
  CreateAccountRequest: declared.createAccountRequest,
  CreatePoolRequest: declared.createPoolRequest,
  CreateSnapshotRequest: declared.createSnapshotRequest,
  CreateVolumeRequest: declared.createVolumeRequest,
  Deleted: declared.deletedView,
  Difference: declared.differenceView,
  Error: declared.errorView,
  Estimate: declared.estimateView,
  ExportRequest: declared.exportRequest,
  Gone: declared.goneView,
  ImportRequest: declared.importRequest,
  Key: declared.keyView,
  Limit: declared.limitView,
  NewKey: declared.newKeyView,
  OneSpace: declared.oneSpaceView,
  Pool: declared.poolView,
  PoolSpace: declared.poolSpaceView,
  Publication: declared.publicationView,
  CreatePublicationRequest: declared.createPublicationRequest,
  Quota: declared.quotaView,
  RenameRequest: declared.renameRequest,
  ResizeRequest: declared.resizeRequest,
  Resource: declared.resourceView,
  ResourceSpace: declared.resourceSpaceView,
  Scrub: declared.scrubView,
  SetAccountRequest: declared.setAccountRequest,
  SetQuotaRequest: declared.setQuotaRequest,
  SetRequest: declared.setRequest,
  Space: declared.spaceView,
  Status: declared.statusView,
  Transfer: declared.transferView,
  Uri: declared.uriView,
  Usage: declared.usageView,
  User: declared.userView,
} as const satisfies Readonly<Record<string, z.ZodType>>;

/** OpenAPI 3.1; its schemas are JSON Schema 2020-12. */
export function openapiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const route of Object.keys(routes) as RouteName[]) {
    const { method, path } = routes[route];
    (paths[templated(path)] ??= {})[method.toLowerCase()] = operation(route);
  }
  for (const [path, method, described] of streams()) (paths[templated(path)] ??= {})[method] = described;
  return {
    openapi: '3.1.0',
    info: {
      title: 'The admin API of Skerry',
      version: 'v1',
      description:
        'HTTP with JSON bodies, on the Unix socket DIR/admin.sock of the daemon: who may open it may do everything. Sizes are in bytes, ' +
        `times are ISO 8601 in UTC, names in paths are percent-encoded. What a success answers is durable. This document is at ${openapiPath}.`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://localhost', description: 'Through the socket: curl --unix-socket DIR/admin.sock' }],
    paths,
    components: { schemas: namedSchemas('#/components/schemas/') },
  };
}

/** The named shapes as JSON Schemas that refer to each other under `base`. */
export function namedSchemas(base: string): Record<string, Json> {
  const registry = z.registry<{ readonly id: string }>();
  for (const [id, shape] of Object.entries(named)) registry.add(shape, { id });
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: (id) => base + id });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutIds(schema as Json)]));
}

/** A shape as JSON Schema: a reference where it, or what it is a list of, has a name. */
export function schemaOf(shape: z.ZodType, base: string): Json {
  const name = Object.entries(named).find(([, one]) => one === shape)?.[0];
  if (name !== undefined) return { $ref: base + name };
  if (shape instanceof z.ZodArray) return { type: 'array', items: schemaOf(shape.element as z.ZodType, base) };
  if (shape instanceof z.ZodNullable) {
    const inner = schemaOf(shape.unwrap() as z.ZodType, base);
    if ('$ref' in inner) return { anyOf: [inner, { type: 'null' }] };
  }
  if (shape instanceof z.ZodObject) {
    const fields = Object.entries(shape.shape);
    return {
      type: 'object',
      properties: Object.fromEntries(fields.map(([field, one]) => [field, schemaOf(one, base)])),
      required: fields.filter(([, one]) => isRequired(one)).map(([field]) => field),
      additionalProperties: false,
    };
  }
  return withoutIds(z.toJSONSchema(shape, { io: 'input' }) as Json);
}

function operation(route: RouteName): Json {
  const parts: Readonly<Record<string, z.ZodType | undefined>> = declared.shapes[route];
  const { params, query, body, answer } = parts;
  return {
    operationId: route,
    summary: summaries[route],
    ...parameters({ path: params, query }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    responses: {
      [String(routes[route].status)]: { description: 'Done.', content: json(answer ?? z.null()) },
      default: failed(),
    },
  };
}

function parameters(places: Readonly<Record<'path' | 'query', z.ZodType | undefined>>): Json {
  const all = Object.entries(places).flatMap(([place, shape]) => {
    if (!(shape instanceof z.ZodObject)) return [];
    return Object.entries(shape.shape as Record<string, z.ZodType>).map(([name, one]) => ({
      name,
      in: place,
      required: isRequired(one),
      schema: schemaOf(one, '#/components/schemas/'),
    }));
  });
  return all.length === 0 ? {} : { parameters: all };
}

/** What carries bytes and not JSON, one way. */
function streams(): [string, string, Json][] {
  const bytes = { [stream_content_type]: {} };
  const answered = (content: Json) => ({ '200': { description: 'Done.', content }, default: failed() });
  return [
    [
      streamRoutes.diff.path,
      streamRoutes.diff.method.toLowerCase(),
      {
        operationId: 'diffStream',
        summary: 'What makes `to` of `from`, with its data (docs/formats/diff_stream.md).',
        ...parameters({ path: undefined, query: declared.diffQuery }),
        responses: answered(bytes),
      },
    ],
    [
      streamRoutes.apply.path,
      streamRoutes.apply.method.toLowerCase(),
      {
        operationId: 'applyStream',
        summary: 'Makes a volume that is what a diff stream began with what it ended with.',
        ...parameters({ path: z.strictObject({ name: z.string() }), query: declared.applyQuery }),
        requestBody: { required: true, content: bytes },
        responses: answered(json(declared.resourceView)),
      },
    ],
    [
      transferContentPath,
      'put',
      {
        operationId: 'sendContent',
        summary: 'The disk that an import from a stream waits for; answers when the import has ended.',
        ...parameters({ path: declared.contentParams, query: undefined }),
        requestBody: { required: true, content: bytes },
        responses: answered(json(declared.transferView)),
      },
    ],
    [
      transferContentPath,
      'get',
      {
        operationId: 'content',
        summary: 'The disk that an export to a stream gives.',
        ...parameters({ path: declared.contentParams, query: undefined }),
        responses: answered(bytes),
      },
    ],
  ];
}

function json(shape: z.ZodType): Json {
  return { 'application/json': { schema: schemaOf(shape, '#/components/schemas/') } };
}

function failed(): Json {
  const statuses = [...new Set(Object.values(errorTable).map(({ httpStatus }) => httpStatus))].sort((a, b) => a - b);
  return { description: `A failure, with the status of its code: ${statuses.join(', ')}.`, content: json(declared.errorView) };
}

/** An exactOptional field may be left out, though it takes no undefined. */
function isRequired(shape: z.ZodType): boolean {
  return shape._zod.optin !== 'optional';
}

/** `/v1/volumes/:name` is `/v1/volumes/{name}` there. */
function templated(path: string): string {
  return path.replace(/:([a-z]+)/g, '{$1}');
}

/** Each schema is found by its place; names of their own would be taken for addresses. */
function withoutIds(schema: Json): Json {
  const { $schema: _dialect, $id: _id, id: _name, ...rest } = schema;
  return rest;
}
