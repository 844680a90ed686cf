import type { Route } from './operations.js';

export const uploadOperations: readonly Route[] = [];
