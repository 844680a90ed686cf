/** Objects themselves: put, read, copied and removed. */
import { copyObject } from './copy_object.js';
import { deleteObject, deleteObjects } from './delete_object.js';
import { getObject, headObject } from './get_object.js';
import { getObjectAttributes } from './object_attributes.js';
import { getObjectTorrent } from './object_torrent.js';
import type { Route } from './operations.js';
import { postObject } from './post_object.js';
import { putObject } from './put_object.js';

export const objectOperations: readonly Route[] = [
  { target: 'object', method: 'PUT', operation: putObject },
  { target: 'object', method: 'PUT', header: 'x-amz-copy-source', operation: copyObject },
  { target: 'object', method: 'GET', operation: getObject },
  { target: 'object', method: 'HEAD', operation: headObject },
  { target: 'object', method: 'DELETE', operation: deleteObject },
  { target: 'object', method: 'GET', query: ['attributes'], operation: getObjectAttributes },
  { target: 'object', method: 'GET', query: ['torrent'], operation: getObjectTorrent },
  { target: 'bucket', method: 'POST', query: ['delete'], operation: deleteObjects },
  { target: 'bucket', method: 'POST', operation: postObject },
];
