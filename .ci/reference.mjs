// Writes what of docs/reference is made from the source, from dist/: run after a build, when a shape or a route changed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { buildTypescript } from './build.mjs';
import { root } from './paths.mjs';

await buildTypescript();
const { openapiDocument } = await import('../dist/src/api/openapi.js');
const { outputSchemas } = await import('../dist/src/cli/outputs.js');
const folder = join(root, 'docs', 'reference');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'openapi.json'), `${JSON.stringify(openapiDocument(), null, 2)}\n`);
writeFileSync(join(folder, 'cli_json.json'), `${JSON.stringify(outputSchemas(), null, 2)}\n`);
