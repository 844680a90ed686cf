/**
 * The admin API's routes: one table that the server registers and the client calls, so that they cannot drift apart.
 * What travels on each is in shapes.ts; here is nothing that a client would be slow to load.
 */

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** `:name` stands for one percent-encoded segment. */
  readonly path: string;
  /** HTTP status of a success. */
  readonly status: 200 | 201 | 202;
}

export const routes = {
  status: { method: 'GET', path: '/v1/status', status: 200 },
  /** What is attached, and what it does. */
  activity: { method: 'GET', path: '/v1/activity', status: 200 },
  volumeList: { method: 'GET', path: '/v1/volumes', status: 200 },
  volumeCreate: { method: 'POST', path: '/v1/volumes', status: 201 },
  volumeGet: { method: 'GET', path: '/v1/volumes/:name', status: 200 },
  volumeDelete: { method: 'DELETE', path: '/v1/volumes/:name', status: 200 },
  /** Description, labels, limit, access, compression: what is not named stays. */
  volumeSet: { method: 'PATCH', path: '/v1/volumes/:name', status: 200 },
  volumeResize: { method: 'POST', path: '/v1/volumes/:name/resize', status: 200 },
  volumeRename: { method: 'POST', path: '/v1/volumes/:name/rename', status: 200 },
  /** Begins to copy it to another pool again and again, or changes how; the first copy begins at once. */
  replicationSet: { method: 'POST', path: '/v1/volumes/:name/replication', status: 200 },
  /** `?wait=`, in seconds: for the end of the copy under way. */
  replicationGet: { method: 'GET', path: '/v1/volumes/:name/replication', status: 200 },
  /** What was copied stays. */
  replicationStop: { method: 'DELETE', path: '/v1/volumes/:name/replication', status: 200 },
  /** Of all volumes. */
  replicationList: { method: 'GET', path: '/v1/replications', status: 200 },
  /** `:name` may also be VOL@SNAP. */
  volumeUri: { method: 'GET', path: '/v1/volumes/:name/uri', status: 200 },
  snapshotList: { method: 'GET', path: '/v1/snapshots', status: 200 },
  snapshotCreate: { method: 'POST', path: '/v1/snapshots', status: 201 },
  snapshotGet: { method: 'GET', path: '/v1/snapshots/:name', status: 200 },
  /** The volume becomes what the snapshot is; the answer is the volume. */
  snapshotRollback: { method: 'POST', path: '/v1/snapshots/:name/rollback', status: 200 },
  snapshotDelete: { method: 'DELETE', path: '/v1/snapshots/:name', status: 200 },
  clone: { method: 'POST', path: '/v1/clones', status: 201 },
  /** Where two resources differ. */
  diff: { method: 'GET', path: '/v1/diff', status: 200 },
  imageList: { method: 'GET', path: '/v1/images', status: 200 },
  /** Begins an import; its transfer tells how it goes. */
  imageImport: { method: 'POST', path: '/v1/images', status: 202 },
  imageGet: { method: 'GET', path: '/v1/images/:name', status: 200 },
  imageRename: { method: 'POST', path: '/v1/images/:name/rename', status: 200 },
  imageDelete: { method: 'DELETE', path: '/v1/images/:name', status: 200 },
  /** Begins an export; its transfer tells how it goes. */
  export: { method: 'POST', path: '/v1/exports', status: 202 },
  transferGet: { method: 'GET', path: '/v1/transfers/:id', status: 200 },
  /** Asks a running transfer to end; one that has ended stays as it is. */
  transferCancel: { method: 'DELETE', path: '/v1/transfers/:id', status: 200 },
  poolList: { method: 'GET', path: '/v1/pools', status: 200 },
  poolCreate: { method: 'POST', path: '/v1/pools', status: 201 },
  poolGet: { method: 'GET', path: '/v1/pools/:name', status: 200 },
  /** Its compression. */
  poolSet: { method: 'PATCH', path: '/v1/pools/:name', status: 200 },
  /** Of an encrypted pool: no data is rewritten. */
  poolChangeKey: { method: 'POST', path: '/v1/pools/:name/change-key', status: 200 },
  poolDelete: { method: 'DELETE', path: '/v1/pools/:name', status: 200 },
  /** Begins to give space back; poolCollection tells how it goes. */
  poolCollect: { method: 'POST', path: '/v1/pools/:name/gc', status: 202 },
  /** `?wait=`, in seconds: for its end. */
  poolCollection: { method: 'GET', path: '/v1/pools/:name/gc', status: 200 },
  /** Begins to read everything; poolScrubbing tells how it goes. */
  poolScrub: { method: 'POST', path: '/v1/pools/:name/scrub', status: 202 },
  /** `?wait=`, in seconds: for its end. */
  poolScrubbing: { method: 'GET', path: '/v1/pools/:name/scrub', status: 200 },
  /** Begins to move a volume or an image to another pool; moveGet tells how it goes. */
  moveBegin: { method: 'POST', path: '/v1/moves', status: 202 },
  /** `:name`: as in spaceGet. `?wait=`, in seconds: for its end. */
  moveGet: { method: 'GET', path: '/v1/moves/:name', status: 200 },
  /** It stays where it is. */
  moveCancel: { method: 'DELETE', path: '/v1/moves/:name', status: 200 },
  /** Who holds how much: `?age=&wait=`, both in seconds; `?from=&limit=`, places in the list. */
  spaceList: { method: 'GET', path: '/v1/space', status: 200 },
  /** `:name`: a volume, VOL@SNAP or an image, or one of these with volume/, snapshot/ or image/ in front. */
  spaceGet: { method: 'GET', path: '/v1/space/:name', status: 200 },
  /** What files would take in a pool. Ends by itself when nothing is read for a minute. */
  estimateBegin: { method: 'POST', path: '/v1/estimates', status: 201 },
  /** Reads on in a file for a moment; the answer tells all that was read so far. */
  estimateRead: { method: 'POST', path: '/v1/estimates/:id/read', status: 200 },
  estimateEnd: { method: 'DELETE', path: '/v1/estimates/:id', status: 200 },
  accountList: { method: 'GET', path: '/v1/accounts', status: 200 },
  accountCreate: { method: 'POST', path: '/v1/accounts', status: 201 },
  accountGet: { method: 'GET', path: '/v1/accounts/:name', status: 200 },
  /** Its display name, and whether it is suspended. */
  accountSet: { method: 'PATCH', path: '/v1/accounts/:name', status: 200 },
  accountRename: { method: 'POST', path: '/v1/accounts/:name/rename', status: 200 },
  accountDelete: { method: 'DELETE', path: '/v1/accounts/:name', status: 200 },
  userList: { method: 'GET', path: '/v1/accounts/:name/users', status: 200 },
  userCreate: { method: 'POST', path: '/v1/accounts/:name/users', status: 201 },
  userDelete: { method: 'DELETE', path: '/v1/accounts/:name/users/:user', status: 200 },
  keyList: { method: 'GET', path: '/v1/accounts/:name/keys', status: 200 },
  /** The only answer that has the secret. */
  keyCreate: { method: 'POST', path: '/v1/accounts/:name/keys', status: 201 },
  /** Whether it is active. */
  keySet: { method: 'PATCH', path: '/v1/keys/:key', status: 200 },
  /** A new key for the same user, and the old one revoked; the only answer that has the secret. */
  keyRotate: { method: 'POST', path: '/v1/keys/:key/rotate', status: 201 },
  keyRevoke: { method: 'DELETE', path: '/v1/keys/:key', status: 200 },
  /** What an account and its buckets hold, and may. */
  quotaGet: { method: 'GET', path: '/v1/accounts/:name/quota', status: 200 },
  quotaSet: { method: 'PATCH', path: '/v1/accounts/:name/quota', status: 200 },
  /** `?from=&to=`, times: hours that begin between them. */
  usageGet: { method: 'GET', path: '/v1/accounts/:name/usage', status: 200 },
  /** Buckets that show resources as objects. */
  publicationList: { method: 'GET', path: '/v1/publications', status: 200 },
  publicationCreate: { method: 'POST', path: '/v1/publications', status: 201 },
  publicationDelete: { method: 'DELETE', path: '/v1/publications/:bucket', status: 200 },
} as const satisfies Readonly<Record<string, Route>>;

/** Bytes one way, not JSON: docs/formats/diff_stream.md. */
export const streamRoutes = {
  /** `?from=&to=` */
  diff: { method: 'GET', path: '/v1/diff/stream' },
  /** `?anyBase=true` */
  apply: { method: 'POST', path: '/v1/volumes/:name/apply' },
} as const;
export const stream_content_type = 'application/octet-stream';

/**
 * Contents of transfers that are streams, as application/octet-stream of any length: PUT what an import waits for, and it
 * answers with the transfer when that has ended; GET what an export gives.
 */
export const transferContentPath = '/v1/transfers/:id/content';

/** Where the daemon serves its OpenAPI document (openapi.ts), beside the routes that it describes. */
export const openapiPath = '/openapi.json';

export type RouteName = keyof typeof routes;

/** The longest request body, in bytes: names, paths and words only. */
export const admin_body_bytes_max = 65_536;
/** The longest percent-decoded path segment, in characters: an image name, or VOL@SNAP. */
export const admin_segment_characters_max = 256;
/** The most resources in one answer to a list; `next` of the answer is the `after` of the request for more. */
export const admin_page_resources_max = 1000;
/** As many where a request names no limit. */
export const admin_page_resources_default = 100;
/** The longest path of a file on the daemon's host, in characters. */
export const admin_file_path_characters_max = 4096;

/** The path of a route with its parameters in place, percent-encoded. A missing parameter is a bug of the caller. */
export function routePath(route: RouteName, params: Readonly<Record<string, string | number>> = {}): string {
  return withParams(routes[route].path, params);
}

export function withParams(path: string, params: Readonly<Record<string, string | number>>): string {
  return path.replace(/:([a-z]+)/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new TypeError(`${path} needs the parameter ${name}`);
    return encodeURIComponent(value);
  });
}
