import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import { listObjects, listObjectsV2 } from './object_lists.js';
import type { Route } from './operations.js';
import { listMultipartUploads } from './upload_list.js';
import { listObjectVersions } from './version_list.js';

/** `list-type` says which version of the list is meant; there is no other than 2. */
const listOfType: Operation = {
  name: listObjectsV2.name,
  async run(exchange) {
    if (exchange.request.query.get('list-type') !== '2')
      throw new S3Failure('InvalidArgument', 'Invalid List Type specified in Request');
    return listObjectsV2.run(exchange);
  },
};

export const listOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', operation: listObjects },
  { target: 'bucket', method: 'GET', query: ['list-type'], operation: listOfType },
  { target: 'bucket', method: 'GET', query: ['versions'], operation: listObjectVersions },
  { target: 'bucket', method: 'GET', query: ['uploads'], operation: listMultipartUploads },
];
