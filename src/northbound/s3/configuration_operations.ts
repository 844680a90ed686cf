/** Settings of buckets, and what is said of objects beside their content. */
import { aclOperations } from './acl_operations.js';
import { corsOperations } from './cors_operations.js';
import { encryptionOperations } from './encryption_configuration.js';
import { lifecycleOperations } from './lifecycle_operations.js';
import { lockOperations } from './lock_operations.js';
import { notificationOperations } from './notification_operations.js';
import type { Route } from './operations.js';
import { policyOperations } from './policy_operations.js';
import { publicAccessOperations } from './public_access_operations.js';
import { taggingOperations } from './tagging_operations.js';
import { unusedOperations } from './unused_configuration.js';
import { versioningOperations } from './versioning_operations.js';

export const configurationOperations: readonly Route[] = [
  ...aclOperations,
  ...corsOperations,
  ...encryptionOperations,
  ...lifecycleOperations,
  ...lockOperations,
  ...notificationOperations,
  ...policyOperations,
  ...publicAccessOperations,
  ...taggingOperations,
  ...unusedOperations,
  ...versioningOperations,
];
