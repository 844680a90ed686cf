/** Rules that tell browsers which pages may ask a bucket for what. */
import { z } from 'zod';

import { readDocument, type BucketDocuments, type DocumentKind } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import { element, type XmlContent, type XmlNode } from './xml_document.js';
import { malformedXml, type XmlElement } from './xml_tree.js';

const cors_rules_max = 100;
const corsMethods = ['GET', 'PUT', 'POST', 'DELETE', 'HEAD'];

export interface CorsRule {
  /** null where it has none. */
  readonly id: string | null;
  /** Each with one * at most. */
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  /** That a page may send; each with one * at most. */
  readonly headers: readonly string[];
  /** That a page may read. */
  readonly exposed: readonly string[];
  readonly maxAgeSeconds: number | null;
}

const texts = z.array(z.string());
export const corsDocument: DocumentKind<readonly CorsRule[]> = {
  kind: 'cors',
  schema: z.array(
    z.strictObject({
      id: z.string().nullable(),
      origins: texts,
      methods: texts,
      headers: texts,
      exposed: texts,
      maxAgeSeconds: z.int().nullable(),
    }),
  ),
};

/** null: none were set. */
export function corsRules(buckets: Pick<BucketDocuments, 'document'>, bucket: string): Promise<readonly CorsRule[] | null> {
  return readDocument(buckets, bucket, corsDocument);
}

/** What a page asks for. */
export interface CorsRequest {
  readonly origin: string;
  readonly method: string;
  /** In lower case. */
  readonly headers: readonly string[];
}

/** The first that allows it. */
export function ruleFor(rules: readonly CorsRule[], { origin, method, headers }: CorsRequest): CorsRule | undefined {
  return rules.find(
    (rule) =>
      rule.origins.some((pattern) => matchesOne(pattern, origin)) &&
      rule.methods.includes(method) &&
      headers.every((header) => rule.headers.some((pattern) => matchesOne(pattern.toLowerCase(), header))),
  );
}

/** @throws S3Failure MalformedXML, InvalidRequest */
export function parseCors(root: XmlElement): readonly CorsRule[] {
  const rules = root.all('CORSRule').map(ruleOf);
  if (rules.length === 0 || rules.length > cors_rules_max) throw malformedXml(`there are 1 to ${cors_rules_max} rules`);
  return rules;
}

export function corsXml(rules: readonly CorsRule[]): XmlContent {
  const each = (name: string, values: readonly string[]): XmlNode[] => values.map((value) => element(name, value));
  return rules.map(({ id, origins, methods, headers, exposed, maxAgeSeconds }) =>
    element('CORSRule', [
      ...(id === null ? [] : [element('ID', id)]),
      ...each('AllowedOrigin', origins),
      ...each('AllowedMethod', methods),
      ...each('AllowedHeader', headers),
      ...each('ExposeHeader', exposed),
      ...(maxAgeSeconds === null ? [] : [element('MaxAgeSeconds', maxAgeSeconds)]),
    ]),
  );
}

function ruleOf(rule: XmlElement): CorsRule {
  const texts = (name: string): string[] => rule.all(name).map((each) => each.asText().trim());
  const [origins, methods, headers] = [texts('AllowedOrigin'), texts('AllowedMethod'), texts('AllowedHeader')];
  if (origins.length === 0 || methods.length === 0) throw malformedXml('a CORSRule has an AllowedOrigin and an AllowedMethod');
  const strange = methods.find((method) => !corsMethods.includes(method));
  if (strange !== undefined)
    throw new S3Failure('InvalidRequest', `Found unsupported HTTP method in CORS config. Unsupported method is ${strange}`);
  for (const [name, patterns] of Object.entries({ AllowedOrigin: origins, AllowedHeader: headers }))
    for (const pattern of patterns)
      if (pattern.split('*').length > 2)
        throw new S3Failure('InvalidRequest', `${name} "${pattern}" can not have more than one wildcard.`);
  const exposed = texts('ExposeHeader');
  const wild = exposed.find((header) => !/^[!#$%&'+\-.^_`|~0-9A-Za-z]+$/.test(header));
  if (wild !== undefined) throw new S3Failure('InvalidRequest', `ExposeHeader "${wild}" is not the name of a header.`);
  return {
    id: rule.optional('ID')?.asText() ?? null,
    origins,
    methods,
    headers,
    exposed,
    maxAgeSeconds: rule.optional('MaxAgeSeconds')?.asInteger() ?? null,
  };
}

function matchesOne(pattern: string, text: string): boolean {
  const [start = '', end] = pattern.split('*');
  if (end === undefined) return pattern === text;
  return text.length >= start.length + end.length && text.startsWith(start) && text.endsWith(end);
}
