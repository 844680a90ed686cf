/** Torrents of objects, which S3 once made: of none here is there one, and clients know that answer. */
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';

export const getObjectTorrent: Operation = {
  name: 'GetObjectTorrent',
  async run() {
    throw new S3Failure('NoSuchKey', 'There are no torrents of objects here: get the object itself.');
  },
};
