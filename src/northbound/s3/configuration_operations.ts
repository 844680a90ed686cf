import type { Route } from './operations.js';

export const configurationOperations: readonly Route[] = [];
