// node listing_server.mjs DIRECTORY KEYS: fills the catalog in DIRECTORY with a bucket of so many objects, where it has none, and serves S3
// over it, with no engine: nothing reads or writes a body. Prints its address as a line of JSON once it serves. Of the built tree.
import { openLmdbCatalog } from '../../dist/src/catalog/lmdb.js';
import { last_order, objectCounterKey, versionKey } from '../../dist/src/catalog/object_keys.js';
import { encodeObject } from '../../dist/src/catalog/object_records.js';
import { Identity } from '../../dist/src/identity/identity.js';
import { IdAllocator } from '../../dist/src/mapper/id_allocator.js';
import { Access } from '../../dist/src/northbound/s3/access.js';
import { encodeAcl } from '../../dist/src/northbound/s3/acl_document.js';
import { cannedAcl } from '../../dist/src/identity/acl.js';
import { Authenticator } from '../../dist/src/northbound/s3/authenticator.js';
import { S3Server } from '../../dist/src/northbound/s3/s3_server.js';
import { Buckets } from '../../dist/src/object/buckets.js';
import { Listing } from '../../dist/src/object/listing.js';
import { noMeter } from '../../dist/src/object/meter.js';
import { Versions } from '../../dist/src/object/versions.js';

const writes_per_transaction = 8192;
const files_per_directory = 1000;

const [directory, keys] = process.argv.slice(2);
const catalog = await openLmdbCatalog({ directory });
const log = (level, message, fields = {}) => {
  if (level === 'error') console.error(message, fields);
};
const identity = await Identity.open({
  catalog,
  dataDirectory: directory,
  now: Date.now,
  holds: async () => null,
  usageDays: 1,
  log,
});
const ids = new IdAllocator(catalog, objectCounterKey);
const shared = { catalog, ids, meter: noMeter, now: Date.now };
const buckets = new Buckets(shared);
const versions = new Versions({ ...shared, buckets });

/** In the order of the keys, as a backup would bring them: eight directories of a level, then names of one length. */
async function fill() {
  const account = await identity.accounts.create('lister');
  const acl = encodeAcl(cannedAcl('public-read', { owner: account.canonicalId, bucketOwner: account.canonicalId }));
  const documents = new Map([['acl', Buffer.from(acl)]]);
  const bucket = await buckets.create({ name: 'listed', account: account.id, pool: 'default', documents });
  const attributes = {
    owner: account.id,
    headers: { 'content-type': 'application/octet-stream' },
    metadata: { mtime: '1700000000.123456789' },
    tags: {},
    acl: '',
    storageClass: 'STANDARD',
    retention: null,
    legalHold: false,
  };
  const began = performance.now();
  for (let at = 0; at < Number(keys); at += writes_per_transaction) {
    const count = Math.min(writes_per_transaction, Number(keys) - at);
    const writes = Array.from({ length: count }, (_, offset) => objectWrite(bucket.id, at + offset, attributes));
    const { outcome } = await catalog.transact([], writes);
    if (outcome !== 'committed') throw new Error('the catalog is changed by somebody else');
  }
  return (performance.now() - began) / 1000;
}

function objectWrite(bucket, number, attributes) {
  const id = 1_000_000 + number;
  const bytes = 100_000 + (number % 1000);
  const key = keyOf(number);
  const part = { bytes, checksum: '', segments: [{ shelf: 7, extent: number * 131_072, start: 0, bytes }] };
  const value = encodeObject({
    id,
    isNull: true,
    deleteMarker: false,
    bytes,
    etag: number.toString(16).padStart(32, '0'),
    modifiedAt: 1_700_000_000_000 + number,
    attributes,
    checksum: null,
    multipart: false,
    body: { parts: [part], chain: [] },
  });
  return { key: versionKey(bucket, key, last_order), value };
}

/** `data/00001234/00000567.bin`. */
function keyOf(number) {
  const directory = Math.floor(number / files_per_directory);
  const file = number % files_per_directory;
  return `data/${String(directory).padStart(8, '0')}/${String(file).padStart(8, '0')}.bin`;
}

const there = (await catalog.range('bucket/', { entriesMax: 1 })).length > 0;
const filledSeconds = there ? null : await fill();
const region = 'us-east-1';
const authenticator = new Authenticator({
  region,
  version2: true,
  credentials: (accessKey) => identity.keys.byAccessKey(accessKey),
});
const access = new Access({ buckets });
const store = { buckets, listing: new Listing({ catalog, buckets, versions }) };
const services = { store, access, accounts: identity.accounts, authenticator, region, pool: 'default', now: Date.now };
const server = new S3Server({ services, domains: [], log });
const address = await server.listen('127.0.0.1', 0);
console.log(JSON.stringify({ address, filledSeconds }));
process.once('SIGTERM', () => {
  void server
    .close()
    .then(() => identity.stop())
    .then(() => catalog.close());
});
