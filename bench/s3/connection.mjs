// One connection that is kept, with one request at a time: just enough of HTTP/1.1, and SigV4 with a body that is not signed (UNSIGNED-PAYLOAD), as clients over TLS have it.
import { createHmac, hash } from 'node:crypto';
import { connect } from 'node:net';

/** What is read from a socket at once, into memory that is used again: a client that costs more tells less of the servers. */
const read_bytes = 1 << 20;

export class Connection {
  #job;
  #socket;
  #host;
  #signing = { date: '', key: Buffer.alloc(0) };
  /** Of the answer that is awaited. */
  #answer = null;

  static async open(job) {
    const { host, hostname, port } = new URL(job.endpoint);
    const connection = new Connection();
    connection.#job = job;
    connection.#host = host;
    const take = (bytes, buffer) => {
      connection.#take(buffer.subarray(0, bytes));
      return true;
    };
    const onread = { buffer: Buffer.alloc(read_bytes), callback: take };
    connection.#socket = connect({ host: hostname, port: Number(port), noDelay: true, onread });
    await new Promise((resolve, reject) => {
      connection.#socket.once('connect', resolve);
      connection.#socket.once('error', reject);
    });
    connection.#socket.on('error', (error) => connection.#fail(error));
    connection.#socket.on('close', () => connection.#fail(new Error('the server ended the connection')));
    return connection;
  }

  /** @throws Error where it is not stored */
  async put(key, content) {
    await this.#ask('PUT', key, content, null);
  }

  /** @throws Error where it is not that content */
  async get(key, content) {
    const { bytes } = await this.#ask('GET', key, null, content);
    if (bytes !== content.length) throw new Error(`${key} has ${bytes} bytes, not ${content.length}`);
  }

  close() {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #ask(verb, key, body, expected) {
    const { promise, resolve, reject } = Promise.withResolvers();
    this.#answer = { what: `${verb} ${key}`, head: null, gathered: null, bytes: 0, length: 0, expected, resolve, reject };
    this.#socket.cork();
    this.#socket.write(this.#head(verb, `/${this.#job.bucket}/${key}`, body), 'latin1');
    if (body !== null) this.#socket.write(body);
    this.#socket.uncork();
    return promise;
  }

  /** Keys here need no escapes. */
  #head(verb, path, body) {
    const { accessKey, region } = this.#job;
    const host = this.#host;
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const date = time.slice(0, 8);
    const scope = `${date}/${region}/s3/aws4_request`;
    const names = 'host;x-amz-content-sha256;x-amz-date';
    const lines = `host:${host}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:${time}\n`;
    const canonical = `${verb}\n${path}\n\n${lines}\n${names}\nUNSIGNED-PAYLOAD`;
    const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash('sha256', canonical)}`;
    const signature = createHmac('sha256', this.#keyOf(date)).update(text).digest('hex');
    return (
      `${verb} ${path} HTTP/1.1\r\nHost: ${host}\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-date: ${time}\r\n` +
      `Authorization: AWS4-HMAC-SHA256 Credential=${accessKey}/${scope}, SignedHeaders=${names}, Signature=${signature}\r\n` +
      (body === null ? '\r\n' : `Content-Length: ${body.length}\r\n\r\n`)
    );
  }

  #keyOf(date) {
    if (this.#signing.date !== date) {
      const parts = [date, this.#job.region, 's3', 'aws4_request'];
      const key = parts.reduce((key, part) => createHmac('sha256', key).update(part).digest(), `AWS4${this.#job.secretKey}`);
      this.#signing = { date, key };
    }
    return this.#signing.key;
  }

  /** `piece` is only for now. */
  #take(piece) {
    const answer = this.#answer;
    if (answer === null) return this.#fail(new Error('the server said something that nobody asked for'));
    let rest = piece;
    if (answer.head === null) {
      const all = answer.gathered === null ? piece : Buffer.concat([answer.gathered, piece]);
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) {
        answer.gathered = Buffer.from(all);
        return;
      }
      answer.head = all.latin1Slice(0, end);
      rest = all.subarray(end + 4);
      if (!answer.head.startsWith('HTTP/1.1 200 ')) return this.#fail(new Error(`${answer.what}: ${all.toString()}`));
      const length = /\r\ncontent-length: *(\d+)/i.exec(answer.head)?.[1];
      if (length === undefined) return this.#fail(new Error(`${answer.what}: an answer without a length: ${answer.head}`));
      answer.length = Number(length);
    }
    const { bytes, expected } = answer;
    if (expected !== null && rest.length > 0 && expected.compare(rest, 0, rest.length, bytes, bytes + rest.length) !== 0)
      return this.#fail(new Error(`${answer.what}: other bytes than were put`));
    answer.bytes += rest.length;
    if (answer.bytes < answer.length) return;
    this.#answer = null;
    answer.resolve({ bytes: answer.bytes });
  }

  #fail(error) {
    const answer = this.#answer;
    this.#answer = null;
    if (answer === null) throw error;
    answer.reject(error);
  }
}
