import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { SkerryError, errorTable, type ErrorCode } from '../../../../src/core/errors.js';
import { s3ErrorTable, type S3ErrorCode } from '../../../../src/northbound/s3/error_codes.js';
import { errorAnswer } from '../../../../src/northbound/s3/error_document.js';
import { S3Failure, toS3Failure } from '../../../../src/northbound/s3/errors.js';
import { element, s3_namespace, xmlCarries, xmlDocument } from '../../../../src/northbound/s3/xml_document.js';
import { parseXml, readXml, xmlLimits } from '../../../../src/northbound/s3/xml_tree.js';
import { failureOf } from './world.js';

const parse = (text: string, limits = xmlLimits) => parseXml(Buffer.from(text), 'Root', limits);

describe('XML that is read', () => {
  test('is a tree by local names, with or without a namespace', () => {
    const texts = [
      '<Root><A>1</A><A>2</A><B t="x">true</B></Root>',
      `<?xml version="1.0" encoding="UTF-8"?>\n<Root xmlns="${s3_namespace}"><A>1</A><A>2</A><B t="x">true</B></Root>\n`,
      `<s:Root xmlns:s="${s3_namespace}"><s:A>1</s:A><s:A>2</s:A><s:B t="x">true</s:B></s:Root>`,
      '\ufeff<Root><!-- a comment --><A>1</A><A>2</A><B t="x"><![CDATA[true]]></B></Root>',
    ];
    for (const text of texts) {
      const root = parse(text);
      expect(root.all('A').map((child) => child.asInteger())).toEqual([1, 2]);
      expect(root.required('B').asBoolean()).toBe(true);
      expect(root.required('B').attributes.get('t')).toBe('x');
      expect(root.optional('C')).toBeUndefined();
    }
  });

  test('keeps the text of a key as it is', () => {
    const root = parse('<Root><Key> a&amp;b&lt;&#10;<![CDATA[<c>]]>&#x1F40B; </Key></Root>');
    expect(root.required('Key').asText()).toBe(' a&b<\n<c>🐋 ');
  });

  test('has an attribute of another namespace by its local name, as grants do', () => {
    const text = '<Root xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"/>';
    expect(parse(text).attributes.get('type')).toBe('CanonicalUser');
  });

  test.each([
    ['nothing', ''],
    ['text', 'abc'],
    ['another root', '<Other/>'],
    ['two roots', '<Root/><Root/>'],
    ['no end', '<Root>'],
    ['another end', '<Root></Toor>'],
    ['a bare ampersand', '<Root>a & b</Root>'],
    ['an unknown entity', '<Root>&nbsp;</Root>'],
    ['a document type', '<!DOCTYPE Root><Root/>'],
    ['an entity of its own', '<!DOCTYPE Root [<!ENTITY a "b">]><Root>&a;</Root>'],
    ['an entity of elsewhere', '<!DOCTYPE Root SYSTEM "file:///etc/passwd"><Root/>'],
    ['an instruction', '<?php x?><Root/>'],
    ['another encoding', '<?xml version="1.0" encoding="ISO-8859-1"?><Root/>'],
    ['an unbound prefix', '<a:Root/>'],
    ['an attribute twice', '<Root a="1" a="2"/>'],
    ['a character that XML has not', '<Root>\u0001</Root>'],
    ['a reference to one', '<Root>&#1;</Root>'],
  ])('is refused with %s', async (_, text) => {
    const failure = await failureOf('MalformedXML', () => parse(text));
    expect(failure.status).toBe(400);
  });

  test('is UTF-8', async () => {
    await failureOf('MalformedXML', () => parseXml(Buffer.from('<Root>\xff</Root>', 'latin1'), 'Root'));
    await failureOf('MalformedXML', () => parseXml(Buffer.from('\ufeff<Root/>', 'utf16le'), 'Root'));
  });

  test('has bounded depth, elements, attributes and bytes', async () => {
    const limits = { bytesMax: 200, depthMax: 3, elementsMax: 5 };
    expect(parse('<Root><A><B>c</B></A></Root>', limits).children).toHaveLength(1);
    await failureOf('MalformedXML', () => parse('<Root><A><B><C/></B></A></Root>', limits));
    expect(parse('<Root><A/><A/><A/><A/></Root>', limits).children).toHaveLength(4);
    await failureOf('MalformedXML', () => parse('<Root><A/><A/><A/><A/><A/></Root>', limits));
    expect(parse('<Root a="1" b="2" c="3" d="4"/>', limits).attributes.size).toBe(4);
    await failureOf('MalformedXML', () => parse('<Root a="1" b="2" c="3" d="4" e="5" f="6"/>', limits));
    const sized = (bytes: number) => `<Root>${'x'.repeat(bytes - '<Root></Root>'.length)}</Root>`;
    expect(parse(sized(200), limits).asText()).toHaveLength(187);
    await failureOf('MaxMessageLengthExceeded', () => parse(sized(201), limits));
  });

  test('comes in pieces, of which no more are read than the limit', async () => {
    let read = 0;
    const source = async function* (pieces: number) {
      yield Buffer.from('<Root>');
      for (; read < pieces; read += 1) yield Buffer.alloc(64, 'x');
      yield Buffer.from('</Root>');
    };
    expect((await readXml(source(2), 'Root', { ...xmlLimits, bytesMax: 1000 })).asText()).toHaveLength(128);
    read = 0;
    await failureOf('MaxMessageLengthExceeded', () => readXml(source(1_000_000), 'Root', { ...xmlLimits, bytesMax: 1000 }));
    expect(read).toBeLessThan(17);
  });

  test('is refused where it is not what was asked for', async () => {
    const root = parse('<Root><A>1</A><A>2</A><B><C/></B><N>1x</N><M>9007199254740993</M><T>yes</T><W>Enabled</W></Root>');
    for (const attempt of [
      () => root.required('X'),
      () => root.required('A'),
      () => root.optional('A'),
      () => root.required('B').asText(),
      () => root.required('N').asInteger(),
      () => root.required('M').asInteger(),
      () => root.required('T').asBoolean(),
      () => root.required('W').asOneOf(['Disabled']),
    ])
      await failureOf('MalformedXML', attempt);
    expect(root.required('W').asOneOf(['Disabled', 'Enabled'])).toBe('Enabled');
  });
});

describe('XML that is answered', () => {
  test('is in the namespace of S3, and escaped', () => {
    const text = xmlDocument('ListBucketResult', [
      element('Name', 'a&b<c>"d"\'e\''),
      element('MaxKeys', 1000),
      element('IsTruncated', false),
      element('Prefix', ''),
      element('Owner', [element('ID', 'x')], { type: 'a"\n' }),
    ]);
    expect(text).toBe(
      `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="${s3_namespace}"><Name>a&amp;b&lt;c&gt;&quot;d&quot;&apos;e&apos;</Name><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Prefix/><Owner type="a&quot;&#10;"><ID>x</ID></Owner></ListBucketResult>`,
    );
  });

  test('reads back as what was written, but for what XML cannot carry', () => {
    const text = fc.string({
      unit: fc.oneof(
        fc.constantFrom('\0', '\r', '\n', '\t', ' ', '\ufffe', '\ud800', ']]>', '&'),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      ),
      maxLength: 20,
    });
    fc.assert(
      fc.property(text, (key) => {
        const read = parseXml(Buffer.from(xmlDocument('Root', [element('Key', key)])), 'Root')
          .required('Key')
          .asText();
        if (xmlCarries(key)) expect(read).toBe(key);
        else expect(read).toContain('\ufffd');
      }),
      { numRuns: 150 },
    );
  });

  test('says which text it carries', () => {
    for (const text of ['', 'a b', '\t\r\n', 'é🐋', '\ufffd', '\x7f']) expect(xmlCarries(text)).toBe(true);
    for (const text of ['\0', 'a\x01', '\x0b', '\x1f', '\ufffe', '\uffff', '\ud800', 'a\udc00'])
      expect(xmlCarries(text)).toBe(false);
  });
});

describe('an error', () => {
  const place = { resource: '/photos/a&b', requestId: '4442587FB7D0A2F9', hostId: 'host' };

  test('is a document with its details, in no namespace', () => {
    const failure = new S3Failure('SignatureDoesNotMatch', undefined, {
      details: { AWSAccessKeyId: 'AKID', StringToSign: 'a\nb' },
    });
    expect(errorAnswer(failure, place)).toEqual({
      status: 403,
      code: 'SignatureDoesNotMatch',
      body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>${s3ErrorTable.SignatureDoesNotMatch.message}</Message><AWSAccessKeyId>AKID</AWSAccessKeyId><StringToSign>a&#10;b</StringToSign><Resource>/photos/a&amp;b</Resource><RequestId>4442587FB7D0A2F9</RequestId><HostId>host</HostId></Error>`,
    });
  });

  test('of ours tells tenants its code, and nothing of what happened', () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      const answer = errorAnswer(new SkerryError(code, '/var/lib/skerry is secret'), place);
      expect(answer.body).not.toContain('secret');
      expect(answer.status).toBeGreaterThanOrEqual(400);
    }
    const bug = errorAnswer(new TypeError('x is secret'), place);
    expect([bug.status, bug.code]).toEqual([500, 'InternalError']);
    expect(bug.body).not.toContain('secret');
  });

  test('may be tried again on the wire where it may be in the table, and not where not', () => {
    // What clients try again: 500, 502, 503 and 504.
    for (const [code, { retry }] of Object.entries(errorTable)) {
      const { status } = toS3Failure(new SkerryError(code as ErrorCode, 'x'));
      if (retry) expect([500, 503]).toContain(status);
      // What of ours is not there is no key that a client should believe to be gone: those have a reason.
      else if (!['corrupt', 'internal', 'closed', 'not-found'].includes(code))
        expect([400, 403, 404, 409, 501, 507]).toContain(status);
    }
  });

  test('keeps its words and its cause', () => {
    const failure = new S3Failure('NoSuchKey', 'no such', { cause: new Error('why') });
    expect(toS3Failure(failure)).toBe(failure);
    expect([failure.code, failure.message, failure.status]).toEqual(['not-found', 'no such', 404]);
    expect(failure.cause).toBeInstanceOf(Error);
    const ours = new SkerryError('io', 'disk');
    expect(toS3Failure(ours).cause).toBe(ours);
  });

  test('of each code of the table is one of the table of errors', () => {
    for (const code of Object.keys(s3ErrorTable) as S3ErrorCode[]) {
      expect(errorTable).toHaveProperty(new S3Failure(code).code);
      expect(s3ErrorTable[code].message).not.toBe('');
    }
  });
});
