/**
 * The client library: one method per verb of the admin API. A failure is a SkerryError with the code that the daemon gave, or
 * `unavailable` where none answers. Only types come from the shapes, so that a command starts without loading zod.
 */
import type { Readable } from 'node:stream';
import { admin_page_resources_max, routePath, routes, streamRoutes, transferContentPath, withParams } from '../api/routes.js';
import type { RouteName } from '../api/routes.js';
import type {
  ActivityView,
  Answer,
  ChangeKeyRequest,
  CloneRequest,
  CreatePublicationRequest,
  GoneView,
  PublicationView,
  CollectionView,
  CollectRequest,
  CreatePoolRequest,
  CreateSnapshotRequest,
  CreateVolumeRequest,
  DeletedView,
  DifferenceView,
  EstimateReadRequest,
  EstimateRequest,
  EstimateView,
  ExportRequest,
  ImportRequest,
  ImportView,
  Parts,
  MoveView,
  OneSpaceView,
  PoolView,
  ReplicationRequest,
  ReplicationView,
  ResizeRequest,
  ResourceView,
  ScrubView,
  SetPoolRequest,
  SetRequest,
  SpaceView,
  StatusView,
  TransferView,
  UriView,
} from '../api/shapes.js';
import { isErrorCode, SkerryError } from '../core/errors.js';
import { allPages } from './pages.js';
import { defaultDataDirectory, httpEndpoint, socketEndpoint } from './endpoint.js';
import { IdentityClient } from './identity_client.js';
import { Transport } from './transport.js';

/** In seconds. */
const space_wait_seconds = 60;
/** Pages of one list are of one measurement. */
const space_kept_seconds = 3600;

export type ConnectOptions = { readonly dataDirectory: string } | { readonly url: string };

/**
 * By default to the daemon that the command would find: of SKERRY_DATA, else of the default data directory. Nothing is sent before the
 * first verb. @throws SkerryError invalid for a bad url.
 */
export function connect(options: ConnectOptions = { dataDirectory: defaultDataDirectory() }): Client {
  return new Client(new Transport('url' in options ? httpEndpoint(options.url) : socketEndpoint(options.dataDirectory)));
}

export class Client {
  readonly #transport: Transport;

  /** Accounts, their users and keys, what they may store and what they did. */
  readonly identity: IdentityClient;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.identity = new IdentityClient((route, parts) => this.#call(route, parts));
  }

  status(): Promise<StatusView> {
    return this.#call('status', {});
  }

  /** What is attached, and what it does: rates are the difference of two of these (rates.ts). */
  activity(): Promise<ActivityView> {
    return this.#call('activity', {});
  }

  /** All of them, or those with all of these labels, each `key` or `key=value`; page by page. */
  volumes(labels: readonly string[] = []): Promise<ResourceView[]> {
    return allPages(async (page) => {
      const { volumes, next } = await this.#call('volumeList', {
        query: { ...(labels.length === 0 ? {} : { label: [...labels] }), ...page },
      });
      return { found: volumes, next };
    });
  }

  createVolume(request: CreateVolumeRequest): Promise<ResourceView> {
    return this.#call('volumeCreate', { body: request });
  }

  volume(name: string): Promise<ResourceView> {
    return this.#call('volumeGet', { params: { name } });
  }

  /** What is not named stays. */
  setVolume(name: string, settings: SetRequest): Promise<ResourceView> {
    return this.#call('volumeSet', { params: { name }, body: settings });
  }

  resizeVolume(name: string, request: ResizeRequest): Promise<ResourceView> {
    return this.#call('volumeResize', { params: { name }, body: request });
  }

  /** Snapshots follow. */
  renameVolume(name: string, to: string): Promise<ResourceView> {
    return this.#call('volumeRename', { params: { name }, body: { name: to } });
  }

  deleteVolume(name: string): Promise<DeletedView> {
    return this.#call('volumeDelete', { params: { name } });
  }

  /** `name`: VOL or VOL@SNAP. */
  volumeUri(name: string): Promise<UriView> {
    return this.#call('volumeUri', { params: { name } });
  }

  /** Of one volume, or of all. */
  snapshots(volume?: string): Promise<ResourceView[]> {
    return allPages(async (page) => {
      const query = { ...(volume === undefined ? {} : { volume }), ...page };
      const { snapshots, next } = await this.#call('snapshotList', { query });
      return { found: snapshots, next };
    });
  }

  createSnapshot(request: CreateSnapshotRequest): Promise<ResourceView> {
    return this.#call('snapshotCreate', { body: request });
  }

  snapshot(name: string): Promise<ResourceView> {
    return this.#call('snapshotGet', { params: { name } });
  }

  /** `name` is VOL@SNAP; the answer is the volume. */
  rollback(name: string): Promise<ResourceView> {
    return this.#call('snapshotRollback', { params: { name } });
  }

  /** Where `to` differs from `from`, all of it. */
  async diff(from: string, to: string): Promise<DifferenceView> {
    const ranges: DifferenceView['ranges'] = [];
    for (let next: number | null = 0; ; ) {
      const part: DifferenceView = await this.#call('diff', { query: { from, to, ...(next === 0 ? {} : { offset: next }) } });
      ranges.push(...part.ranges);
      next = part.next;
      if (next === null) return { ...part, ranges };
    }
  }

  /** The same with its data, as docs/formats/diff_stream.md says. Iterating fails where it breaks off. */
  async diffStream(from: string, to: string): Promise<AsyncIterable<Uint8Array>> {
    const { method, path } = streamRoutes.diff;
    const answer = await this.#transport.stream(method, `${path}?${new URLSearchParams({ from, to }).toString()}`);
    if (answer.bytes === undefined) throw failure(answer.status, answer.body);
    return answer.bytes;
  }

  /**
   * Makes a volume that is what the stream began with what it ended with. It must have an unchanged snapshot of the name of what
   * the stream began with, or be cloned from one; `anyBase`: only its size must be right.
   */
  async applyStream(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    { anyBase = false }: { readonly anyBase?: boolean } = {},
  ): Promise<ResourceView> {
    const { method, path } = streamRoutes.apply;
    const query = anyBase ? '?anyBase=true' : '';
    const { status, body } = await this.#transport.stream(method, withParams(path, { name }) + query, bytes);
    if (status >= 200 && status < 300) return body as ResourceView;
    throw failure(status, body);
  }

  deleteSnapshot(name: string): Promise<DeletedView> {
    return this.#call('snapshotDelete', { params: { name } });
  }

  /** Begins to give space back in a pool; `collection` tells how it goes. */
  async collectPool(name: string, body: CollectRequest = {}): Promise<CollectionView> {
    return this.#call('poolCollect', { params: { name }, body });
  }

  /** Of the run under way or the last one; waits at most so many seconds for its end. */
  async collection(name: string, wait = 0): Promise<CollectionView> {
    return this.#call('poolCollection', { params: { name }, query: { wait } });
  }

  /** Begins to move a volume with its snapshots, or an image, to another pool; `move` tells how it goes. */
  async beginMove(source: string, pool: string): Promise<MoveView> {
    return this.#call('moveBegin', { body: { source, pool } });
  }

  /** Of the move under way or the last one; waits at most so many seconds for its end. */
  async move(source: string, wait = 0): Promise<MoveView> {
    return this.#call('moveGet', { params: { name: source }, query: { wait } });
  }

  /** Begins to copy a volume to another pool again and again, or changes how; the first copy begins at once. */
  async replicate(volume: string, body: ReplicationRequest): Promise<ReplicationView> {
    return this.#call('replicationSet', { params: { name: volume }, body });
  }

  /** Waits at most so many seconds for the end of the copy under way. */
  async replication(volume: string, wait = 0): Promise<ReplicationView> {
    return this.#call('replicationGet', { params: { name: volume }, query: { wait } });
  }

  /** Of all volumes. */
  async replications(): Promise<readonly ReplicationView[]> {
    return (await this.#call('replicationList', {})).replications;
  }

  /** The replicas stay. */
  async stopReplication(volume: string): Promise<ReplicationView> {
    return this.#call('replicationStop', { params: { name: volume } });
  }

  /** What moves stays where it is. */
  async cancelMove(source: string): Promise<MoveView> {
    return this.#call('moveCancel', { params: { name: source } });
  }

  /** Begins to read all that a pool holds; `scrubbing` tells how it goes. */
  async scrubPool(name: string): Promise<ScrubView> {
    return this.#call('poolScrub', { params: { name } });
  }

  /** Of the run under way or the last one; waits at most so many seconds for its end. */
  async scrubbing(name: string, wait = 0): Promise<ScrubView> {
    return this.#call('poolScrubbing', { params: { name }, query: { wait } });
  }

  /** Who holds how much, the whole list. Waits for as long as the daemon measures. */
  async space(): Promise<Omit<SpaceView, 'next'>> {
    const limit = admin_page_resources_max;
    let first = await patiently(async (query) => (await this.#call('spaceList', { query: { ...query, limit } })).space);
    const resources = [...first.resources];
    for (let at = first.next; at !== null; ) {
      const from = at;
      const page = await patiently(
        async ({ wait }) => (await this.#call('spaceList', { query: { age: space_kept_seconds, wait, from, limit } })).space,
      );
      if (page.asOf !== first.asOf) {
        // Somebody measured meanwhile, and this is a page of another list.
        first = page;
        resources.length = 0;
        at = 0;
        continue;
      }
      resources.push(...page.resources);
      at = page.next;
    }
    const { next: _, ...space } = first;
    return { ...space, resources };
  }

  /** The same of one, a source as for a clone. */
  async spaceOf(name: string): Promise<OneSpaceView> {
    return patiently(async (query) => (await this.#call('spaceGet', { params: { name }, query })).space);
  }

  /** The number of an estimate of what files would take. */
  async beginEstimate(request: EstimateRequest = {}): Promise<number> {
    return (await this.#call('estimateBegin', { body: request })).id;
  }

  /** Reads on in a file of the daemon's host for a moment; tells of all files that were read so far. */
  readEstimate(id: number, request: EstimateReadRequest): Promise<EstimateView> {
    return this.#call('estimateRead', { params: { id }, body: request });
  }

  async endEstimate(id: number): Promise<void> {
    await this.#call('estimateEnd', { params: { id } });
  }

  /** Makes a bucket that shows the snapshots of a volume, or images, as objects. */
  createPublication(request: CreatePublicationRequest): Promise<PublicationView> {
    return this.#call('publicationCreate', { body: request });
  }

  async publications(): Promise<PublicationView[]> {
    return (await this.#call('publicationList', {})).publications;
  }

  deletePublication(bucket: string): Promise<GoneView> {
    return this.#call('publicationDelete', { params: { bucket } });
  }

  clone(request: CloneRequest): Promise<ResourceView> {
    return this.#call('clone', { body: request });
  }

  images(): Promise<ResourceView[]> {
    return allPages(async (page) => {
      const { images, next } = await this.#call('imageList', { query: page });
      return { found: images, next };
    });
  }

  /** The path is one of the daemon's host. The transfer runs on when this resolves. */
  importImage(request: ImportRequest): Promise<ImportView> {
    return this.#call('imageImport', { body: request });
  }

  image(name: string): Promise<ResourceView> {
    return this.#call('imageGet', { params: { name } });
  }

  renameImage(name: string, to: string): Promise<ResourceView> {
    return this.#call('imageRename', { params: { name }, body: { name: to } });
  }

  deleteImage(name: string): Promise<DeletedView> {
    return this.#call('imageDelete', { params: { name } });
  }

  /** The path is one of the daemon's host. The transfer runs on when this resolves. */
  exportResource(request: ExportRequest): Promise<TransferView> {
    return this.#call('export', { body: request });
  }

  transfer(id: number): Promise<TransferView> {
    return this.#call('transferGet', { params: { id } });
  }

  cancelTransfer(id: number): Promise<TransferView> {
    return this.#call('transferCancel', { params: { id } });
  }

  /** What an import from a stream waits for. Resolves when the import has ended, with how. */
  async sendContent(id: number, content: Readable): Promise<TransferView> {
    const answer = await this.#transport.upload(withParams(transferContentPath, { id }), content);
    if (answer.status === 200) return answer.body as TransferView;
    throw failure(answer.status, answer.body);
  }

  /** What an export to a stream gives; it ends with an error where the export fails, and transfer() tells which. */
  content(id: number): Promise<Readable> {
    return this.#transport.download(withParams(transferContentPath, { id }), ({ status, body }) => failure(status, body));
  }

  async pools(): Promise<PoolView[]> {
    return (await this.#call('poolList', {})).pools;
  }

  createPool(request: CreatePoolRequest): Promise<PoolView> {
    return this.#call('poolCreate', { body: request });
  }

  setPool(name: string, settings: SetPoolRequest): Promise<PoolView> {
    return this.#call('poolSet', { params: { name }, body: settings });
  }

  changePoolKey(name: string, request: ChangeKeyRequest): Promise<PoolView> {
    return this.#call('poolChangeKey', { params: { name }, body: request });
  }

  deletePool(name: string): Promise<DeletedView> {
    return this.#call('poolDelete', { params: { name } });
  }

  pool(name: string): Promise<PoolView> {
    return this.#call('poolGet', { params: { name } });
  }

  /** Ends idle connections. */
  close(): void {
    this.#transport.close();
  }

  async #call<R extends RouteName>(route: R, parts: Parts<R>): Promise<Answer<R>> {
    const { params, query, body }: CallParts = parts;
    const search = new URLSearchParams(
      Object.entries(query ?? {}).flatMap(([key, value]) => [value].flat().map((one): [string, string] => [key, String(one)])),
    ).toString();
    const path = routePath(route, params) + (search === '' ? '' : `?${search}`);
    const answer = await this.#transport.send({ method: routes[route].method, path, ...(body === undefined ? {} : { body }) });
    if (answer.status >= 200 && answer.status < 300) return answer.body as Answer<R>;
    throw failure(answer.status, answer.body);
  }
}

/** Asks for what is new, and where that takes longer than one answer may, again for what was begun since. */
async function patiently<T>(ask: (query: { readonly age: number; readonly wait: number }) => Promise<T | null>): Promise<T> {
  for (let asked = 0; ; asked += 1) {
    const answer = await ask({ age: asked * (space_wait_seconds + 1), wait: space_wait_seconds });
    if (answer !== null) return answer;
  }
}

interface CallParts {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, string | number | readonly string[]>>;
  readonly body?: unknown;
}

/** A code that this version does not know, from a newer daemon, counts as internal; its words are shown as they came. */
function failure(status: number, body: unknown): SkerryError {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : null;
  if (typeof error !== 'object' || error === null || !('message' in error) || typeof error.message !== 'string') {
    return new SkerryError('unsupported', `the daemon answered with status ${status} and no error that this version understands`);
  }
  return new SkerryError('code' in error && isErrorCode(error.code) ? error.code : 'internal', error.message);
}
