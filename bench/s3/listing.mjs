#!/usr/bin/env node
// bench/s3/listing.mjs [--keys 1000000] [--directory DIR] [--pages 30] [--walk PAGES] [--out FILE]: how long pages of lists of a large bucket take, at its beginning,
// in its middle and at its end, and how much memory the server has. The client signs nothing: the bucket's list lets everybody read.
// --walk: how many pages of the whole list are read in order, all unless it is given. Writes FILE.json and FILE.md. DIR keeps the catalog, for a next run; else it is removed.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const options = {
  keys: { type: 'string', default: '1000000' },
  directory: { type: 'string' },
  pages: { type: 'string', default: '30' },
  walk: { type: 'string', default: 'Infinity' },
  out: { type: 'string', default: 'listing' },
};
const { values } = parseArgs({ options });
const keys = Number(values.keys);
const pages = Number(values.pages);
const walkPages = Number(values.walk);
const files_per_directory = 1000;
const here = dirname(fileURLToPath(import.meta.url));

const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'skerry-listing-'));
const server = spawn(process.execPath, [join(here, 'listing_server.mjs'), directory, String(keys)], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  const { address, filledSeconds } = await started();
  const result = await measured(address);
  const catalogBytes = statSync(join(directory, 'catalog', 'data.mdb')).size;
  const whole = { keys, pages, filledSeconds, catalogBytes, cpus: cpus().length, load: loadavg()[0], ...result };
  writeFileSync(`${String(values.out)}.json`, `${JSON.stringify(whole, null, 2)}\n`);
  writeFileSync(`${String(values.out)}.md`, report(whole));
} finally {
  server.kill('SIGTERM');
  await new Promise((resolve) => server.once('exit', resolve));
  if (values.directory === undefined) rmSync(directory, { recursive: true, force: true });
}

async function started() {
  for await (const line of createInterface({ input: server.stdout })) return JSON.parse(line);
  throw new Error('the server ended before it served');
}

async function measured(address) {
  const list = (query) => page(`http://${address}/listed?${new URLSearchParams(query)}`);
  const memory = [{ when: 'before', ...memoryOf(server.pid) }];
  const rows = [];
  const measure = async (name, querysOf) => {
    const times = [];
    const began = processorSeconds(server.pid);
    let entries = 0;
    for (let at = 0; at < pages; at += 1) {
      const { milliseconds, body } = await list(querysOf(at));
      times.push(milliseconds);
      entries = Math.max(entries, count(body, '<Key>') + count(body, '<CommonPrefixes>'));
    }
    rows.push({ name, entries, processor: ((processorSeconds(server.pid) - began) * 1000) / pages, ...summary(times) });
  };
  // Each page begins elsewhere, so that none is read twice.
  const after = (share, at) => keyOf(Math.min(keys - 1001, Math.floor(keys * share) + at * 1000));
  for (const [place, share] of [['first', 0], ['middle', 0.5], ['last', 1]]) {
    const from = share === 1 ? (at) => keyOf(Math.max(0, keys - 1001 - at * 1000)) : (at) => after(share, at);
    await measure(`v2, ${place} pages`, (at) => ({ 'list-type': '2', 'start-after': from(at) }));
  }
  await measure('v1, middle pages', (at) => ({ marker: after(0.5, at) }));
  await measure('versions, middle pages', (at) => ({ versions: '', 'key-marker': after(0.5, at) }));
  await measure('v2, one key behind the middle', (at) => ({ 'list-type': '2', 'start-after': after(0.5, at), 'max-keys': '1' }));
  await measure('v2, a directory of 1,000 keys', (at) => ({
    'list-type': '2',
    prefix: `${directoryOf(Math.floor(keys / 2) + at * files_per_directory)}/`,
    delimiter: '/',
  }));
  await measure('v2, groups of 1,000 keys each', (at) => ({
    'list-type': '2',
    prefix: 'data/',
    delimiter: '/',
    'start-after': `${directoryOf(Math.floor(at * (keys / pages)))}/`,
  }));
  memory.push({ when: 'after those', ...memoryOf(server.pid) });
  const walk = await walked(list);
  memory.push({ when: 'after the pages in order', ...memoryOf(server.pid) });
  return { rows, walk, memory };
}

/** All keys, by tokens, each after the one before. */
async function walked(list) {
  const times = [];
  const began = processorSeconds(server.pid);
  let found = 0;
  let before = '';
  for (let token; times.length < walkPages; ) {
    const { milliseconds, body } = await list({ 'list-type': '2', ...(token === undefined ? {} : { 'continuation-token': token }) });
    times.push(milliseconds);
    for (const [, key] of body.matchAll(/<Key>([^<]*)<\/Key>/g)) {
      if (key <= before) throw new Error(`${key} comes after ${before}`);
      before = key;
      found += 1;
    }
    token = /<NextContinuationToken>([^<]*)<\/NextContinuationToken>/.exec(body)?.[1];
    if (token === undefined) break;
  }
  const wanted = Math.min(keys, walkPages * 1000);
  if (found !== wanted) throw new Error(`${found} keys were listed of ${wanted}`);
  const processor = ((processorSeconds(server.pid) - began) * 1000) / times.length;
  return { pages: times.length, processor, seconds: times.reduce((a, b) => a + b, 0) / 1000, ...summary(times) };
}

async function page(url) {
  const began = performance.now();
  const answer = await fetch(url);
  const body = await answer.text();
  if (answer.status !== 200) throw new Error(`${url}: ${body}`);
  return { milliseconds: performance.now() - began, body };
}

function summary(times) {
  const ordered = times.toSorted((a, b) => a - b);
  const at = (share) => ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * share))];
  return { median: at(0.5), p99: at(0.99), max: ordered.at(-1) };
}

/** In bytes: of its own, and with the pages of the catalog that it has mapped. */
function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) * 1024;
  return { anonymousBytes: bytes('RssAnon'), residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') };
}

/** What a process has had of processors, in all of its threads: Linux counts hundredths. */
function processorSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function keyOf(number) {
  return `${directoryOf(number)}/${String(number % files_per_directory).padStart(8, '0')}.bin`;
}

function directoryOf(number) {
  return `data/${String(Math.floor(number / files_per_directory)).padStart(8, '0')}`;
}

function count(text, part) {
  return text.split(part).length - 1;
}

function report({ keys, rows, walk, memory, filledSeconds, catalogBytes, cpus, load }) {
  const ms = (value) => value.toFixed(1);
  const mib = (bytes) => Math.round(bytes / 2 ** 20);
  const lines = [
    `${keys.toLocaleString('en')} keys, a catalog of ${mib(catalogBytes).toLocaleString('en')} MiB, ${cpus} CPUs, load ${load.toFixed(1)}${filledSeconds === null ? '' : `, filled in ${Math.round(filledSeconds)} s`}.`,
    '',
    '| pages | entries each | processor ms | median ms | p99 ms | longest ms |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...rows.map((row) => `| ${row.name} | ${row.entries} | ${ms(row.processor)} | ${ms(row.median)} | ${ms(row.p99)} | ${ms(row.max)} |`),
    `| v2, ${walk.pages.toLocaleString('en')} in order, in ${Math.round(walk.seconds)} s | 1000 | ${ms(walk.processor)} | ${ms(walk.median)} | ${ms(walk.p99)} | ${ms(walk.max)} |`,
    '',
    '| memory of the server, MiB | its own | resident | most so far |',
    '| --- | ---: | ---: | ---: |',
    ...memory.map((row) => `| ${row.when} | ${mib(row.anonymousBytes)} | ${mib(row.residentBytes)} | ${mib(row.peakBytes)} |`),
  ];
  return `${lines.join('\n')}\n`;
}
