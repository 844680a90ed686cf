import type { Route } from './operations.js';

export const listOperations: readonly Route[] = [];
