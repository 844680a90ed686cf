import type { Route } from './operations.js';

export const objectOperations: readonly Route[] = [];
