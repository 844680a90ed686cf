import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import { openapiDocument } from '../../../src/api/openapi.js';
import { routes, streamRoutes, transferContentPath } from '../../../src/api/routes.js';
import { outputs, outputSchemas } from '../../../src/cli/outputs.js';

const reference = join(import.meta.dirname, '../../../docs/reference');
const committed = (file: string): unknown => JSON.parse(readFileSync(join(reference, file), 'utf8'));
const made = (document: unknown): unknown => JSON.parse(JSON.stringify(document));

describe('the documents in docs/reference are those that the source makes (npm run reference writes them)', () => {
  it('openapi.json', () => expect(committed('openapi.json')).toEqual(made(openapiDocument())));
  it('cli_json.json', () => expect(committed('cli_json.json')).toEqual(made(outputSchemas())));
});

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, unknown>>;
}

describe('the OpenAPI document', () => {
  const document = made(openapiDocument()) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
  };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
  );

  it('has every route that is served, once, and no other', () => {
    const served = [
      ...Object.values(routes).map(({ method, path }) => `${method} ${path}`),
      ...Object.values(streamRoutes).map(({ method, path }) => `${method} ${path}`),
      `PUT ${transferContentPath}`,
      `GET ${transferContentPath}`,
    ];
    const described = operations.map(({ method, path }) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`);
    expect(described.sort()).toEqual(served.sort());
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  });

  it('declares each parameter of a path, and says of each operation what it does and how it fails', () => {
    for (const { path, parameters = [], summary, responses } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(parameters.filter((one) => one.in === 'path').map(({ name }) => name)).toEqual(inPath);
      expect(summary).toMatch(/\.$/);
      expect(responses).toHaveProperty('default');
    }
  });

  it('tells what of a query may be left out', () => {
    const query = (id: string) =>
      operations
        .find(({ operationId }) => operationId === id)
        ?.parameters?.filter((one) => one.in === 'query')
        .map(({ name, required }) => `${name}${required ? '' : '?'}`);
    expect(query('diff')).toEqual(['from', 'to', 'offset?']);
    expect(query('volumeList')).toContain('label?');
  });

  it('refers only to what it defines', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, to = '']) => to);
    expect(references.length).toBeGreaterThan(40);
    for (const to of references)
      expect(Object.keys(document.components.schemas)).toContain(to.replace('#/components/schemas/', ''));
  });
});

it('the schemas of --json refer only to what they define, and there is one for each command', () => {
  const document = made(outputSchemas()) as { readonly $defs: Readonly<Record<string, unknown>> };
  for (const [, to = ''] of JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g))
    expect(Object.keys(document.$defs)).toContain(to.replace('#/$defs/', ''));
  expect(Object.keys(document.$defs)).toEqual(expect.arrayContaining(Object.keys(outputs)));
});
