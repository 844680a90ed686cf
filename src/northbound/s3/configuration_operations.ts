/** Settings of buckets, and what is said of objects beside their content. */
import { aclOperations } from './acl_operations.js';
import type { Route } from './operations.js';
import { policyOperations } from './policy_operations.js';
import { publicAccessOperations } from './public_access_operations.js';

export const configurationOperations: readonly Route[] = [...aclOperations, ...policyOperations, ...publicAccessOperations];
