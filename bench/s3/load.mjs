#!/usr/bin/env node
// node load.mjs JOB, a job as JSON (see Job): puts or gets objects of one size over so many connections, and prints what came of it as JSON. The connections are
// shared among processes of their own, which speak HTTP over plain sockets and sign by SigV4 themselves: the less a client costs, the less of a host that it shares
// with the server it takes away. Every byte that a GET brings is compared with what was put; anything but success ends the run.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Client } from './client.mjs';

/**
 * @typedef {object} Job
 * @property {string} endpoint `http://HOST:PORT`
 * @property {string} region
 * @property {string} bucket
 * @property {string} accessKey
 * @property {string} secretKey
 * @property {'put' | 'get'} verb
 * @property {string} prefix of the keys
 * @property {number} seed of the content: the same seed is the same content, whatever the prefix
 * @property {number} bytes of an object
 * @property {number} connections
 * @property {number} processes
 * @property {number} seconds
 * @property {number} objectsMax of each connection: so many are put at most
 * @property {number[]} [counts] of each connection: so many were put, or are to be put at most
 */

if (process.argv[3] === undefined) await lead(JSON.parse(process.argv[2]));
else await work(JSON.parse(process.argv[2]), Number(process.argv[3]));

/** Starts the processes, has them begin together, and adds up. */
async function lead(job) {
  const workers = Array.from({ length: job.processes }, (_, number) => {
    const argv = [fileURLToPath(import.meta.url), JSON.stringify(job), String(number)];
    const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  });
  const next = async ({ lines }) => {
    const { value, done } = await lines.next();
    if (done) throw new Error('a process of the client ended early');
    return JSON.parse(value);
  };
  try {
    await Promise.all(workers.map(next));
    const began = performance.now();
    for (const { child } of workers) child.stdin.write('go\n');
    const done = (await Promise.all(workers.map(next))).flat();
    const seconds = (performance.now() - began) / 1000;
    const times = done.flatMap((one) => one.times).toSorted((a, b) => a - b);
    const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? null;
    const counts = done.toSorted((a, b) => a.connection - b.connection).map((one) => one.times.length);
    const operations = times.length;
    console.log(JSON.stringify({ operations, bytes: operations * job.bytes, seconds, p50: at(0.5), p99: at(0.99), counts }));
  } finally {
    for (const { child } of workers) child.kill();
  }
}

/** The connections whose numbers leave `number` when divided by the count of processes. */
async function work(job, number) {
  const numbers = Array.from({ length: job.connections }, (_, at) => at).filter((at) => at % job.processes === number);
  const clients = await Promise.all(numbers.map((connection) => Client.open(job, connection)));
  console.log('{}');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  const until = performance.now() + job.seconds * 1000;
  const done = await Promise.all(clients.map((client) => client.run(until)));
  console.log(JSON.stringify(done));
  for (const client of clients) client.close();
  process.stdin.destroy();
}
