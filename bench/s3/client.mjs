// One connection's part of a job.
import { Connection } from './connection.mjs';

const page_bytes = 4096;

/** One connection, one request at a time, and the content of the object that it is at. */
export class Client {
  #job;
  #number;
  #connection;
  #content;
  #stamps;

  static async open(job, number) {
    const client = new Client();
    client.#job = job;
    client.#number = number;
    client.#connection = await Connection.open(job);
    client.#content = filling(job.bytes);
    client.#stamps = new BigUint64Array(client.#content.buffer);
    return client;
  }

  async run(until) {
    const { verb, objectsMax, counts } = this.#job;
    const times = [];
    const count = counts?.[this.#number] ?? objectsMax;
    // Each has one at least: else a server that is slow would have no rate at all.
    for (let at = 0; times.length === 0 || performance.now() < until; at += 1) {
      if (verb === 'put' && at >= count) break;
      // What is got comes in another order than it was put in.
      const object = verb === 'put' ? at : (at * 7919 + 13) % count;
      this.#stamp(object);
      const key = `${this.#job.prefix}/${this.#number}/${object}`;
      const began = performance.now();
      if (verb === 'put') await this.#connection.put(key, this.#content);
      else await this.#connection.get(key, this.#content);
      times.push(Math.round((performance.now() - began) * 1000));
    }
    return { connection: this.#number, times };
  }

  /** Every page of every object of a seed is like no other. */
  #stamp(object) {
    const stamp = (BigInt(this.#job.seed) << 40n) | (BigInt(this.#number) << 32n) | BigInt(object);
    for (let at = 0; at < this.#stamps.length; at += page_bytes / 8) {
      this.#stamps[at] = stamp;
      this.#stamps[at + 1] = BigInt(at);
    }
  }

  close() {
    this.#connection.close();
  }
}

/** Bytes that do not compress, the same in every process: the sums below have no dice. */
function filling(bytes) {
  const words = new Uint32Array(bytes / 4);
  let state = 0x9e3779b9;
  for (let at = 0; at < words.length; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return Buffer.from(words.buffer);
}
